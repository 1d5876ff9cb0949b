"""The errors of servers, by the names and in the tree of google.api_core.exceptions.

Programs written for google.generativeai catch these.  Nothing of Google's is imported:
where the program itself has loaded ``google.api_core.exceptions``, what we raise is made
an instance of its class too (``as_google``).
"""

from __future__ import annotations

import sys
from typing import Any

from multiturn.errors import (
    BackendError,
    ConnectionFailed,
    MultiturnError,
    StatusError,
    TimedOut,
    rebuilt,
)

_GOOGLE = "google.api_core.exceptions"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


class GoogleAPIError(StatusError):
    """Any error of a server."""


class GoogleAPICallError(GoogleAPIError):
    """Any error with which a server answered a call.

    Attributes:
        reason, domain, metadata: Of the ErrorInfo among the details; None without one.
    """

    @property
    def reason(self) -> str | None:
        """Why, as ``RATE_LIMIT_EXCEEDED``."""
        reason: str | None = self._error_information("reason")
        return reason

    @property
    def domain(self) -> str | None:
        """Whose reasons these are, as ``googleapis.com``."""
        domain: str | None = self._error_information("domain")
        return domain

    @property
    def metadata(self) -> dict[str, str] | None:
        """What the reason is about."""
        metadata: dict[str, str] | None = self._error_information("metadata")
        return metadata

    @property
    def errors(self) -> list[Any]:
        """Always empty: no error of gRPC lies below."""
        return []

    @property
    def response(self) -> None:
        """Always None: no response of gRPC or requests lies below."""

    def _error_information(self, name: str) -> Any:
        found = (d for d in self.details if isinstance(d, dict) and d.get("@type") == _ERROR_INFO)
        return next(found, {}).get(name)


class Redirection(GoogleAPICallError):
    """The server sent us elsewhere; we never go."""


class MovedPermanently(Redirection):
    """The server has moved."""

    code = 301


class NotModified(Redirection):
    """Nothing has changed."""

    code = 304


class TemporaryRedirect(Redirection):
    """The server has moved for a while."""

    code = 307


class ResumeIncomplete(Redirection):
    """More of an upload is wanted, or the server has moved."""

    code = 308


class ClientError(GoogleAPICallError):
    """The request was at fault (4xx)."""


class BadRequest(ClientError):
    """The server does not understand the request."""

    code = 400


class InvalidArgument(BadRequest):
    """Something in the request is not allowed; a wrong API key too."""


class FailedPrecondition(BadRequest):
    """The server is not in the state that the request needs."""


class OutOfRange(BadRequest):
    """Something in the request is beyond what there is."""


class Unauthorized(ClientError):
    """The server does not know who asks."""

    code = 401


class Unauthenticated(Unauthorized):
    """The credentials are missing, wrong or expired."""


class Forbidden(ClientError):
    """Who asks may not."""

    code = 403


class PermissionDenied(Forbidden):
    """The key or account may not do this, or the file is not there."""


class NotFound(ClientError):
    """The model, cache or file is not known."""

    code = 404


class MethodNotAllowed(ClientError):
    """The address does not take this kind of request."""

    code = 405


class Conflict(ClientError):
    """The request contradicts the state of the server."""

    code = 409


class AlreadyExists(Conflict):
    """What should be made is there already."""


class Aborted(Conflict):
    """Another request was in the way."""


class LengthRequired(ClientError):
    """The length is missing."""

    code = 411


class PreconditionFailed(ClientError):
    """A condition of the request does not hold."""

    code = 412


class RequestRangeNotSatisfiable(ClientError):
    """The range is beyond the end."""

    code = 416


class TooManyRequests(ClientError):
    """Too many requests in too short a time."""

    code = 429


class ResourceExhausted(TooManyRequests):
    """A rate limit or a quota is used up; ``retry_after_seconds`` may say for how long."""


class Cancelled(ClientError):
    """The call was given up by the caller."""

    code = 499


class ServerError(GoogleAPICallError):
    """The server was at fault (5xx)."""


class InternalServerError(ServerError):
    """The server failed."""

    code = 500


class Unknown(ServerError):
    """The server failed and does not know why."""


class DataLoss(ServerError):
    """The server lost something for good."""


class MethodNotImplemented(ServerError):
    """The server does not know how."""

    code = 501


class BadGateway(ServerError):
    """A server on the way got no answer it understood."""

    code = 502


class ServiceUnavailable(ServerError):
    """The server is overloaded or down."""

    code = 503


