"""The package as its users have it: installed, and found by the name of its models."""

from __future__ import annotations

import asyncio

import pytest

import multiturn as genai


def test_it_is_found_by_name_and_answers() -> None:
    chat = genai.GenerativeModel("echo/loud").start_chat()
    assert chat.send_message("Hello there").text == "HELLO THERE"
    assert [chunk.text for chunk in chat.send_message("on and on", stream=True) if chunk.text] == [
        "ON",
        " AND",
        " ON",
    ]
    assert len(chat.history) == 4


def test_it_answers_in_async_programs() -> None:
    async def ask() -> str:
        response = await genai.GenerativeModel("echo/plain").generate_content_async("Hi")
        return str(response.text)

    assert asyncio.run(ask()) == "Hi"


def test_unknown_models_are_refused_with_the_nearest() -> None:
    with pytest.raises(genai.UnknownName, match="loud"):
        genai.GenerativeModel("echo/lound").generate_content("Hi")
