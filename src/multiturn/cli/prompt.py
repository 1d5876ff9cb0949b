"""Where the user types: a line editor with history and completion."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from multiturn.cli.commands import COMMANDS
from multiturn.errors import MultiturnError


def editor(session_names: Callable[[], list[str]]) -> PromptSession[str]:
    """Return the line editor; what is typed is remembered in a file that only its user reads.

    Args:
        session_names: What ``/session`` can be completed to.
    """
    return PromptSession(
        history=_history(),
        completer=SlashCompleter(session_names),
        complete_while_typing=False,
        key_bindings=_keys(),
        multiline=True,
        prompt_continuation=lambda width, _line, _soft: "." * (width - 1) + " ",
        enable_open_in_editor=False,
    )


def take_ctrl_c(lines: PromptSession[str]) -> bool:
    """Return whether Ctrl-C was typed behind the line that was read last; it is taken away.

    The other keys wait for the next line.
    """
    waiting = [*get_typeahead(lines.input), *lines.input.read_keys()]
    kept = [press for press in waiting if press.key != Keys.ControlC]
    store_typeahead(lines.input, kept)
    return len(kept) < len(waiting)


def history_file() -> Path:
    """Return where lines are remembered: in the user's folder for state."""
    import platformdirs

    return Path(platformdirs.user_state_dir("multiturn", appauthor=False)) / "history"


class SlashCompleter(Completer):
    """Completes commands, and the paths and names that follow them."""

    def __init__(self, session_names: Callable[[], list[str]]) -> None:
        self._session_names = session_names
        self._paths = PathCompleter(expanduser=True)

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Return what the text before the cursor can become."""
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        name, space, argument = text.partition(" ")
        if not space:
            for command in COMMANDS.values():
                if command.name.startswith(name):
                    yield Completion(command.name, -len(name), display_meta=command.does)
            return
        kind = COMMANDS[name].completes if name in COMMANDS else ""
        if kind == "path":
            yield from self._paths.get_completions(Document(argument), complete_event)
        elif kind == "model":
            yield from _names(argument, _model_names())
        elif kind == "session":
            yield from _names(argument, self._known_sessions())

    def _known_sessions(self) -> list[str]:
        with contextlib.suppress(MultiturnError):
            return self._session_names()
        return []


class PrivateHistory(FileHistory):
    """Lines in a file; one that cannot be read or written is no reason not to talk."""

    def load_history_strings(self) -> Iterable[str]:
        """Return the lines, newest first."""
        with contextlib.suppress(OSError):
            return list(super().load_history_strings())
        return []

    def store_string(self, string: str) -> None:
        """Add a line."""
        with contextlib.suppress(OSError):
            super().store_string(string)


def _model_names() -> list[str]:
    from multiturn import weights

    return [*weights.MODELS]


def _names(argument: str, names: Iterable[str]) -> Iterator[Completion]:
    for name in names:
        if name.startswith(argument):
            yield Completion(name, -len(argument))


def _history() -> History:
    path = history_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        path.chmod(0o600)
    except OSError:
        return InMemoryHistory()
    return PrivateHistory(str(path))


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        buffer: Any = event.current_buffer
        if buffer.document.char_before_cursor == "\\" and buffer.document.is_cursor_at_the_end:
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