class GatewayTimeout(ServerError):
    """A server on the way got no answer in time."""

    code = 504


class DeadlineExceeded(GatewayTimeout):
    """The server took longer than it may."""


class RetryError(GoogleAPIError):
    """The time of a Retry around a call is over; within a call we raise the last error itself.

    Attributes:
        cause: The last error.
    """

    def __init__(self, message: str, cause: Exception | None = None) -> None:
        super().__init__(message)
        self.cause = cause


_BY_STATUS: dict[str, type[GoogleAPICallError]] = {
    "CANCELLED": Cancelled,
    "UNKNOWN": Unknown,
    "INVALID_ARGUMENT": InvalidArgument,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "PERMISSION_DENIED": PermissionDenied,
    "UNAUTHENTICATED": Unauthenticated,
    "RESOURCE_EXHAUSTED": ResourceExhausted,
    "FAILED_PRECONDITION": FailedPrecondition,
    "ABORTED": Aborted,
    "OUT_OF_RANGE": OutOfRange,
    "UNIMPLEMENTED": MethodNotImplemented,
    "INTERNAL": InternalServerError,
    "UNAVAILABLE": ServiceUnavailable,
    "DATA_LOSS": DataLoss,
}
# What gRPC, the old SDK's usual way, would have named a plain HTTP status.
_BY_CODE: dict[int, type[GoogleAPICallError]] = {
    301: MovedPermanently,
    304: NotModified,
    307: TemporaryRedirect,
    308: ResumeIncomplete,
    400: InvalidArgument,
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    411: LengthRequired,
    412: PreconditionFailed,
    416: RequestRangeNotSatisfiable,
    429: ResourceExhausted,
    499: Cancelled,
    500: InternalServerError,
    501: MethodNotImplemented,
    502: BadGateway,
    503: ServiceUnavailable,
    504: DeadlineExceeded,
}


def class_for(code: int, status: str) -> type[GoogleAPICallError]:
    """Return the class for what a server answered; ``status`` wins over ``code``."""
    found = _BY_STATUS.get(status) or _BY_CODE.get(code)
    if found is None:
        groups = {3: Redirection, 4: ClientError, 5: ServerError}
        found = groups.get(code // 100, GoogleAPICallError)
    return found


def as_google(error: BackendError) -> BackendError:
    """Return an error as an instance of Google's class too, if the program has loaded that.

    A call that timed out is DeadlineExceeded there, a failed connection
    ServiceUnavailable, as they were with the old SDK.
    """
    theirs = sys.modules.get(_GOOGLE)
    if theirs is None:
        return error
    for ours in type(error).__mro__:
        is_theirs = issubclass(ours, GoogleAPIError)
        name = ours.__name__ if is_theirs else _NAMES.get(ours, "")
        google = getattr(theirs, name, None)
        if isinstance(google, type) and not isinstance(error, google):
            state = {**_READ_BY_GOOGLE, "message": str(error), **error.__dict__}
            twin = rebuilt(_twin(type(error), google), error.args, state)
            twin.with_traceback(error.__traceback__)
            twin.__cause__, twin.__suppress_context__ = error.__cause__, True
            assert isinstance(twin, BackendError)
            return twin
    return error


_NAMES: dict[type, str] = {TimedOut: "DeadlineExceeded", ConnectionFailed: "ServiceUnavailable"}
# What the classes of Google, and ours in their place, expect on an instance.
_READ_BY_GOOGLE = {
    "_errors": (), "_details": (), "_response": None, "_error_info": None,
    "status": "", "request_id": "",
}  # fmt: skip
_twins: dict[tuple[type, type], type[MultiturnError]] = {}


def _twin(ours: type[MultiturnError], theirs: type) -> type[MultiturnError]:
    """Return a class that is both; pickled, it is ours alone until it is raised again."""
    found = _twins.get((ours, theirs))
    if found is None:
        body: dict[str, Any] = {
            "__module__": ours.__module__,
            "__qualname__": ours.__qualname__,
            "__doc__": ours.__doc__,
            "__reduce__": lambda error: (_unpickled, (ours, error.args, error.__dict__)),
        }
        made: type[MultiturnError] = type(theirs)(ours.__name__, (ours, theirs), body)
        found = _twins[ours, theirs] = made
    return found


def _unpickled(
    ours: type[MultiturnError], args: tuple[Any, ...], state: dict[str, Any]
) -> MultiturnError:
    error = rebuilt(ours, args, state)
    return as_google(error) if isinstance(error, BackendError) else error
