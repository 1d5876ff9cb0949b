"""Stored conversations with a model that says what it was told."""

from __future__ import annotations

from multiturn import ChatSession, GenerativeModel
from multiturn.request import Request
from multiturn.stores.protocol import Store
from multiturn.testing import ScriptedBackend


def answered(request: Request) -> str:
    return f"to {request.contents[-1].text}"


def opened(store: Store, name: str = "ada") -> ChatSession:
    backend = ScriptedBackend(answered, repeat=True)
    return GenerativeModel(backend=backend).start_chat(session=name, store=store)
