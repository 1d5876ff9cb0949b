"""A call that did not work: what the model is told of it, and the log."""

from __future__ import annotations

from typing import TypeAlias

from multiturn.calls import Call
from multiturn.messages.message import Object

# What the model is told of a call, and the media that go beside it.
Told: TypeAlias = tuple[Object, list[Object]]

# A model needs the gist; some libraries put whole documents into their messages.
_MESSAGE_CHARACTERS = 2_000


class Declined(Exception):
    """A call is not made; the model is told so.

    Attributes:
        told: What it is told.
        failure: What code of the user's raised, None if none did.
    """

    def __init__(self, kind: str, message: str, failure: Exception | None = None) -> None:
        super().__init__(message)
        self.told: Told = (error_object(kind, message), [])
        self.failure = failure


def error_object(kind: str, message: str) -> Object:
    """Return what the model reads when a call did not work: never arguments, never a traceback."""
    text = message.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return {"error": {"type": kind, "message": text[:_MESSAGE_CHARACTERS]}}


def told_of(error: Exception) -> Told:
    """Return what the model is told of what a function raised."""
    return error_object(type(error).__name__, message_of(error)), []


def message_of(error: Exception) -> str:
    """Return the message of any error."""
    try:
        return str(error)
    except Exception:
        return "its message cannot be shown"


def log_failure(call: Call, error: Exception) -> None:
    """Write what a function raised to the log ``multiturn.tools``, with its traceback.

    A program that has set up no logging sees nothing of it.
    """
    import logging

    logger = logging.getLogger("multiturn.tools")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.warning("the function %r failed, and the model is told so", call.name, exc_info=error)
