"""Which file a name means, and which files are refused."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from multiturn import weights
from multiturn.errors import UnknownName, WeightsBroken, WeightsMissing
from multiturn.weights import store

from .conftest import Index, gguf_bytes


def put(index: Index, content: bytes) -> Path:
    """Lay a file where the model's own would rest."""
    path = store.path_of(index.model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "name", ["smollm2", "SmolLM2", "smollm2-135m", "SmolLM2-135M-Instruct", " smollm2 "]
)
def test_a_model_is_found_by_every_name_in_any_case(name: str) -> None:
    assert "smollm2" == weights.find(name).name


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'smollm2'"):
        weights.locate("SmolLM-2")
    with pytest.raises(UnknownName, match=r"known: smollm2\. .*hf:owner/repository/file.gguf"):
        weights.locate("gpt")


def test_a_stored_file_is_used_without_network_or_installer(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(index, index.content)
    monkeypatch.setenv("MULTITURN_OFFLINE", "1")
    monkeypatch.setenv("MULTITURN_MODEL", "tiny-1")
    assert path == weights.locate()
    assert path == weights.locate("TINY", fetch=False)
    assert 0 == index.downloads


@pytest.mark.parametrize("setting", ["1", "true", "yes"])
def test_offline_without_the_file_says_what_to_run(
    index: Index, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("MULTITURN_OFFLINE", setting)
    with pytest.raises(WeightsMissing, match="multiturn pull tiny") as caught:
        weights.locate("tiny")
    assert "tiny" == pickle.loads(pickle.dumps(caught.value)).name
    with pytest.raises(WeightsMissing):
        weights.pull("tiny")
    monkeypatch.setenv("MULTITURN_OFFLINE", "0")
    with pytest.raises(WeightsMissing):
        weights.locate("tiny", fetch=False)


def test_a_truncated_file_is_refused_with_its_sizes(index: Index) -> None:
    path = put(index, index.content[:1000])
    with pytest.raises(WeightsBroken) as caught:
        weights.locate("tiny")
    assert (
        f"the weights in {path} cannot be used: it is truncated: it has 1000 bytes and should have "
        f"{len(index.content)}; fetch a good one with: multiturn pull tiny --force"
    ) == str(caught.value)


def test_a_file_that_is_too_long_is_refused(index: Index) -> None:
    put(index, index.content + b"x")
    with pytest.raises(WeightsBroken, match="should have"):
        weights.locate("tiny")


def test_a_changed_bit_is_seen_even_when_the_modification_time_is_set_back(index: Index) -> None:
    path = put(index, index.content)
    weights.locate("tiny")
    assert weights.on_disk()[0].verified
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(100_000)
        file.write(bytes([index.content[100_000] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert not weights.on_disk()[0].verified
    for _ in range(2):
        with pytest.raises(WeightsBroken, match="its content was changed: its SHA-256 is"):
            weights.locate("tiny")


def test_only_a_full_check_hashes_an_unchanged_file(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multiturn.weights import soundness

    path = put(index, index.content)
    hashed: list[Path] = []
    file_sha256 = soundness.file_sha256

    def counted(path: Path) -> str:
        hashed.append(path)
        return file_sha256(path)

    monkeypatch.setattr(soundness, "file_sha256", counted)
    weights.locate("tiny")
    weights.locate("tiny")
    weights.verify(path, full=False)
    assert [path] == hashed
    weights.verify(path)
    assert [path, path] == hashed


def test_a_stamp_of_one_file_does_not_vouch_for_another(index: Index) -> None:
    path = put(index, index.content)
    weights.locate("tiny")
    replacement = path.with_name("new")
    replacement.write_bytes(bytes(len(index.content)))
    os.replace(replacement, path)
    with pytest.raises(WeightsBroken):
        weights.locate("tiny")


def test_an_installed_package_is_used_without_importing_it(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "tiny_weights").mkdir(parents=True)
    (site / "tiny_weights" / "__init__.py").write_text("raise ImportError\n")
    (site / "tiny_weights" / "tiny.gguf").write_bytes(index.content)
    described = site / "tiny_weights-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("MULTITURN_OFFLINE", "1")

    path = site / "tiny_weights" / "tiny.gguf"
    assert path == weights.locate("tiny")
    assert [("tiny", path, len(index.content), True)] == weights.on_disk()
    assert 0 == weights.remove("tiny")
    assert path.exists()
    path.write_bytes(bytes(len(index.content)))
    with pytest.raises(WeightsBroken, match="multiturn pull tiny --force"):
        weights.locate("tiny")

    described.rename(site / "tiny_weights-2.0.dist-info")
    metadata = site / "tiny_weights-2.0.dist-info" / "METADATA"
    metadata.write_text("Metadata-Version: 2.1\nName: tiny-weights\nVersion: 2.0\n")
    with pytest.raises(WeightsMissing):  # the hash of another version is not known
        weights.locate("tiny")


def test_a_path_is_used_as_it_is_after_a_look_at_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(gguf_bytes(b"x" * 100))
    assert path == weights.locate(path)
    assert path == weights.locate(str(path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path == weights.locate("~/own.gguf")
    monkeypatch.chdir(tmp_path)
    assert Path("own.gguf") == weights.locate("own.gguf")


@pytest.mark.parametrize("name", ["none.gguf", "/nowhere/at/all.bin", "~/none.gguf", "./a/b.gguf"])
def test_a_missing_path_is_named(name: str) -> None:
    with pytest.raises(WeightsMissing, match="there is no such file; check the path") as caught:
        weights.locate(name)
    assert caught.value.path == Path(name).expanduser().absolute()


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsBroken, match="cannot be read"):
        weights.locate(tmp_path)


def test_importing_weights_brings_in_nothing_heavy() -> None:
    heavy = "'subprocess', 'zipfile', 'hashlib', 'platformdirs', 'huggingface_hub', 'asyncio'"
    code = f"import multiturn.weights, sys; print([m for m in ({heavy}) if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == run.stdout.strip()
