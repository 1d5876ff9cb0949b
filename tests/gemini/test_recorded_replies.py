"""Every form of reply that the service was seen to give is read without loss, or told as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gemini.canned import Canned
from gemini.wire_server import event
from multiturn import MultiturnError
from multiturn.messages.candidate import GenerateContentResponse
from multiturn.reply import Reply
from ways import Way

FILE = Path(__file__).parent / "recorded_replies" / "replies.json"
REPLIES: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
every_reply = pytest.mark.parametrize("name", REPLIES)


def _whole(chunks: list[dict[str, Any]]) -> bytes:
    """Return what comes in one piece, of what comes in several."""
    reply = Reply()
    for chunk in chunks:
        reply.add(json.loads(json.dumps(chunk)))
    return json.dumps(reply.whole()).encode()


@every_reply
def test_every_chunk_stays_as_it_came(name: str) -> None:
    for chunk in REPLIES[name]["chunks"]:
        text = json.dumps(chunk)
        viewed = GenerateContentResponse.view(json.loads(text))
        repr(viewed)
        assert text == json.dumps(viewed.json_object)
        assert (
            chunk
            == json.loads(
                GenerateContentResponse.to_json(
                    viewed,
                    use_integers_for_enums=False,
                    including_default_value_fields=False,
                )
            )
            or "null" in text
        )


@every_reply
async def test_a_streamed_reply_becomes_a_turn_or_an_error(way: Way, name: str) -> None:
    chunks = REPLIES[name]["chunks"]
    await _becomes_a_turn_or_an_error(way, name, b"".join(map(event, chunks)), stream=True)


@pytest.mark.parametrize("name", [n for n, r in REPLIES.items() if "streamed only" not in r])
async def test_a_reply_in_one_piece_becomes_a_turn_or_an_error(way: Way, name: str) -> None:
    chunks = REPLIES[name]["chunks"]
    body = json.dumps(chunks[0]).encode() if len(chunks) == 1 else _whole(chunks)
    await _becomes_a_turn_or_an_error(way, name, body, stream=False)


async def _becomes_a_turn_or_an_error(way: Way, name: str, body: bytes, *, stream: bool) -> None:
    recorded, chat = REPLIES[name], Canned(body).model().start_chat()
    if "error" in recorded:
        with pytest.raises(MultiturnError) as caught:
            await way.resolve(await way.send(chat, "How strong is the wind?", stream=stream))
        assert recorded["error"] == type(caught.value).__name__
        assert [] == chat.history
    else:
        await way.resolve(await way.send(chat, "How strong is the wind?", stream=stream))
        assert recorded["parts"] == chat.history[-1].json_object["parts"]
