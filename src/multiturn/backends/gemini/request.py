"""The Gemini API's wire format, what is sent; pure.  What comes is in ``reply.py``.

Source of every rule: the API's reference (v1beta, methods generateContent,
streamGenerateContent and countTokens) and its guide to thought signatures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from multiturn.backends.gemini.pairing import NOTHING_OPEN, paired, refusal
from multiturn.backends.gemini.pairing import State as Waiting
from multiturn.backends.wire_json import written
from multiturn.errors import InvalidContent
from multiturn.history import Fold
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.request import Request, made_of

# What the API's guide names for a function call that no Gemini model made: plain text
# in the place of a signature, not base64.
NO_SIGNATURE = "skip_thought_signature_validator"

# What precedes a content (nothing, words, or results of calls), and what is open there.
Told: TypeAlias = tuple[Literal["begin", "words", "results"], Waiting]


def resource_name(model: str) -> str:
    """Return a model's full name: ``gemini-x`` is ``models/gemini-x``."""
    return model if "/" in model else f"models/{model}"


@lru_cache(maxsize=64)
def wants_signatures(model: str) -> bool:
    """Whether a model checks that function calls carry their thought signature.

    Gemini does since version 3; names without a version mean the newest.
    """
    found = re.search(r"gemini-(\d+)?", model)
    return found is not None and (found[1] is None or int(found[1]) >= 3)


# -- what is sent --------------------------------------------------------------------------


def body(request: Request, more: Object | None = None) -> list[bytes | memoryview]:
    """Return the body of generateContent or streamGenerateContent.

    It comes in pieces, so that a long history is not copied.

    Args:
        request: What is asked.
        more: Further members of the wire's request.

    Raises:
        InvalidContent: JSON cannot hold a part, or the service would refuse for good how
            calls and results meet; ``path`` names the place.
    """
    pieces, (_, waiting) = _contents(request)
    # A cache may hold what results belong to.
    if waiting is not NOTHING_OPEN and "cachedContent" not in request.more:
        refused = refusal(waiting, len(request.contents))
        if refused is not None:
            raise InvalidContent(*refused)
    return [*pieces, _members(request, more)]


def _contents(request: Request) -> tuple[list[bytes | memoryview], Told]:
    fold = _SIGNED if wants_signatures(request.model) else _PLAIN
    pieces, told = request.contents.folded(fold)
    return [b'{"contents":[', *pieces, b"" if told[0] == "begin" else b"]}"], told


def _members(request: Request, more: Object | None = None) -> bytes:
    """Return what stands behind the contents."""
    members: Object = {}
    cached = "cachedContent" in request.more or "cachedContent" in (more or {})
    if request.system_instruction is not None and not cached:
        members["systemInstruction"] = _system(request.system_instruction)
    if request.tool_config and not cached:
        members["toolConfig"] = _plain(request.tool_config)
    if request.safety_settings:
        members["safetySettings"] = list(request.safety_settings)
    if request.generation_config:
        members["generationConfig"] = request.generation_config
    members.update(request.more)
    members.update(more or {})
    tools = made_of(request.tools, _tools) if request.tools and not cached else b""
    return b"]%s,%s" % (tools, _bytes(members, "$")[1:]) if members else b"]%s}" % tools


def _tools(tools: Sequence[Object]) -> bytes:
    return b',"tools":' + _bytes([_plain(tool) for tool in tools], "$.tools")


def count_body(request: Request) -> bytes:
    """Return the body of countTokens: the whole request that would be sent.

    What the service would refuse to answer can be counted all the same.
    """
    return b'{"generateContentRequest":{"model":%s,%s}' % (
        _bytes(resource_name(request.model), "$.model"),
        unchecked_body(request)[1:],
    )


def unchecked_body(request: Request) -> bytes:
    """Return the same as ``body`` in one piece, however calls and results meet."""
    return b"".join([*_contents(request)[0], _members(request)])


class Contents:
    """The contents of a conversation as the wire has them; a ``history.Fold``.

    Each content opens its list of parts and leaves it open, so that results of one step
    that were kept in several contents become the one content that the API wants.

    Args:
        is_signed: Whether calls without a signature get the placeholder.
    """

    start: Told = ("begin", NOTHING_OPEN)

    def __init__(self, is_signed: bool) -> None:
        self._is_signed = is_signed

    def step(self, state: Told, content: Content, index: int) -> tuple[bytes, Told]:
        """Return what a content adds, whether it consists of results, and what stays open."""
        before, waiting = state
        said = content.json_object
        parts = _sendable(said)
        place: Literal["words", "results"] = "words"
        has_calls = _has_calls(said)
        if has_calls:
            if all("functionResponse" in part for part in parts):
                place = "results"
            elif self._is_signed:
                parts = _signed(parts)
        if has_calls or waiting is not NOTHING_OPEN:
            waiting = paired(waiting, said, index)
        told = _WORDS if place == "words" and waiting is NOTHING_OPEN else (place, waiting)
        joined = _joined(parts)
        if before == place == "results":
            return b"," + joined, told
        role = b"model" if said.get("role") == "model" else b"user"
        return b'%s{"role":"%s","parts":[%s' % (
            b"" if before == "begin" else b"]},",
            role,
            joined,
        ), told


_WORDS: Told = ("words", NOTHING_OPEN)
_PLAIN: Fold[Told] = Contents(False)
_SIGNED: Fold[Told] = Contents(True)


def _has_calls(content: Object) -> bool:
    """Whether a content holds calls or results."""
    for part in content.get("parts") or ():
        if "functionCall" in part or "functionResponse" in part:
            return True
    return False


def _sendable(content: Object) -> list[Object]:
    """Return the parts that are sent: thoughts stay here unless they are signed."""
    said = content.get("parts") or ()
    parts = [part for part in said if part and ("thought" not in part or _is_sent(part))]
    return parts or [{"text": ""}]


def _is_sent(part: Object) -> bool:
    return not part["thought"] or "thoughtSignature" in part


def _signed(parts: list[Object]) -> list[Object]:
    """See that the first call of a step is signed.

    A signature that arrived after its call, on an empty text of its own, is the call's.
    """
    first = _first_call(parts)
    if first is None or "thoughtSignature" in parts[first]:
        return parts
    signature, kept = NO_SIGNATURE, list(parts)
    for i, part in enumerate(parts[first + 1 :], first + 1):
        if "thoughtSignature" in part and part.get("text") == "":
            signature = part["thoughtSignature"]
            del kept[i]
            break
    kept[first] = {**parts[first], "thoughtSignature": signature}
    return kept


def _first_call(parts: list[Object]) -> int | None:
    for i, part in enumerate(parts):
        if "functionCall" in part:
            return i
    return None


def _system(content: Content) -> Object:
    return {"parts": content.json_object.get("parts") or [{"text": ""}]}


def _plain(value: Any) -> Any:
    return getattr(value, "json_object", value)


def _bytes(value: Any, path: str) -> bytes:
    try:
        return written(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidContent(path, value, f"what JSON can hold ({error})") from None


def _joined(parts: list[Object]) -> bytes:
    """Return parts as JSON, without the brackets; an error names the part."""
    try:
        return written(parts)[1:-1]
    except (TypeError, ValueError, RecursionError):
        return b",".join([_bytes(part, f"$.parts[{i}]") for i, part in enumerate(parts)])
