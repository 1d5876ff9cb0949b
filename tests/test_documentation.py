"""The examples that every reader of the old documentation knows, letter by letter."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest

from multiturn.backends import registry
from multiturn.testing import ScriptedBackend

EXAMPLE = """\
import multiturn as genai

model = genai.GenerativeModel("models/gemini-pro")
chat = model.start_chat()
response = chat.send_message("Hello")
print(response.text)
len(chat.history)            # 2
response = chat.send_message("Explain quantum physics", stream=True)
for chunk in response:
    print(chunk.text, end="")
"""


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ScriptedBackend:
    """A scripted backend that every model finds by its name."""
    backend = ScriptedBackend("Hi there.", ["It ", "is ", "odd."])
    monkeypatch.setattr(registry, "backend_for", lambda name, *_: (backend, name or "default"))
    return backend


def run(source: str) -> tuple[dict[str, Any], str]:
    """Run an example; return its variables and what it printed."""
    variables: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(source, "<example>", "exec"), variables)
    return variables, printed.getvalue()


def test_the_example_runs(backend: ScriptedBackend) -> None:
    with backend:
        variables, printed = run(EXAMPLE)
    assert "Hi there.\nIt is odd." == printed
    chat = variables["chat"]
    assert [
        ("user", "Hello"),
        ("model", "Hi there."),
        ("user", "Explain quantum physics"),
        ("model", "It is odd."),
    ] == [(content.role, content.parts[0].text) for content in chat.history]
    assert "models/gemini-pro" == backend.requests[0].model


def test_the_count_in_its_comment_is_right(backend: ScriptedBackend) -> None:
    lines = EXAMPLE.splitlines()
    before = "\n".join(lines[: lines.index("len(chat.history)            # 2")])
    variables, _ = run(before)
    assert 2 == len(variables["chat"].history)


def test_the_old_class_documentation_holds(backend: ScriptedBackend) -> None:
    """``last`` and ``rewind``, as their doc strings have them."""
    variables, _ = run(EXAMPLE)
    chat, response = variables["chat"], variables["response"]
    assert chat.last is response
    question, answer = chat.rewind()
    assert ("Explain quantum physics", "It is odd.") == (question.text, answer.text)
    assert 2 == len(chat.history)
    assert chat.last is response
