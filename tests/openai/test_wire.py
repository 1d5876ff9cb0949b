"""The quirks of servers, one file each, and what must be made of them.

The files follow the servers' documentation and the reports of their bugs; what stands in
``NAME.sse`` is a body as it travels, in ``NAME.json`` what it says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from multiturn.backends.openai.errors import error_in
from multiturn.backends.openai.reply import ReplyReader
from multiturn.errors import StatusError
from multiturn.reply import Reply

WIRE = Path(__file__).parent / "wire"
CASES = sorted(path.stem for path in WIRE.glob("*.sse"))
KNOWN = ("weather", "time")


def read(pieces: Iterable[bytes], *, is_stream: bool = True) -> dict[str, Any]:
    """Return what a body says, in the words of the files of expectations."""
    reader, reply = ReplyReader(is_stream, error_in, KNOWN), Reply()
    said: dict[str, Any] = {}
    try:
        for piece in pieces:
            for chunk in reader.feed(piece):
                reply.add(chunk)
        for chunk in reader.end():
            reply.add(chunk)
    except StatusError as error:
        said["error"] = {
            "class": type(error).__name__,
            "message": error.message,
            "retryable": error.retryable,
        }
    whole = reply.whole()
    candidate = (whole.get("candidates") or [{}])[0]
    parts = (candidate.get("content") or {}).get("parts") or []
    marked = [p for p in parts if (p.get("partMetadata") or {}).get("refusal")]
    texts = [p for p in parts if "text" in p and p not in marked]
    said["text"] = "".join(p["text"] for p in texts if not p.get("thought"))
    said["thoughts"] = "".join(p["text"] for p in texts if p.get("thought"))
    said["refusal"] = "".join(p["text"] for p in marked)
    said["calls"] = [p["functionCall"] for p in parts if "functionCall" in p]
    said["finish"] = candidate.get("finishReason")
    said["message"] = candidate.get("finishMessage")
    said["model"] = whole.get("modelVersion")
    said["usage"] = whole.get("usageMetadata")
    said["inline"] = next((p["inlineData"] for p in parts if "inlineData" in p), None)
    extra = [(p.get("partMetadata") or {}).get("extra_content") for p in parts]
    said["extra"] = next((e for e in extra if e), None)
    return said


def expected(name: str) -> dict[str, Any]:
    empty = {
        "text": "", "thoughts": "", "refusal": "", "calls": [], "finish": None, "message": None,
        "usage": None, "inline": None, "extra": None,
    }  # fmt: skip
    return {**empty, **json.loads((WIRE / f"{name}.json").read_text())}


def test_there_are_quirks_of_at_least_eight_servers() -> None:
    assert len({name.partition(".")[0] for name in CASES}) >= 8


@pytest.mark.parametrize("name", CASES)
def test_a_quirk_is_read_for_what_it_means(name: str) -> None:
    wanted = expected(name)
    got = read([(WIRE / f"{name}.sse").read_bytes()])
    assert wanted == {member: got.get(member) for member in wanted}


@pytest.mark.parametrize("name", CASES)
def test_it_makes_no_difference_where_the_bytes_are_cut(name: str) -> None:
    body = (WIRE / f"{name}.sse").read_bytes()
    whole = read([body])
    assert whole == read([body[i : i + 1] for i in range(len(body))])
    for cut in range(1, len(body)):
        assert whole == read([body[:cut], body[cut:]]), f"cut at {cut}"


@pytest.mark.parametrize("name", CASES)
def test_events_are_read_though_none_were_asked_for(name: str) -> None:
    body = (WIRE / f"{name}.sse").read_bytes()
    assert read([body]) == read([body], is_stream=False)
