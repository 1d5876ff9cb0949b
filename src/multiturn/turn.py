"""One turn, as a generator of steps: it decides, and never does.

The rule of a turn stands here once: ask the model, ask again what may be asked again,
have the functions run that it calls, ask with their results, and commit the whole when
it has answered.  Steps are plain data, carried out by ``drive.py``, which sends the
outcome back or throws the error in.  No I/O happens here, and no clock is read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from multiturn.calls import (
    Call,
    CallRules,
    Waiting,
    calls_in,
    calls_of,
    forced_first,
    is_models,
    with_mode,
)
from multiturn.errors import (
    BackendError,
    BlockedPromptException,
    BrokenResponseError,
    StopCandidateException,
    TooManyRounds,
    TurnCancelled,
)
from multiturn.messages.candidate import Candidate, FinishReason, GenerateContentResponse
from multiturn.messages.content import Content
from multiturn.messages.message import Object, copy_json
from multiturn.reply import Reply
from multiturn.request import Request

if TYPE_CHECKING:
    from multiturn.retry import RetryRule

T = TypeVar("T")

# Reasons for which an answer is whole: it said all, or as much as it was allowed.
_WHOLE = (
    FinishReason.STOP,
    FinishReason.MAX_TOKENS,
    FinishReason.FINISH_REASON_UNSPECIFIED,  # said, not absent: an answer that came in one
)
# Reasons that blame the form of a call, which another try may mend.
# By name, since a server may know more of them than this release.
_MALFORMED = (
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MALFORMED_RESPONSE",
)


class AskModel(NamedTuple):
    """Ask the backend; the chunks go into ``reply``, which is the outcome."""

    request: Request
    reply: Reply


class Wait(NamedTuple):
    """Wait before the next step, or raise ``error`` if the time for the call is too short."""

    seconds: float
    error: Exception | None = None
    total_seconds: float | None = None


class RunCalls(NamedTuple):
    """Run functions; the outcome is their results as parts, in the order of the calls.

    None begins while another waits for approval: then the outcome is a ``Waiting``.

    Attributes:
        calls: What is to be run.
        decisions: By index of a call, True to run it, False or a reason not to.
        results: By index of a call that an earlier try has begun, the part that answers
            it, None if its end is not known; these are not run again.
    """

    calls: tuple[Call, ...]
    decisions: Mapping[int, bool | str] = {}
    results: Mapping[int, Object | None] = {}


class Note(NamedTuple):
    """Note in the journal how far the turn has come."""

    contents: tuple[Content, ...]


class Pause(NamedTuple):
    """Keep the turn as far as it has come; its last content holds calls that wait."""

    contents: tuple[Content, ...]
    waiting: Waiting


class Commit(NamedTuple):
    """Add these contents, oldest first, to the history, as one turn."""

    contents: tuple[Content, ...]


Step: TypeAlias = AskModel | Wait | RunCalls | Note | Pause | Commit
# What a driver sends back: a Reply for AskModel, parts or a Waiting for RunCalls, else None.
Steps: TypeAlias = Generator[Step, Any, None]


def turn(
    request: Request,
    said: tuple[Content, ...],
    retry: RetryRule,
    rules: CallRules | None = None,
    decisions: Mapping[int, bool | str] | None = None,
    results: Mapping[int, Object | None] | None = None,
) -> Steps:
    """Ask, run what is called, ask again; commit when the model has answered.

    Args:
        request: The conversation, with or without what this turn holds already.
        said: What this turn holds already: the user's message, or, when a turn goes on
            that was paused or failed, everything up to there.
        retry: When to ask again.
        rules: Which functions may be run, and how often; None runs none.
        decisions: For the calls that ``said`` ends with, as in RunCalls.
        results: For the same calls, as in RunCalls.

    Raises:
        BlockedPromptException: The prompt was refused.
        StopCandidateException: The answer ended for a bad or an unknown reason.
        BrokenResponseError: The answer did not end, or there was none.
        TooManyRounds: The model went on calling functions beyond the limit.
        BackendError, ToolError: As they came.
    """
    rounds = sum([is_models(content) for content in said])
    calls = calls_of(said[-1])
    while True:
        if not calls:
            rounds += 1
            asked = _round(request, said, rounds, rules)
            content, calls = yield from ask(
                asked, retry, judged, rules.malformed_retries if rules else 0
            )
            said = (*said, content)
            if not calls or rules is None or not rules.can_run(calls):
                yield Commit(said)
                return
        assert rules is not None
        if rounds > rules.max_rounds or (rounds == rules.max_rounds and rules.on_limit == "raise"):
            raise TooManyRounds(rules.max_rounds, calls)
        yield Note(said)
        parts = yield RunCalls(calls, decisions or {}, results or {})
        if isinstance(parts, Waiting):
            yield Pause(said, parts)
            return
        decisions, results, calls = None, None, ()
        said = (*said, Content.view({"parts": parts, "role": "user"}, frozen=True))
        yield Note(said)


def _round(
    request: Request, said: tuple[Content, ...], number: int, rules: CallRules | None
) -> Request:
    """Return what is asked in a round, the first being 1."""
    new = said[len(request.contents.more) :]
    if new:
        request = request.with_contents(request.contents.plus(*new))
    if rules is None:
        return request
    if number > rules.max_rounds:  # the last word, by option: an answer without functions
        return request._replace(tool_config=with_mode(request.tool_config, "NONE"))
    tool_config = forced_first(request.tool_config, number)
    if tool_config is request.tool_config:
        return request
    return request._replace(tool_config=tool_config)


def answer(request: Request, retry: RetryRule) -> Steps:
    """Ask once, outside a conversation; whatever ended is given to the caller."""
    whole = yield from ask(request, retry, _ended)
    # Not streamed, the caller sees it in the response; from an empty iteration nobody would.
    if request.stream and _is_blocked(whole):
        response = _response(whole)
        raise BlockedPromptException(response, response)


def _ended(reply: Reply) -> Object:
    whole = reply.whole()
    require_end(whole)
    return whole


def ask(
    request: Request, retry: RetryRule, judge: Callable[[Reply], T], malformed_retries: int = 0
) -> Generator[Step, Any, T]:
    """Ask until there is an answer; once a piece of it was shown, nothing is asked again.

    Args:
        request: What is asked.
        retry: When to ask again after an error.
        judge: Returns what is wanted of the reply, or raises.
        malformed_retries: How often to ask anew if a call in the answer was malformed.
    """
    attempt = 0
    while True:
        attempt += 1
        step = AskModel(request, Reply())
        wait = None
        try:
            return judge((yield step))
        except TurnCancelled as error:
            error.partial_text = step.reply.text
            raise
        except (StopCandidateException, NamelessCall) as error:
            was_shown = request.stream and step.reply.text
            if not malformed_retries or was_shown or not is_malformed_call(error):
                raise
            malformed_retries, attempt = malformed_retries - 1, 0
        except BackendError as error:
            error.attempts = attempt
            error.partial_text = error.partial_text or step.reply.text
            pause = None if step.reply.has_content else retry.pause_seconds(attempt, error)
            if pause is None:
                raise
            wait = Wait(pause, error, retry.total_seconds)
        if wait is not None:
            yield wait


def judged(reply: Reply) -> tuple[Content, tuple[Call, ...]]:
    """Return the model's content of a reply that a history can hold, and its calls, or raise."""
    whole = reply.whole()
    candidates = whole.get("candidates")
    if not candidates and _is_blocked(whole):
        response = _response(whole)
        raise BlockedPromptException(response.prompt_feedback, response)
    require_end(whole)
    assert candidates
    reason = candidates[0]["finishReason"]
    if reason != "STOP" and Candidate.view(candidates[0]).finish_reason not in _WHOLE:
        response = _response(whole)
        raise StopCandidateException(response.candidates[0], response)
    parts = (candidates[0].get("content") or {}).get("parts") or []
    calls = calls_in(parts)
    for call in calls:
        if not call.name:
            raise NamelessCall(
                "the model called a function without saying which; send the message again",
                _response(whole),
            )
    return Content.view({"parts": parts, "role": "model"}, frozen=True), calls


