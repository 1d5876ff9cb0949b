"""The embedded model calls real functions; what it says of them is its own affair."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import pytest

from multiturn import GenerativeModel
from ways import Way


class Unit(Enum):
    C = 1
    F = 2


@pytest.mark.parametrize("mode", ["any", "auto"])
def test_the_embedded_model_calls_with_valid_arguments_and_answers(
    mode: str, way: Way, weights_path: Path
) -> None:
    calls: list[tuple[str, Unit]] = []

    def weather(city: str, unit: Unit) -> dict[str, int]:
        """Tell the weather of now."""
        calls.append((city, unit))
        return {"temperature": 3}

    model = GenerativeModel(
        tools=[weather], tool_config=mode, generation_config={"max_output_tokens": 40}
    )
    chat = model.start_chat(enable_automatic_function_calling=True)

    async def scenario() -> list[str]:
        response = await way.send(chat, "How is the weather in Paris?", stream=mode == "any")
        return [chunk.text async for chunk in way.read(response)]

    texts = way.run(scenario())
    assert "".join(texts)
    assert chat.last is not None
    if mode == "any" or calls:
        ((city, unit),) = calls
        assert (str, Unit) == (type(city), type(unit))
        assert ["user", "model", "user", "model"] == [content.role for content in chat.history]
        assert 2 == len(chat.last.usage_by_round)
