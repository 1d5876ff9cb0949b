"""Puts function calls together from the pieces in which servers stream them; pure.

The protocol numbers the calls of an answer and gives id and name with a call's first
piece only.  Servers differ: numbers are missing or all the same, ids are missing, stand on
every piece or are new on every piece, names are repeated, arguments come whole, in
pieces, as objects, as everything so far, or once more in the end.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from multiturn.backends.wire_json import parsed
from multiturn.errors import MalformedReply
from multiturn.messages.message import Object


class _Call:
    """One call as it arrives."""

    __slots__ = ("extra", "id", "index", "name", "pieces")

    def __init__(self, index: Any, call_id: str) -> None:
        self.index, self.id = index, call_id
        self.name = ""
        self.pieces: list[str] = []
        self.extra: Any = None

    @property
    def arguments(self) -> Object | None:
        """The arguments as far as they can be read; None if they are not whole.

        The pieces are tried joined, then the last alone (it repeats everything), then
        without the first (an empty object that holds the place), then without the last
        (a summary of another form).
        """
        pieces = self.pieces
        if not any(piece.strip() for piece in pieces):
            return {}
        for some in (pieces, pieces[-1:], pieces[1:], pieces[:-1]):
            found = _object("".join(some))
            if found is not None:
                return found
        return None

    @property
    def is_whole(self) -> bool:
        """Whether arguments have come, and to their end."""
        if not self.pieces:
            return False
        # Reading all of them at every piece would cost the square of their length.
        ends = self.pieces[-1].rstrip()[-1:]
        wrapped = ends == '"' and self.pieces[0].lstrip()[:1] == '"'
        return (ends == "}" or wrapped) and self.arguments is not None


class CallAssembler:
    """Takes the pieces of an answer's calls and gives the calls.

    Args:
        known: Names of the functions that the model was told of.
    """

    def __init__(self, known: Collection[str] = ()) -> None:
        self._known = known
        self._calls: list[_Call] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, piece: Any) -> None:
        """Take in one member of ``tool_calls``, or a ``function_call`` of old servers."""
        if not isinstance(piece, dict):
            return
        function = piece.get("function")
        function = function if isinstance(function, dict) else piece
        index, name = piece.get("index"), function.get("name")
        call_id = piece.get("id")
        call_id = "" if call_id is None else str(call_id)
        name = name if isinstance(name, str) else ""
        arguments = function.get("arguments")
        if arguments is None or isinstance(arguments, str):
            text = arguments or ""
        else:
            text = json.dumps(arguments, ensure_ascii=False)
        call = self._found(index, call_id, name, text)
        if call is None:
            call = _Call(index, call_id)
            self._calls.append(call)
        call.id = call.id or call_id
        call.extra = piece.get("extra_content") or call.extra
        self._name(call, name)
        if text and not _repeats(call, text):
            call.pieces.append(text)

    def _name(self, call: _Call, name: str) -> None:
        if not call.name:
            call.name = name
        elif self._is_rest_of_name(call, name):
            call.name += name

    def _is_rest_of_name(self, call: _Call, name: str) -> bool:
        """Whether a name goes on: what there is names no function, both together may."""
        both = call.name + name
        return call.name not in self._known and any(k.startswith(both) for k in self._known)

    def _found(self, index: Any, call_id: str, name: str, text: str) -> _Call | None:
        """Return the call that a piece belongs to, None if it begins another."""
        same_id = next((c for c in self._calls if call_id and c.id == call_id), None)
        if same_id is not None and (
            not name or (same_id.index == index and self._goes_on(same_id, call_id, name, text))
        ):
            return same_id
        same_index = next(
            (c for c in reversed(self._calls) if index is not None and c.index == index), None
        )
        if same_index is None:
            if index is not None and (name or call_id):
                return None
            # No number, or one that stands on no other piece: a piece without a name goes
            # on with the last call.
            last = self._calls[-1] if self._calls else None
            return last if last is not None and self._goes_on(last, call_id, name, text) else None
        return same_index if self._goes_on(same_index, call_id, name, text) else None

    def _goes_on(self, call: _Call, call_id: str, name: str, text: str) -> bool:
        """Whether a piece is more of a call rather than the first of another."""
        if not name:
            return True
        if not call.name:
            return True  # arguments came before the name
        if name != call.name:
            return self._is_rest_of_name(call, name)
        if call.is_whole:
            # The same call again: a summary if it has the same arguments and no id of
            # its own, else another call of the same function.
            return (not call_id or call_id == call.id) and _repeats(call, text)
        return bool(call.pieces) or not call_id or not call.id or call_id == call.id

    def calls(self, is_cut: bool = False) -> list[Object] | None:
        """Return the calls as parts of the wire, in order; None if one is not whole.

        Args:
            is_cut: Whether more was to come: then a last call without arguments lacks them.
        """
        if is_cut and not self._calls[-1].pieces:
            return None
        parts: list[Object] = []
        for call in self._calls:
            arguments = call.arguments
            if arguments is None or not call.name:
                return None
            made: Object = {"name": call.name, "args": arguments}
            part: Object = {"functionCall": {"id": call.id, **made} if call.id else made}
            if call.extra:
                part["partMetadata"] = {"extra_content": call.extra}
            parts.append(part)
        return parts

    def as_text(self) -> str:
        """Return what came, for whoever must find out why it is not whole."""
        return "; ".join(f"{call.name}({''.join(call.pieces)})" for call in self._calls)


def _repeats(call: _Call, text: str) -> bool:
    """Whether a piece says once more what a call's arguments are."""
    if not call.is_whole:
        return False
    return not text or _object(text) == call.arguments


def _object(text: str) -> Object | None:
    """Read arguments; some servers wrap the JSON text in a JSON string."""
    try:
        found = parsed(text.encode())
        if isinstance(found, str):
            found = parsed(found.encode()) if found.strip() else {}
    except (MalformedReply, UnicodeEncodeError):
        return None
    if found is None:
        return {}
    return found if isinstance(found, dict) else None
