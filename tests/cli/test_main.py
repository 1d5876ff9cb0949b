"""The command line, called as a function: what it prints and the exit codes it gives."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.talker import talk

from multiturn import __version__
from multiturn.cli.main import main
from multiturn.errors import BackendError, ContextTooLong
from multiturn.testing import ScriptedBackend, ScriptedReply

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
HOSTILE = "a\x1b]52;c;ZXZpbA==\x07b\x1b[2Jc\x9b31md\x08e\rf\x7fg"
HARMLESS = "a␛]52;c;ZXZpbA==␇b␛[2Jc\ufffd31md␈ef␡g"


class Piped(io.StringIO):
    """Standard input that is a pipe with these bytes in it."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.buffer = io.BytesIO(data)


@pytest.fixture(autouse=True)
def nothing_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)


def asked(backend: ScriptedBackend) -> list[dict[str, Any]]:
    return backend.requests[0].contents[0].json_object["parts"]


def test_a_question_is_answered_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    backend = ScriptedBackend(["Blue ", "light."])

    assert 0 == talk(["chat", "Why", "is the sky blue?"], backend)
    assert ("Blue light.\n", "") == capsys.readouterr()
    assert [{"text": "Why is the sky blue?"}] == asked(backend)


def test_the_question_comes_first_then_what_is_piped_then_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend = ScriptedBackend("Yes.")
    (tmp_path / "notes.txt").write_text("from a file")
    (tmp_path / "picture").write_bytes(PNG)
    monkeypatch.setattr(sys, "stdin", Piped(b"from a pipe\n"))
    files = ["--file", str(tmp_path / "notes.txt"), "--file", str(tmp_path / "picture")]

    assert 0 == talk(["chat", "Right?", *files], backend)
    texts = [part.get("text") for part in asked(backend)[:3]]
    name = "\n\nContent of the file notes.txt:\n\n"
    assert ["Right?", "\n\nfrom a pipe\n", f"{name}from a file"] == texts
    assert "image/png" == asked(backend)[3]["inlineData"]["mimeType"]


def test_a_pipe_alone_is_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = ScriptedBackend("Yes.")
    monkeypatch.setattr(sys, "stdin", Piped("\ufeffgrüezi".encode()))

    assert 0 == talk(["chat"], backend)
    assert [{"text": "grüezi"}] == asked(backend)


