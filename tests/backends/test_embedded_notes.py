"""A conversation with parts that the embedded model cannot read."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from multiturn import EmbeddedBackend, GenerativeModel
from multiturn.backends.embedded.backend import messages_of
from multiturn.errors import InvalidContent
from multiturn.history import empty_path
from multiturn.messages.content import Content
from multiturn.request import Request

PICTURE: dict[str, Any] = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
FILE: dict[str, Any] = {"fileData": {"mimeType": "video/mp4", "fileUri": "https://x/y"}}
NOTING = EmbeddedBackend(unsendable="note")


def asked(*parts: dict[str, Any]) -> Request:
    content = Content.view({"role": "user", "parts": [{"text": "What is this? "}, *parts]})
    return Request("smollm2", empty_path().plus(content.frozen()))


def test_a_picture_is_told_as_a_note_where_that_is_wished() -> None:
    told = messages_of(asked(PICTURE, FILE), "note")
    expected = "What is this? [image/png, left out][video/mp4 https://x/y, left out]"
    assert [("user", expected)] == told


def test_a_picture_is_refused_by_its_place_otherwise() -> None:
    with pytest.raises(InvalidContent) as refused:
        messages_of(asked(PICTURE))
    assert "$.contents[0].parts[1]" == refused.value.path


def test_a_history_with_a_picture_goes_on_and_keeps_it() -> None:
    past = [
        {"role": "user", "parts": ["Look: ", PICTURE]},
        {"role": "model", "parts": ["A cat."]},
    ]
    settings = {"temperature": 0, "max_output_tokens": 4}
    model = GenerativeModel("smollm2", backend=NOTING, generation_config=settings)
    chat = model.start_chat(history=past)
    chat.send_message("What colour is it?")
    assert PICTURE == chat.history[0].json_object["parts"][1]
    assert 4 == len(chat.history)


def test_the_choice_survives_pickling() -> None:
    assert NOTING.options == pickle.loads(pickle.dumps(NOTING)).options


def test_another_choice_is_refused_with_the_two_that_exist() -> None:
    with pytest.raises(InvalidContent, match="note"):
        EmbeddedBackend(unsendable="drop")  # type: ignore[arg-type]
