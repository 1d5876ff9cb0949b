"""Every error that multiturn raises, as one tree.

    MultiturnError
    ├─ UsageError (also ValueError)            called wrongly; nothing was sent
    │   ├─ InvalidContent (also TypeError)     .path .value .expected
    │   ├─ FrozenContent (also AttributeError) a content of a history was written to
    │   ├─ UnknownName (also LookupError)      .kind .name .known
    │   ├─ SchemaError                         no schema says it   .function .parameter .reason
    │   ├─ ArgumentMismatch                    not what the type says   .path .value .expected
    │   ├─ InvalidResult                       JSON cannot hold it   .path .value .expected
    │   ├─ IncompleteIterationError            the reply is still arriving
    │   ├─ MissingKey                          the model's server wants a key; none is set
    │   ├─ NoSuchTurn (also IndexError)        .turns
    │   └─ SessionBusy (also RuntimeError)     another turn of this session is open
    ├─ BackendError                            the model could not be asked   .backend .server
    │   ├─ ContextTooLong                      .prompt_tokens .context_tokens
    │   ├─ MalformedReply                      .excerpt
    │   ├─ ConnectionFailed (also ConnectionError)
    │   ├─ TimedOut (also TimeoutError)
    │   ├─ StatusError                         .status .code .details .request_id
    │   │   └─ as in google.api_core.exceptions, see google_errors.py
    │   └─ EngineError                         the embedded engine failed   .code
    │       └─ WeightsError                    .path
    │           ├─ WeightsMissing              .name
    │           ├─ WeightsBroken               .reason
    │           └─ DownloadFailed              .name .reason
    ├─ ReplyError                              the model answered, but not with a turn   .response
    │   ├─ BlockedPromptException
    │   ├─ StopCandidateException              .candidate
    │   ├─ BrokenResponseError
    │   └─ TooManyRounds                       .rounds .calls
    ├─ ToolError                               a function raised   .call
    ├─ StoreError                              a store failed, see stores/errors.py  .store
    ├─ ApprovalNeeded                          calls wait for approval   .calls
    └─ TurnCancelled                           .partial_text

A class exists where a caller would act differently.  The names that end in
``Exception`` are those of google.generativeai 0.8.6, which programs catch.
Every error can be pickled; none carries a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    from multiturn.calls import Call
    from multiturn.messages.candidate import Candidate

ErrorT = TypeVar("ErrorT", bound=BaseException)

_SHOWN_CHARACTERS = 80


def safe_repr(value: object) -> str:
    """Return ``repr(value)``, or the name of its type if that fails."""
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__} whose repr fails>"


def shown(value: object) -> str:
    """Return ``repr(value)`` cut to one readable line, for use in a message."""
    text = " ".join(line.strip() for line in safe_repr(value).split("\n"))
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


class MultiturnError(Exception):
    """Anything that multiturn raises.

    Attributes:
        retryable: Whether the same call may succeed later, unchanged.
    """

    retryable: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuilt, (type(self), self.args, self.__dict__)


def rebuilt(error_type: type[ErrorT], args: tuple[Any, ...], state: dict[str, Any]) -> ErrorT:
    """Make an error without running a constructor that wants keywords."""
    error = error_type.__new__(error_type, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def without_traceback(error: BaseException | None) -> BaseException | None:
    """Return a copy to keep: a traceback keeps every variable of every caller alive."""
    if error is None:
        return None
    try:
        return rebuilt(type(error), error.args, error.__dict__)
    except Exception:
        return picklable(error)


def picklable(error: BaseException | None) -> BaseException | None:
    """Return an error that pickle can take along: a foreign one by its name and message."""
    if error is None or isinstance(error, MultiturnError):
        return error
    name, message = type(error).__name__, str(error)
    return BackendError(f"{name}: {message}" if message else name)


class UsageError(MultiturnError, ValueError):
    """The call was wrong; nothing was sent and nothing has changed."""


class InvalidContent(UsageError, TypeError):
    """A value cannot be taken, or cannot become what the model is sent.

    Attributes:
        path: The argument's name, or a place in it as ``$.contents[0].parts[1].text``.
        value: The value itself.
        expected: What would have been accepted, in words.
    """

    def __init__(self, path: str, value: object, expected: str) -> None:
        super().__init__(f"{path} is {shown(value)}; expected {expected}")
        self.path, self.value, self.expected = path, value, expected


class FrozenContent(UsageError, AttributeError):
    """A content that belongs to a history was written to; histories do not change."""

    def __init__(self, type_name: str) -> None:
        super().__init__(
            f"this {type_name} belongs to a conversation's history, which does not change; "
            "change a copy (copy.deepcopy) and assign the edited list to chat.history"
        )
        self.type_name = type_name


class UnknownName(UsageError, LookupError):
    """No model, backend or option has this name.

    Attributes:
        kind: What was looked for, as ``model``.
        name: The name as given.
        known: The names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], advice: str = "") -> None:
        from difflib import get_close_matches

        self.kind, self.name, self.known = kind, name, sorted(known)
        near = get_close_matches(name, self.known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self.known)}"
        super().__init__(f"no {kind} is named {name!r}; {advice or hint}")

    def __str__(self) -> str:
        return str(self.args[0])


