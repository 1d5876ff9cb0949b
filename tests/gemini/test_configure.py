"""What configure() cannot use, and keys that are empty, as an unset variable makes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import multiturn as genai
from gemini.asking import asked, header
from multiturn import InvalidContent, MissingKey, UsageError
from multiturn.access import configured
from ways import Way

pytestmark = pytest.mark.usefixtures("nothing_said")


@pytest.mark.parametrize("empty", [{"api_key": ""}, {"client_options": {"api_key": " "}}])
def test_an_empty_key_of_configure_takes_the_environments_as_it_always_did(
    empty: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "of-google")
    assert "of-google" == header(asked(**empty), "x-goog-api-key")


@pytest.mark.parametrize("empty", [{"api_key": "\n"}, {"client_options": {"api_key": ""}}])
async def test_a_missing_key_is_told_with_the_empty_one_that_was_given(
    way: Way, empty: dict[str, Any]
) -> None:
    genai.configure(**empty)
    with pytest.raises(
        MissingKey, match=r"configure\(\) was given an empty one; set GEMINI_API_KEY"
    ):
        await way.send(genai.GenerativeModel("gemini-x").start_chat(), "Hi")
    genai.configure()
    with pytest.raises(MissingKey, match="'models/gemini-x': set GEMINI_API_KEY"):
        await way.send(genai.GenerativeModel("gemini-x").start_chat(), "Hi")


@pytest.mark.parametrize(
    "give",
    [
        lambda: genai.GenerativeModel("gemini-x", api_key=""),
        lambda: genai.GenerativeModel("gemini-x", request_options={"api_key": " "}),
        lambda: genai.GenerativeModel("gemini-x").start_chat(request_options={"api_key": ""}),
        lambda: (
            genai.GenerativeModel("gemini-x")
            .start_chat()
            .send_message("Hi", request_options={"api_key": ""})
        ),
        lambda: genai.OpenAIBackend("https://api.openai.com/v1", api_key=""),
    ],
)
def test_no_other_key_is_taken_where_one_of_its_own_is_empty(
    give: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GEMINI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "of-the-environment")
    with pytest.raises(
        InvalidContent, match=r"^api_key is ''; expected a key .is the variable set"
    ):
        give()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"vertexai": "false"}, "vertexai is 'false'; expected True, False or None"),
        ({"api_version": 1}, "api_version is 1; expected a string"),
        ({"default_metadata": 3}, "default_metadata is 3; expected pairs"),
        ({"default_metadata": ["a"]}, "default_metadata is 'a'; expected pairs"),
        ({"client_options": {"api_endpont": "x"}}, "did you mean 'api_endpoint'?"),
    ],
)
def test_what_configure_cannot_use_is_refused_by_its_name(
    options: dict[str, Any], said: str
) -> None:
    genai.configure(api_key="as-before")
    with pytest.raises(UsageError, match=re.escape(said)):
        genai.configure(**options)
    assert "as-before" == configured().api_key.reveal()  # type: ignore[union-attr]


def test_options_that_say_nothing_here_are_passed_over() -> None:
    asked(api_key="k", client_options={"scopes": ["x"], "universe_domain": "googleapis.com"})
