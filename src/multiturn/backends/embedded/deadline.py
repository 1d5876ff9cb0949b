"""The time limit of a generation in this process."""

from __future__ import annotations

import threading

from multiturn.cancel import Cancel
from multiturn.engine import Piece
from multiturn.errors import BackendError, TimedOut


class Deadline:
    """Stops a generation when its time is over, or when its turn is cancelled.

    Begin it when the model is loaded: nobody wants to wait for that in vain.

    Args:
        seconds: Time for the generation; None means no limit.
        turn: What cancels the turn.

    Attributes:
        cancel: What the engine listens to.
    """

    def __init__(self, seconds: float | None, turn: Cancel) -> None:
        self._seconds, self._turn = seconds, turn
        self._is_over = False
        self.cancel = turn
        self._timer: threading.Timer | None = None
        if seconds is not None:
            self.cancel = Cancel()
            turn.call(self._turn_cancelled)
            self._timer = threading.Timer(seconds, self._time_is_over)
            self._timer.daemon = True
            self._timer.start()

    def _turn_cancelled(self) -> None:
        self.cancel.set(self._turn.reason or "the turn was cancelled")

    def _time_is_over(self) -> None:
        self._is_over = True
        self.cancel.set("the time limit")

    def require_end(self, piece: Piece) -> None:
        """Raise TimedOut if a piece is the last one because the time was over."""
        if piece.finish == "cancelled" and self._is_over and not self._turn.is_set():
            raise self._error()

    def _error(self) -> BackendError:
        from multiturn.google_errors import as_google

        return as_google(
            TimedOut(
                f"the embedded model had not ended its answer within the time limit of "
                f"{self._seconds:g} s; ask for a shorter one with max_output_tokens, or give "
                "more time with request_options={'timeout': seconds}"
            )
        )

    def close(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._turn.forget(self._turn_cancelled)