class SchemaError(UsageError):
    """A function or a type cannot be described to a model, or not in a provider's words.

    Attributes:
        function: Name of the function, or of the type.
        parameter: Where in it, as ``order.lines[]``; None for the whole.
        reason: Why, and what to do.
    """

    def __init__(self, function: str, parameter: str | None, reason: str) -> None:
        place = f"{function}, {parameter!r}" if parameter else function
        super().__init__(f"{place}: {reason}")
        self.function, self.parameter, self.reason = function, parameter, reason


class ArgumentMismatch(UsageError):
    """A JSON value, as a model wrote it, is not what the declared type says.

    Attributes:
        path: Where it stands, as ``$.lines[2].price``.
        value: The value itself.
        expected: What would have been accepted, in words.
    """

    def __init__(self, path: str, value: object, expected: str) -> None:
        super().__init__(f"{path} is {shown(value)}; expected {expected}")
        self.path, self.value, self.expected = path, value, expected


class InvalidResult(UsageError):
    """What a function returned cannot be told to a model: JSON has no form for it.

    Attributes:
        path: Where it stands, as ``$.rows[3]``.
        value: The value itself.
        expected: What would have been accepted, in words.
    """

    def __init__(self, path: str, value: object, expected: str) -> None:
        super().__init__(f"{path} is {shown(value)}; expected {expected}")
        self.path, self.value, self.expected = path, value, expected


class IncompleteIterationError(UsageError):
    """The reply is still arriving: iterate it to its end, or call ``resolve()``."""


class MissingKey(UsageError):
    """The model's server wants an API key or credentials, and none are set."""


class NoSuchTurn(UsageError, IndexError):
    """The history, which has ``turns`` turns, has none to go back or forward to."""

    def __init__(self, message: str, turns: int) -> None:
        super().__init__(message)
        self.turns = turns


class SessionBusy(UsageError, RuntimeError):
    """Another turn of this session is open, and this one may not wait for it."""


class BackendError(MultiturnError):
    """The model could not be asked, or its answer was lost on the way.

    Attributes:
        backend: Name of the backend.
        partial_text: What had arrived before, "" if nothing.
        attempts: How many requests were made in all.
        retry_after_seconds: How long the server asked to wait, None if it did not say.
        not_waited: Why that was too long, "" if it was not.
        server: Host of the server that was asked, with an unusual port; "" if none was.
    """

    attempts: int = 1
    server: str = ""
    retry_after_seconds: float | None = None
    not_waited: str = ""

    def __init__(
        self, message: str, *, backend: str = "", retryable: bool = False, partial_text: str = ""
    ) -> None:
        super().__init__(message)
        self.backend, self.retryable, self.partial_text = backend, retryable, partial_text


class ContextTooLong(BackendError):
    """The conversation does not fit the model's window: ``prompt_tokens``, ``context_tokens``.

    The answer has to fit into the window too.
    """

    def __init__(self, prompt_tokens: int, context_tokens: int, *, backend: str = "") -> None:
        more = "backend=multiturn.EmbeddedBackend(context_tokens=…)"
        super().__init__(
            f"the conversation has {prompt_tokens} tokens and the model's context window holds "
            f"{context_tokens}; rewind or shorten the history, or take "
            f"{more if backend == 'embedded' else 'a model with a larger one'}",
            backend=backend,
        )
        self.prompt_tokens, self.context_tokens = prompt_tokens, context_tokens


class MalformedReply(BackendError):
    """The backend sent something that its protocol does not allow.

    Attributes:
        excerpt: The first characters of it.
    """

    def __init__(self, message: str, excerpt: object = "", *, backend: str = "") -> None:
        super().__init__(message, backend=backend)
        self.excerpt = shown(excerpt)


class ConnectionFailed(BackendError, ConnectionError):
    """The server could not be reached, or the connection broke before the answer was whole."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message, retryable=retryable)


class TimedOut(BackendError, TimeoutError):
    """The server, or the call as a whole, took longer than it may."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message, retryable=retryable)


class StatusError(BackendError):
    """The server answered with an error.

    Raised as one of its children in ``google_errors.py``, whose names and tree are those
    of google.api_core.exceptions; where the program has loaded that module, the error is
    an instance of its class too.

    Attributes:
        message: What the server said.
        status: The server's name for it, as ``RESOURCE_EXHAUSTED``; "" if it gave none.
        code: The HTTP status, as 429.
        request_id: The server's name for the request, "" if it gave none.
    """

    code: int | None = None

    def __init__(
        self,
        message: str,
        *,
        status: str = "",
        code: int | None = None,
        details: Sequence[Any] = (),
        request_id: str = "",
        retryable: bool = False,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, retryable=retryable)
        self.message, self.status, self.request_id = message, status, request_id
        self.code = self.code if code is None else code
        self.retry_after_seconds = retry_after_seconds
        self._details = list(details)

    @property
    def details(self) -> list[Any]:
        """The server's details: dicts of google.rpc types, told apart by ``@type``."""
        return list(self._details)

    def __str__(self) -> str:
        told = " ".join(str(part) for part in (self.code, self.status, self.message) if part)
        if not self.not_waited:
            return told
        asked = f"{self.retry_after_seconds or 0:.10g} seconds"
        return f"{told}; the server asks to wait {asked}, {self.not_waited}"