def require_end(whole: Object) -> None:
    """Raise BrokenResponseError unless a reply has an answer, and the answer an end."""
    candidates = whole.get("candidates")
    if not candidates:
        if _is_blocked(whole):
            return
        raise BrokenResponseError(
            "the reply ended without any answer; send it again", _response(whole)
        )
    if not candidates[0].get("finishReason"):
        raise BrokenResponseError(
            "the reply stopped arriving before it was whole (it gave no finish reason); "
            "what had arrived is in .response; send the message again",
            _response(whole),
        )


def _is_blocked(whole: Object) -> bool:
    return bool(GenerateContentResponse.view(whole).prompt_feedback.block_reason)


def _response(whole: Object) -> GenerateContentResponse:
    """Return a reply for whoever handles an error, made anew."""
    return GenerateContentResponse.view(copy_json(whole))


class NamelessCall(BrokenResponseError):
    """A call does not say what is to be called, and no result could be told to it."""


def kept(contents: tuple[Content, ...], received: Object | None) -> tuple[Content, ...] | None:
    """Return what is kept of a turn that did not end, None if no text of an answer is there.

    It ends with the model's words, so that the next request is valid: calls that have no
    results are left out.

    Args:
        contents: The turn as far as it came, from the user's message on.
        received: What had arrived after them, as the wire's GenerateContentResponse.
    """
    if contents[-1].role == "model":  # its calls are what the turn was at
        contents, answer = contents[:-1], contents[-1].json_object
    else:
        answer = ((received or {}).get("candidates") or [{}])[0].get("content") or {}
    parts = [part for part in answer.get("parts") or () if "functionCall" not in part]
    if not any(part.get("text") and not part.get("thought") for part in parts):
        return None
    return (*contents, Content.view({"parts": parts, "role": "model"}, frozen=True))


def is_malformed_call(error: StopCandidateException | NamelessCall) -> bool:
    """Return whether an answer failed for the form of a call in it."""
    if isinstance(error, NamelessCall):
        return True
    candidate = error.candidate
    return candidate is not None and candidate.finish_reason.name in _MALFORMED
