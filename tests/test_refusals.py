"""What is wrong with a call is said before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from multiturn.errors import InvalidContent, UnknownName
from ways import Way, conversation


@pytest.mark.parametrize(
    ("options", "error", "shown"),
    [
        ({"generation_config": {"temprature": 1}}, UnknownName, "temperature"),
        ({"generation_config": {"temperature": "hot"}}, InvalidContent, "'hot'"),
        ({"generation_config": {"top_p": 2}}, InvalidContent, "from 0 to 1"),
        ({"generation_config": {"candidate_count": 2}}, InvalidContent, "candidate_count is 2"),
        ({"generation_config": 3}, InvalidContent, "generation_config is 3"),
        ({"safety_settings": {"hate": "nonne"}}, UnknownName, "'nonne'"),
        ({"safety_settings": {"hat": "none"}}, UnknownName, "'hat'"),
        ({"request_options": {"timeout": -1}}, InvalidContent, "timeout is -1"),
        ({"request_options": {"timeout": "9"}}, InvalidContent, "timeout is '9'"),
        ({"request_options": {"retry": 3}}, InvalidContent, "retry is 3"),
        ({"request_options": {"tries": 3}}, UnknownName, "request option"),
        ({"request_options": 3}, InvalidContent, "request_options is 3"),
    ],
)
async def test_a_bad_option_is_refused_before_anything_is_sent(
    way: Way, options: Any, error: type[Exception], shown: str
) -> None:
    chat, backend = conversation("Never.")
    with pytest.raises(error) as caught:
        await way.send(chat, "Hi", **options)
    assert shown in str(caught.value)
    assert ([], [], ()) == (backend.requests, chat.history, chat.journal)


@pytest.mark.parametrize("content", ["", [], None, {}, {"parts": []}, 3, [3], "\ud800"])
async def test_bad_content_is_refused_before_anything_is_sent(way: Way, content: Any) -> None:
    chat, backend = conversation("Never.")
    with pytest.raises(InvalidContent) as caught:
        await way.send(chat, content)
    assert caught.value.path.startswith("$.content")
    assert ([], [], ()) == (backend.requests, chat.history, chat.journal)


async def test_candidate_count_of_the_model_is_refused_too(way: Way) -> None:
    chat, backend = conversation("Never.", generation_config={"candidate_count": 2})
    with pytest.raises(InvalidContent, match="a conversation takes one answer"):
        await way.send(chat, "Hi")
    assert [] == backend.requests