def test_a_picture_can_be_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = ScriptedBackend("A cat.")
    monkeypatch.setattr(sys, "stdin", Piped(PNG))

    assert 0 == talk(["chat", "What is this?"], backend)
    assert "image/png" == asked(backend)[1]["inlineData"]["mimeType"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "COMMAND"),
        (["chta"], "there is no 'chta'; did you mean chat?"),
        (["qqq"], "there is no 'qqq'; there are: chat, sessions, models, pull, doctor"),
        (["sessions", "serach", "x"], "there is no 'serach'; did you mean search?"),
        (["sessions", "list", "--prefx", "x"], "did you mean --prefix?"),
        (["sessions", "search", ""], "say which words to search for"),
        (["sessions", "rename", "x", " "], "a session needs a name"),
        (["chat", "--sesion", "x", "hi"], "unrecognized arguments: --sesion; did you mean --sess"),
        (["chat", "--nope"], "--nope"),
        (["chat", "--session", "", "hi"], "argument --session: a session needs a name"),
        (["chat", "-t", "hot", "hi"], "hot is not a number from 0 on"),
        (["chat", ""], "there is nothing to say"),
        (["chat"], "there is nothing to say"),
        (["chat", "--temperature", "-1", "hi"], "-1 is not a number from 0 on"),
        (["chat", "--temperature", "nan", "hi"], "nan is not a number from 0 on"),
        (["chat", "--max-tokens", "0", "hi"], "0 is not a whole number from 1 on"),
        (["chat", "--seed", "x", "hi"], "x is not a whole number from 0 on"),
        (["chat", "--model", "scriptde", "hi"], "did you mean 'scripted'?"),
        (["chat", "--file", "/nowhere/x", "hi"], "/nowhere/x does not exist"),
        (["chat", "--file", "/dev/null", "hi"], "/dev/null is no regular file"),
    ],
)
def test_wrong_usage_is_told_in_two_lines_at_most(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == talk(arguments, ScriptedBackend())
    out, err = capsys.readouterr()
    assert "" == out
    assert told in err
    assert 2 >= len(err.splitlines())


def test_a_file_of_no_known_kind_is_refused_before_anything_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.bin").write_bytes(b"\x00\xff" * 10)

    assert 2 == talk(["chat", "--file", str(tmp_path / "x.bin"), "hi"], ScriptedBackend())
    assert "is neither text" in capsys.readouterr().err


def test_bytes_that_are_no_text_are_told_as_such(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for data, told in ((b"\xff\xfe", "holds 2 bytes, and they are no text"), (b"\x80", "neither")):
        monkeypatch.setattr(sys, "stdin", Piped(data))
        assert 2 == talk(["chat"], ScriptedBackend())
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "variable"), [("gemini-2.5-flash", "GEMINI_API_KEY"), ("openai/x", "OPENAI_API_KEY")]
)
def test_a_missing_key_is_told_in_words_of_the_shell(
    model: str,
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    assert 2 == main(["chat", "--model", model, "hi"])
    err = capsys.readouterr().err
    assert f"export {variable}=…" in err
    assert "configure" not in err
    assert "OpenAIBackend" not in err


@pytest.mark.parametrize(
    "line",
    [BackendError("the model is gone"), ScriptedReply(("half",), None), ZeroDivisionError("oops")],
)
def test_a_model_that_fails_is_one_line_and_exit_code_1(
    line: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == talk(["chat", "hi"], ScriptedBackend(line))
    err = capsys.readouterr().err
    assert err.startswith("multiturn: ")
    assert 1 == len(err.splitlines())


def test_what_arrived_before_a_failure_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == talk(["chat", "hi"], ScriptedBackend(["half ", BackendError("gone")]))
    assert ("half \n", "multiturn: gone\n") == capsys.readouterr()


def test_what_is_too_long_is_told_with_what_one_can_do_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 1 == talk(["chat", "hi"], ScriptedBackend(ContextTooLong(900, 512)))
    err = capsys.readouterr().err
    assert "this is too long: 900 tokens, and the model takes 512" in err
    assert ("--model" in err, "Backend" in err) == (True, False)


@pytest.mark.parametrize("arguments", [["--debug", "chat", "x"], ["chat", "--debug", "x"]])
def test_debug_shows_where_an_error_came_from(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == talk(arguments, ScriptedBackend(BackendError("gone")))
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_exit_code_130_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert 130 == talk(["chat", "hi"], ScriptedBackend(["half", KeyboardInterrupt()]))
    assert ("half\n", "") == capsys.readouterr()


def test_control_characters_of_the_model_are_made_visible(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 0 == talk(["chat", "hi"], ScriptedBackend(HOSTILE))
    assert HARMLESS + "\n" == capsys.readouterr().out


def test_control_characters_in_errors_are_made_visible(capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == talk(["chat", "hi"], ScriptedBackend(BackendError(HOSTILE)))
    assert f"multiturn: {HARMLESS}\n" == capsys.readouterr().err


def test_a_lone_surrogate_and_windows_line_ends_are_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 0 == talk(["chat", "hi"], ScriptedBackend(["a\ud800b\r", "\nc"]))
    assert "a\ufffdb\nc\n" == capsys.readouterr().out


def test_an_answer_that_was_cut_off_or_is_empty_is_told_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 0 == talk(["chat", "hi"], ScriptedBackend(ScriptedReply(("Well",), "MAX_TOKENS")))
    assert "cut off where it reached its largest length; --max-tokens N" in capsys.readouterr().err
    assert 0 == talk(["chat", "hi"], ScriptedBackend(" "))
    assert "answered with nothing" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["chat"], ["sessions"], ["models"], ["pull"], ["doctor"]])
def test_every_command_has_help_with_an_example(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == main([*command, "--help"])
    out = capsys.readouterr().out
    assert "example" in out
    assert " ".join(["multiturn", *command]) in out


def test_the_exit_codes_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    out = capsys.readouterr().out
    assert all(f"\n  {code:<5}" in out for code in (0, 1, 2, 130, 141))


def test_version_and_help_load_no_library_for_the_terminal() -> None:
    program = (
        "import sys; from multiturn.cli.main import main; main(['--version']); main(['--help']);"
        "print(sorted({'rich', 'prompt_toolkit', 'xllamacpp', 'asyncio', 'subprocess'}"
        " & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert f"multiturn {__version__}" == done.stdout.splitlines()[0]
    assert "[]" == done.stdout.splitlines()[-1]


def test_models_says_what_is_here_and_how_to_fetch_what_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MULTITURN_CACHE", str(tmp_path))

    assert 0 == main(["models"])
    out = capsys.readouterr().out
    assert "smollm2, the default" in out
    assert "on disk" in out


@pytest.mark.parametrize("name", ["openai/m", "gemini-2.5-flash"])
def test_a_servers_model_has_no_weights_to_fetch(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = f"multiturn: {name} is a model of a server, which has its weights; there is nothing"

    assert 2 == main(["pull", name])
    assert told in capsys.readouterr().err
    monkeypatch.setenv("MULTITURN_MODEL", name)
    assert 2 == main(["pull"])
    assert told in capsys.readouterr().err


def test_pulling_an_unknown_model_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["pull", "smollm3"])
    assert "did you mean 'smollm2'?" in capsys.readouterr().err


def test_pulling_without_a_network_fails_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MULTITURN_CACHE", str(tmp_path))
    monkeypatch.setenv("MULTITURN_OFFLINE", "1")

    assert 1 == main(["pull", "--force"])
    assert "multiturn pull smollm2" in capsys.readouterr().err
