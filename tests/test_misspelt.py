"""A name that is not quite right is refused where it is written, and the right one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from multiturn import (
    ChatSession,
    GenerationConfig,
    GenerativeModel,
    InvalidContent,
    UnknownName,
    UsageError,
    WeightsBroken,
    WeightsMissing,
)
from multiturn.testing import ScriptedBackend

NEARLY = {
    "openai:gpt-4o": "openai/gpt-4o",
    "gpt-4o": "openai/gpt-4o",
    "openal/gpt-4o": "openai/gpt-4o",
    "ollama:qwen3": "ollama/qwen3",
    "claude-opus": "openrouter/anthropic/claude-opus",
    "anthropic:claude-opus": "any/anthropic/claude-opus",
    "anthropic/claude-opus": "any/anthropic/claude-opus",
    "google/gemini-pro": "gemini/gemini-pro",
    "gemini:gemini-pro": "gemini/gemini-pro",
    "gemni-pro": "gemini-pro",
    "smolm2": "smollm2",
    "embedded/smolm2": "smollm2",
}
KNOWN = [
    "gemini-pro", "gemini-4-argon", "models/anything", "tunedModels/mine", "learnlm-1",
    "publishers/google/models/x", "projects/p/locations/l/endpoints/7", "gemini/anything",
    "smollm2", "SmolLM2", "embedded/smollm2", "hf:owner/repository", "owner/repository/later.gguf",
    "openai/anything", "any/bedrock/anything",
]  # fmt: skip


@pytest.mark.parametrize("name", NEARLY)
def test_a_model_that_nobody_has_is_refused_when_it_is_made(name: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean '{NEARLY[name]}'"):
        GenerativeModel(name)


def test_a_model_that_nobody_has_is_refused_in_a_list_too() -> None:
    with pytest.raises(UnknownName, match="did you mean 'smollm2'"):
        GenerativeModel(["gemini-pro", "smolm2"])


@pytest.mark.parametrize("name", KNOWN)
def test_a_model_that_somebody_may_have_is_made(name: str) -> None:
    GenerativeModel(name)


@pytest.mark.parametrize("name", ["", " ", ["gemini-pro", ""]])
def test_an_empty_name_is_refused_and_no_name_is_the_embedded_model(name: Any) -> None:
    with pytest.raises(InvalidContent, match=r"a model's name, or None for the embedded one"):
        GenerativeModel(name)
    with pytest.raises(InvalidContent, match=r"a model's name, or None for the embedded one"):
        GenerativeModel("", backend=ScriptedBackend("Hi"))
    assert "embedded" == GenerativeModel(None).backend.name


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.touch()
    GenerativeModel(str(file))


@pytest.mark.parametrize("name", ["later.gguf", "embedded/later.gguf", "./later", "/later", "~/l"])
def test_a_file_that_is_not_there_is_refused_when_the_model_is_made(name: str) -> None:
    with pytest.raises(WeightsMissing, match="there is no such file; check the path"):
        GenerativeModel(name)


@pytest.mark.parametrize(
    "name", ["./models/", "./models", "models/", "some/models", "embedded/./models"]
)
def test_a_folder_is_refused_when_the_model_is_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("models", "some/models"):
        Path(folder).mkdir(parents=True)
        Path(folder, "weights.gguf").touch()
    with pytest.raises(WeightsBroken, match=r"it is a folder; name a file in it, as '.*models/w"):
        GenerativeModel(name)


def test_a_folder_beside_does_not_hide_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("gemini-pro", "smollm2", "ollama/qwen3"):
        Path(name).mkdir(parents=True)
    names = "gemini-pro", "smollm2", "ollama/qwen3"
    backends = [GenerativeModel(name).backend.name for name in names]
    assert ["gemini", "embedded", "ollama"] == backends


def test_with_a_backend_of_its_own_a_model_may_have_any_name() -> None:
    assert "gpt-4o" == GenerativeModel("gpt-4o", backend=ScriptedBackend("Hi")).model_name


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("histroy", "history"),
        ("enable_automatic_function_call", "enable_automatic_function_calling"),
        ("tool_timeout", "tool_timeout_seconds"),
        ("sesion", "session"),
    ],
)
def test_an_option_of_a_chat_is_refused_with_the_one_that_was_meant(
    option: str, meant: str
) -> None:
    model = GenerativeModel(backend=ScriptedBackend("Hi"))
    with pytest.raises(
        InvalidContent, match=rf"^there is no argument '{option}'; did you mean '{meant}'"
    ):
        model.start_chat(**{option: []})
    with pytest.raises(TypeError, match=f"did you mean '{meant}'"):
        ChatSession(model, **{option: []})


def test_an_option_like_no_other_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidContent, match=r"known: history, .*tool_mode, "):
        GenerativeModel(backend=ScriptedBackend("Hi")).start_chat(xyz=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"maxOutputTokens": 0}, "maxOutputTokens"),
        (GenerationConfig(max_output_tokens=0), "max_output_tokens"),
        ({"top_p": 7}, "top_p"),
        ({"topP": 7}, "topP"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
    ],
)
def test_a_setting_is_named_as_it_was_written(config: Any, name: str) -> None:
    with pytest.raises(InvalidContent, match=rf"\$\.generation_config\.{name} is"):
        GenerativeModel(backend=ScriptedBackend("Hi"), generation_config=config)


@pytest.mark.parametrize("name", ["speech_config", "speechConfig"])
def test_a_setting_that_a_backend_lacks_has_its_name_in_python(name: str) -> None:
    config = {name: {"language_code": "de"}}
    for model in (None, "vllm/anything"):
        with pytest.raises(UsageError, match=r"generation_config\.speech_config$"):
            GenerativeModel(model, generation_config=config).generate_content("Hi")
