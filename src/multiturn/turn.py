"""One turn, as a generator of steps: it decides, and never does.

The rule of a turn stands here once: ask the model, ask again what may be asked again,
judge the answer, commit.  Steps are plain data, carried out by ``drive.py``, which
sends the outcome back or throws the error in.  No I/O happens here, and no clock is
read.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeAlias

from multiturn.candidate import Candidate, FinishReason, GenerateContentResponse
from multiturn.content import Content
from multiturn.errors import (
    BackendError,
    BlockedPromptException,
    BrokenResponseError,
    StopCandidateException,
    TurnCancelled,
)
from multiturn.message import Object
from multiturn.reply import Reply
from multiturn.request import Request
from multiturn.retry import Retry

# Reasons for which an answer is whole: it said all, or as much as it was allowed.
_WHOLE = (FinishReason.STOP, FinishReason.MAX_TOKENS)


class AskModel(NamedTuple):
    """Ask the backend; the chunks go into ``reply``, which is the outcome."""

    request: Request
    reply: Reply


class Wait(NamedTuple):
    """Wait before the next step."""

    seconds: float


class Commit(NamedTuple):
    """Add these contents, oldest first, to the history, as one turn."""

    contents: tuple[Content, ...]


Step: TypeAlias = AskModel | Wait | Commit
# What a driver sends back: a Reply for AskModel, None for the others.
Steps: TypeAlias = Generator[Step, Any, None]


def turn(request: Request, message: Content, retry: Retry) -> Steps:
    """Ask once, and commit the message with its answer.

    Args:
        request: The conversation so far with ``message`` at its end.
        message: What the user says.
        retry: When to ask again.

    Raises:
        BlockedPromptException: The prompt was refused.
        StopCandidateException: The answer ended for a bad or an unknown reason.
        BrokenResponseError: The answer did not end, or there was none.
        BackendError: The backend's own, as it came.
    """
    reply = yield from ask(request, retry)
    yield Commit((message, judged(reply)))


def answer(request: Request, retry: Retry) -> Steps:
    """Ask once, outside a conversation; whatever ended is given to the caller."""
    reply = yield from ask(request, retry)
    require_end(reply.whole())


def ask(request: Request, retry: Retry) -> Generator[Step, Any, Reply]:
    """Ask until an answer begins; once a piece of it was shown, nothing is asked again."""
    attempt = 0
    while True:
        attempt += 1
        step = AskModel(request, Reply())
        try:
            reply: Reply = yield step
            return reply
        except TurnCancelled as error:
            error.partial_text = step.reply.text
            raise
        except BackendError as error:
            error.attempts = attempt
            error.partial_text = error.partial_text or step.reply.text
            pause = None if step.reply.has_content else retry.pause_seconds(attempt, error)
            if pause is None:
                raise
        yield Wait(pause)


def judged(reply: Reply) -> Content:
    """Return the model's content of a reply that a history can hold, or raise."""
    whole = reply.whole()
    response = GenerateContentResponse.view(whole)
    candidates = whole.get("candidates") or []
    if not candidates and response.prompt_feedback.block_reason:
        raise BlockedPromptException(response, response)
    require_end(whole)
    candidate = Candidate.view(candidates[0])
    if candidate.finish_reason not in _WHOLE:
        raise StopCandidateException(candidate, response)
    content = candidates[0].get("content") or {}
    return Content.view({"parts": content.get("parts") or [], "role": "model"})


def require_end(whole: Object) -> None:
    """Raise BrokenResponseError unless a reply has an answer, and the answer an end."""
    response = GenerateContentResponse.view(whole)
    candidates = whole.get("candidates") or []
    if not candidates:
        if response.prompt_feedback.block_reason:
            return
        raise BrokenResponseError("the reply ended without any answer; send it again", response)
    if not candidates[0].get("finishReason"):
        raise BrokenResponseError(
            "the reply stopped arriving before it was whole (it gave no finish reason); "
            "what had arrived is in .response; send the message again",
            response,
        )
