"""The doctor: what it finds missing, the command that mends it, and what it keeps to itself."""

from __future__ import annotations

import importlib.metadata
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from multiturn import weights
from multiturn.cli import doctor
from multiturn.cli.main import main


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MULTITURN_CACHE", str(tmp_path))
    monkeypatch.setattr("multiturn.weights.installed.path_of", lambda model: None)
    return tmp_path


def test_missing_weights_are_exit_code_1_and_the_command_that_fetches_them(
    empty_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == main(["doctor"])
    out = capsys.readouterr().out
    assert "FAIL  weights" in out
    assert "mend it with: multiturn pull smollm2\n" in out
    assert "chat would not work" in out


def test_damaged_weights_are_mended_by_fetching_them_again(
    empty_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = weights.find("smollm2")
    path = empty_cache / "weights" / model.sha256 / model.file_name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF")

    assert 1 == main(["doctor"])
    assert "mend it with: multiturn pull smollm2 --force\n" in capsys.readouterr().out


def test_everything_here_is_exit_code_0(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights.gguf").write_bytes(b"")
    monkeypatch.setattr(weights, "locate", lambda name, fetch: tmp_path / "weights.gguf")
    monkeypatch.setattr(weights, "verify", lambda path: None)

    assert 0 == main(["doctor"])
    out = capsys.readouterr().out
    assert "FAIL" not in out
    assert out.endswith("chat would work\n")


def test_keys_are_named_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, empty_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "AIza-secret")
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)

    main(["doctor"])
    out = capsys.readouterr().out
    assert "GEMINI_API_KEY is set, GOOGLE_API_KEY is not set" in out
    assert ("secret" in out, "BASE_URL" in out) == (False, False)


def test_an_empty_key_and_an_address_that_nobody_looks_at_are_told(
    monkeypatch: pytest.MonkeyPatch, empty_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "")
    monkeypatch.setenv("GEMINI_BASE_URL", "http://127.0.0.1:1")

    main(["doctor"])
    out = capsys.readouterr().out
    assert "GEMINI_API_KEY is set and empty" in out
    assert "GEMINI_BASE_URL is set, and nobody looks at it" in out
    assert "export GOOGLE_GEMINI_BASE_URL=…" in out


def test_a_servers_model_needs_no_weights(
    monkeypatch: pytest.MonkeyPatch, empty_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MULTITURN_MODEL", "openai/m")

    assert 0 == main(["doctor"])
    assert "none needed: openai/m is a model of a server" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (
            "{folder}/chats.db",
            "ok    sessions    none kept yet; they would be in {folder}/chats.db",
        ),
        ("{folder}/there.db", "ok    sessions    4 bytes in {folder}/there.db"),
        ("mysql://u:secret@h/x", "note  sessions    a store is the path of a file or"),
    ],
)
def test_where_conversations_are_kept_is_told_and_nothing_is_made(
    monkeypatch: pytest.MonkeyPatch,
    empty_cache: Path,
    capsys: pytest.CaptureFixture[str],
    place: str,
    told: str,
) -> None:
    (empty_cache / "there.db").write_bytes(b"ours")
    monkeypatch.setenv("MULTITURN_STORE", place.format(folder=empty_cache))

    main(["doctor"])
    out = capsys.readouterr().out
    assert told.format(folder=empty_cache) in out
    assert "secret" not in out
    assert ["there.db"] == [file.name for file in empty_cache.iterdir()]


def test_a_server_that_keeps_conversations_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, empty_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("psycopg", reason="PostgresStore needs multiturn[postgres]")
    monkeypatch.setenv("MULTITURN_STORE", "postgresql://ada:secret@db.example/chats")

    main(["doctor"])
    out = capsys.readouterr().out
    assert "ok    sessions    postgresql://ada@db.example:5432/chats" in out
    assert "secret" not in out


def test_the_network_is_not_touched(monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    assert 1 == main(["doctor"])


@pytest.mark.parametrize(
    ("code", "stderr", "found", "remedy"),
    [
        (1, "ImportError: libgomp.so.1: cannot open", "libgomp.so.1", "apt-get install libgomp1"),
        (-4, "", "it ended with code -4", "-m pip install --force-reinstall xllamacpp"),
    ],
)
def test_an_engine_that_cannot_be_loaded_is_told_with_its_remedy(
    code: int, stderr: str, found: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], code, "", stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)

    finding = doctor._engine()

    assert "FAIL" == finding.level
    assert found in finding.found
    assert remedy in finding.remedy


def test_an_engine_that_is_not_installed_is_told_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)

    finding = doctor._engine()

    assert "FAIL" == finding.level
    assert finding.remedy.endswith("-m pip install xllamacpp")


def test_a_cache_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTITURN_CACHE", "/proc/nowhere")

    assert "note" == doctor._cache().level
    assert "MULTITURN_CACHE" in doctor._cache().remedy


def test_weights_that_have_nowhere_to_go_are_told_with_the_true_cause(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "OFFLINE" not in doctor._weights().found

    monkeypatch.setenv("MULTITURN_CACHE", "/proc/nowhere")
    finding = doctor._weights()

    assert "FAIL" == finding.level
    assert "/proc/nowhere/weights cannot be written" in finding.found
    assert "MULTITURN_CACHE" in finding.remedy
