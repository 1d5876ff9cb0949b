"""The tables in which the ``llm`` command keeps its logs, as far as conversations need them.

Source: the tables that llm 0.36 makes.  Up to 0.2x it logged to ``conversations`` and
``responses``; later versions log to ``threads``, ``messages`` and ``parts`` and go on
reading the old ones, so that those are what every version reads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from multiturn.errors import InvalidContent
from multiturn.export.json_text import dumps
from multiturn.messages.message import Object

# llm applies the steps that are not named in its table of migrations: these have been.
_APPLIED = (
    "m001_initial", "m002_id_primary_key", "m003_chat_id_foreign_key", "m004_column_order",
    "m004_drop_provider", "m005_debug", "m006_new_logs_table", "m007_finish_logs_table",
    "m008_reply_to_id_foreign_key", "m008_fix_column_order_in_logs",
    "m009_delete_logs_table_if_empty", "m010_create_new_log_tables", "m012_attachments_tables",
    "m013_usage", "m017_tools_tables", "m022_response_reasoning",
)  # fmt: skip
_CREATE = """
CREATE TABLE _llm_migrations (name TEXT PRIMARY KEY, applied_at TEXT);
CREATE TABLE conversations (id TEXT PRIMARY KEY, name TEXT, model TEXT);
CREATE TABLE responses (
    id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT,
    options_json TEXT, response TEXT, response_json TEXT,
    conversation_id TEXT REFERENCES conversations (id), duration_ms INTEGER,
    datetime_utc TEXT, input_tokens INTEGER, output_tokens INTEGER, token_details TEXT,
    reasoning TEXT);
CREATE TABLE attachments (id TEXT PRIMARY KEY, type TEXT, path TEXT, url TEXT, content BLOB);
CREATE TABLE prompt_attachments (
    response_id TEXT REFERENCES responses (id),
    attachment_id TEXT REFERENCES attachments (id), "order" INTEGER,
    PRIMARY KEY (response_id, attachment_id));
CREATE TABLE tools (
    id INTEGER PRIMARY KEY, hash TEXT, name TEXT, description TEXT, input_schema TEXT);
CREATE UNIQUE INDEX idx_tools_hash ON tools (hash);
CREATE TABLE tool_responses (
    tool_id INTEGER REFERENCES tools (id), response_id TEXT REFERENCES responses (id),
    PRIMARY KEY (tool_id, response_id));
CREATE TABLE tool_calls (
    id INTEGER PRIMARY KEY, response_id TEXT REFERENCES responses (id),
    tool_id INTEGER REFERENCES tools (id), name TEXT, arguments TEXT, tool_call_id TEXT);
CREATE TABLE tool_results (
    id INTEGER PRIMARY KEY, response_id TEXT REFERENCES responses (id),
    tool_id INTEGER REFERENCES tools (id), name TEXT, output TEXT, tool_call_id TEXT);
"""

# Of attachments: the only column that holds bytes.
_BYTES = "content"


def make(database: sqlite3.Connection) -> None:
    """Make the tables in an empty database; llm brings them up to its own date."""
    database.executescript(_CREATE)
    rows = [(name, "1970-01-01 00:00:00+00:00") for name in _APPLIED]
    database.executemany("INSERT INTO _llm_migrations VALUES (?, ?)", rows)


def names(database: sqlite3.Connection) -> frozenset[str]:
    """Return the names of the tables that are there."""
    found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return frozenset(row[0] for row in found)


def rows(database: sqlite3.Connection, query: str, *values: Any) -> list[Object]:
    """Return what a query finds, by the names of its columns."""
    cursor = database.execute(query, values)
    columns = [column[0] for column in cursor.description]
    return [
        _Row({name: _read(name, value) for name, value in zip(columns, row, strict=True)})
        for row in cursor
    ]


class _Row(dict[str, Any]):
    """A row; a column that is not there is named."""

    def __missing__(self, name: str) -> Any:
        raise InvalidContent(name, [*self], "a column of this name")


def _read(name: str, value: Any) -> Any:
    """Return a value as its column means it, whatever was put there: bytes only where they are."""
    if name == _BYTES:
        return value.encode() if isinstance(value, str) else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def insert(database: sqlite3.Connection, table: str, row: Object) -> None:
    """Add a row, as far as the table has its columns; one that is there already stays."""
    known = {column["name"] for column in rows(database, f"PRAGMA table_info({table})")}
    kept = {name: _stored(value) for name, value in row.items() if name in known}
    listed = ", ".join(f'"{name}"' for name in kept)
    marks = ", ".join("?" for _ in kept)
    database.execute(
        f"INSERT OR IGNORE INTO {table} ({listed}) VALUES ({marks})", (*kept.values(),)
    )


def _stored(value: Any) -> Any:
    """Return a value as a database can hold it."""
    if isinstance(value, dict | list):
        value = dumps(value)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


@contextmanager
def opened(path: Path | None, data: bytes | None) -> Iterator[sqlite3.Connection]:
    """Open a file read-only, or a database that lies in memory.

    Raises:
        InvalidContent: It cannot be read, or is of something else.
    """
    try:
        if path is not None:
            database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        else:
            database = sqlite3.connect(":memory:")
        with closing(database):
            if path is None:
                database.deserialize(data or b"")
            database.text_factory = lambda raw: raw.decode("utf-8", "replace")
            if not names(database) & {"responses", "threads"}:
                raise InvalidContent(
                    "source", path and str(path), "a database of the llm command's logs"
                )
            yield database
    except (sqlite3.Error, UnicodeError) as error:  # names of columns may be no text
        raise InvalidContent(
            "source", path and str(path), f"a database that can be read ({error})"
        ) from error