class EngineError(BackendError):
    """The embedded engine could not load the model or failed; ``code`` is its own, or None."""

    def __init__(self, message: str, *, code: int | str | None = None) -> None:
        super().__init__(message, backend="embedded")
        self.code = code


class WeightsError(EngineError):
    """The file that holds a model's weights, ``path``, cannot be used; None: there is none."""

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class WeightsMissing(WeightsError):
    """The weights are not on this machine and may not, or cannot, be fetched."""

    def __init__(self, name: str, advice: str, *, path: Path | None = None) -> None:
        super().__init__(f"the weights of {name!r} are not on this machine; {advice}", path=path)
        self.name = name


class WeightsBroken(WeightsError):
    """The file is not what it should be: truncated, changed, or of another kind."""

    def __init__(self, path: Path, reason: str, advice: str) -> None:
        super().__init__(f"the weights in {path} cannot be used: {reason}; {advice}", path=path)
        self.reason = reason


class DownloadFailed(WeightsError):
    """Fetching the weights did not succeed; what was on disk before is untouched.

    Attributes:
        name: The model.
        reason: What went wrong, in words.
    """

    def __init__(
        self,
        name: str,
        reason: str,
        advice: str,
        *,
        path: Path | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(f"fetching the weights of {name!r} failed: {reason}; {advice}", path=path)
        self.name, self.reason = name, reason
        self.retryable = retryable


class ReplyError(MultiturnError):
    """The model answered, but not with something that a history can hold.

    Attributes:
        response: What had arrived, None if nothing had.
    """

    def __init__(self, message: object, response: object | None = None) -> None:
        super().__init__(message)
        self.response = response


class BlockedPromptException(ReplyError):
    """The prompt was refused; ``args[0]`` is a chat's PromptFeedback, as in 0.8.6."""

    def __str__(self) -> str:
        feedback = getattr(self.response, "prompt_feedback", None)
        if not feedback:
            return super().__str__()
        return (
            "the prompt was refused and not added to the history; say it differently, or change "
            f"the safety settings: {feedback!r}"
        )


class StopCandidateException(ReplyError):
    """The answer ended for a reason other than being complete."""

    @property
    def candidate(self) -> Candidate | None:
        """The candidate as far as it arrived."""
        return self.args[0] if self.args and not isinstance(self.args[0], str) else None

    def __str__(self) -> str:
        candidate = self.candidate
        if candidate is None:
            return super().__str__()
        reason, said = candidate.finish_reason, candidate.finish_message
        told = f" ({' '.join(said.split())[:500]})" if said else ""
        return (
            f"the answer ended with finish reason {getattr(reason, 'name', reason)}{told} and was "
            "not added to the history; what had arrived is in .candidate: "
            f"{shown(candidate.content.text)}"
        )


class BrokenResponseError(ReplyError):
    """The answer stopped arriving before it was whole."""


class TooManyRounds(ReplyError):
    """The model went on calling: ``calls``, beyond the limit of ``rounds``."""

    def __init__(self, rounds: int, calls: tuple[Call, ...]) -> None:
        super().__init__(
            f"the model was asked {rounds} times in this turn and still calls "
            f"{', '.join(call.name for call in calls)}; raise max_rounds, or say "
            "on_round_limit='answer' for a last answer without functions"
        )
        self.rounds, self.calls = rounds, calls


class ToolError(MultiturnError):
    """A function raised, and ``on_tool_error="raise"``; its own error is the ``__cause__``.

    ``chat.retry()`` goes on from there: the model is told of the error, and nothing that
    has run is run again.

    Attributes:
        call: Which call it was.
        result: The part that tells the model of it.
    """

    def __init__(self, call: Call, reason: str, result: dict[str, Any] | None = None) -> None:
        told = f"the function {call.name!r} failed: {reason}"
        super().__init__(f"{told}; nothing was added to the history")
        self.call, self.result = call, result or {}


class ApprovalNeeded(MultiturnError):
    """The model wants functions called that a person must approve first.

    ``chat.pending`` holds the calls; decide on each and go on with ``chat.resume()``.

    Attributes:
        calls: Those that wait for a decision; ``chat.pending.others`` are beside them.
    """

    def __init__(self, calls: tuple[Call, ...]) -> None:
        names = ", ".join(call.name for call in calls)
        super().__init__(
            f"the model wants to call {names}, which needs approval; decide with "
            "chat.pending.approve() or chat.pending.refuse(), then call chat.resume()"
        )
        self.calls = calls


class TurnCancelled(MultiturnError):
    """The turn was cancelled; nothing was added to the history.

    Attributes:
        partial_text: What had arrived before, "" if nothing.
    """

    def __init__(self, message: str = "the turn was cancelled", partial_text: str = "") -> None:
        super().__init__(message)
        self.partial_text = partial_text
