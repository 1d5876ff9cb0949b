"""The log of the ``llm`` command: a database of conversations.

A conversation is written as rows of ``responses``, each what was said and what was answered.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from multiturn.errors import UsageError
from multiturn.export import llm_tables
from multiturn.export.conversation import Conversation, line
from multiturn.export.json_text import dumps, loads
from multiturn.export.llm_tables import insert, rows
from multiturn.export.openai import response_from
from multiturn.export.report import Report, an_object
from multiturn.export.source import Source
from multiturn.export.words import in_words
from multiturn.messages.content import Content, Part
from multiturn.messages.message import Object

_ROLES = {"assistant": "model", "user": "user", "tool": "user"}
# Crockford's alphabet, in which llm writes its identities (ULIDs) in lower case.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def recognises(source: Source) -> bool:
    """Whether a source is a database."""
    return source.is_database


# -- reading -------------------------------------------------------------------------------


def read(source: Source, report: Report) -> list[Conversation]:
    """Return every conversation, in the order in which they began."""
    with llm_tables.opened(source.path, source.data if source.path is None else None) as database:
        tables = llm_tables.names(database)
        found = {}
        if "conversations" in tables:
            for row in rows(database, "SELECT * FROM conversations ORDER BY id"):
                found[row["id"]] = _from_responses(database, row, tables)
        if "threads" in tables:
            for row in rows(database, "SELECT * FROM threads WHERE tip_message_hash <> ''"):
                found[row["id"]] = _from_messages(database, row)
    return [found[identity] for identity in sorted(found, key=str)]


def _from_responses(
    database: sqlite3.Connection, conversation: Object, tables: frozenset[str]
) -> Conversation:
    """Read a conversation from the tables that llm wrote up to 0.2x."""
    report = Report()
    contents: list[Content] = []
    system = ""
    query = "SELECT * FROM responses WHERE conversation_id = ? ORDER BY id"
    for row in rows(database, query, conversation["id"]):
        told = str(row.get("system") or "")
        if told and contents and told != system:
            report.lose(f"responses.{row['id']}.system", "another system prompt than before")
        system = system or ("" if contents else told)
        contents += _answered(database, row, tables, report)
    name, model = str(conversation.get("name") or ""), str(conversation.get("model") or "")
    found = line(contents, system=system, name=name, model=model)
    return found._replace(lost=tuple(report.lost))


def _answered(
    database: sqlite3.Connection, row: Object, tables: frozenset[str], report: Report
) -> Iterator[Content]:
    """Give what was said and what was answered, as one row has it."""
    identity, place = row["id"], f"responses.{row['id']}"
    results: list[Object] = []
    calls: list[Object] = []
    media: list[Object | None] = []
    if "tool_results" in tables:
        query = "SELECT * FROM tool_results WHERE response_id = ? ORDER BY id"
        results = [_result(one) for one in rows(database, query, identity)]
    if "tool_calls" in tables:
        query = "SELECT * FROM tool_calls WHERE response_id = ? ORDER BY id"
        for one in rows(database, query, identity):
            args = loads(str(one.get("arguments") or "{}"), f"tool_calls.{one['id']}.arguments")
            calls.append(_call(one["name"], args, one.get("tool_call_id")))
    if "prompt_attachments" in tables:
        query = (
            "SELECT a.* FROM attachments a JOIN prompt_attachments p ON p.attachment_id = a.id "
            'WHERE p.response_id = ? ORDER BY p."order"'
        )
        media = [_attachment(one, place, report) for one in rows(database, query, identity)]
    if "prompt_fragments" in tables:
        query = "SELECT 1 FROM prompt_fragments WHERE response_id = ?"
        if rows(database, query, identity):
            report.lose(place, "fragments of the prompt")
    prompt, answer = row.get("prompt"), row.get("response")
    said = [{"text": str(prompt)}] if prompt else []
    if results:
        yield Content.view({"role": "user", "parts": results}, frozen=True)
    if said or media:
        yield Content.view({"role": "user", "parts": [*said, *filter(None, media)]}, frozen=True)
    reasoning = row.get("reasoning")
    thoughts = [{"text": str(reasoning), "thought": True}] if reasoning else []
    texts = [{"text": str(answer)}] if answer else []
    if thoughts or texts or calls:
        parts = [*thoughts, *texts, *calls]
        yield Content.view({"role": "model", "parts": parts}, frozen=True)


def _from_messages(database: sqlite3.Connection, thread: Object) -> Conversation:
    """Read a conversation from the tables that llm writes now."""
    report = Report()
    query = (
        "WITH RECURSIVE line (hash, depth) AS "
        "(SELECT ?, 0 UNION ALL SELECT m.parent_hash, depth + 1 "
        "FROM messages m JOIN line ON m.hash = line.hash "
        "WHERE m.parent_hash IS NOT NULL AND depth < (SELECT count(*) FROM messages)) "
        "SELECT m.*, p.id AS part, p.type, p.tool_name, p.text, p.payload FROM line "
        "JOIN messages m ON m.hash = line.hash LEFT JOIN parts p ON p.message_hash = m.hash "
        "ORDER BY line.depth DESC, p.position"
    )
    messages = rows(database, query, thread["tip_message_hash"])
    contents: list[Content] = []
    system: list[str] = []
    for _, listed in groupby(messages, key=lambda row: row["hash"]):
        group = list(listed)
        parts = [_part(database, row, report) for row in group if row["part"] is not None]
        kept = [part for part in parts if part is not None]
        role = group[0]["role"]
        if role == "system":
            system += [part["text"] for part in kept if "text" in part]
        elif kept:
            object_ = {"role": _ROLES.get(role, "user"), "parts": kept}
            contents.append(Content.view(object_, frozen=True))
    query = "SELECT model FROM turns WHERE thread_id = ? ORDER BY id DESC LIMIT 1"
    models = [row["model"] for row in rows(database, query, thread["id"])]
    name, model = str(thread.get("name") or ""), str((models or [""])[0] or "")
    found = line(contents, system="\n\n".join(system), name=name, model=model)
    return found._replace(lost=tuple(report.lost))


def _part(database: sqlite3.Connection, row: Object, report: Report) -> Object | None:
    place = f"parts.{row['part']}"
    payload = loads(str(row["payload"]), f"{place}.payload") if row["payload"] else {}
    an_object(payload, f"{place}.payload")
    kind, text = row["type"], None if row["text"] is None else str(row["text"])
    if kind in ("text", "reasoning") and text is not None:
        return {"text": text, "thought": True} if kind == "reasoning" else {"text": text}
    if kind == "tool_call":
        args = payload.get("arguments") or {}
        return _call(row["tool_name"], args, payload.get("tool_call_id"))
    if kind == "tool_result":
        return _result({"name": row["tool_name"], **payload})
    if kind == "attachment":
        query = (
            "SELECT a.* FROM attachments a JOIN part_attachments p ON p.attachment_id = a.id "
            "WHERE p.part_id = ?"
        )
        for one in rows(database, query, row["part"]):
            return _attachment(one, place, report)
    report.lose(place, f"a part of type {kind!r} with fragments or something else that is not read")
    return None


def _call(name: str | None, args: Any, call_id: str | None) -> Object:
    made = {"name": str(name or ""), "args": args if isinstance(args, dict) else {"input": args}}
    return {"functionCall": {"id": str(call_id), **made} if call_id else made}


def _result(row: Object) -> Object:
    made: Object = {"name": str(row.get("name") or "")}
    made["response"] = response_from(str(row.get("output") or ""))
    if row.get("exception"):
        made["response"] = {"error": row["exception"]}
    call_id = row.get("tool_call_id")
    return {"functionResponse": {"id": str(call_id), **made} if call_id else made}


def _attachment(row: Object, place: str, report: Report) -> Object | None:
    kind = row.get("type") or ""
    content = row.get("content")
    if content is None and row.get("path"):
        report.lose(place, f"attachment {row['path']}: a file outside the log")
        return None
    if content is None:
        return {"fileData": {"mimeType": kind, "fileUri": row.get("url") or ""}}
    given = content if isinstance(content, bytes) else str(content).encode()
    data = base64.b64encode(given).decode()
    return {"inlineData": {"mimeType": kind, "data": data}}


# -- writing -------------------------------------------------------------------------------


def write(conversation: Conversation) -> bytes:
    """Return a database that holds this conversation alone."""
    with closing(sqlite3.connect(":memory:")) as database:
        llm_tables.make(database)
        _add(database, conversation)
        database.commit()
        return database.serialize()


def add(conversation: Conversation, path: Path) -> Conversation:
    """Add a conversation to a log that is there, in one transaction.

    Returns:
        The conversation as the log has it.

    Raises:
        UsageError: The file is something else, or is in use.
    """
    try:
        with closing(sqlite3.connect(path, timeout=10)) as database:
            tables = llm_tables.names(database)
            if "responses" not in tables:
                raise UsageError(f"{path} is no log of the llm command; nothing was written")
            with database:
                identity = _add(database, conversation)
            row = rows(database, "SELECT * FROM conversations WHERE id = ?", identity)[0]
            return _from_responses(database, row, tables)
    except sqlite3.Error as error:
        raise UsageError(f"{path} cannot be written ({error}); nothing was") from error


def _add(database: sqlite3.Connection, conversation: Conversation) -> str:
    tables = llm_tables.names(database)
    now = time.time()
    identity = _ulid(now, 0)
    name = _utf8(conversation.title) or None
    insert(database, "conversations", {"id": identity, "name": name, "model": conversation.model})
    system = conversation.system_instruction
    for number, (said, answer) in enumerate(_pairs(conversation.history), 1):
        # A millisecond each keeps them in order.
        at = now + number / 1000
        row: Object = {
            "id": _ulid(at, number),
            "model": conversation.model,
            "prompt": _text(said),
            "system": _utf8(system.text) if system is not None and number == 1 else None,
            "options_json": "{}",
            "response": _text(answer),
            "reasoning": _text(answer, is_thought=True) or None,
            "conversation_id": identity,
            "datetime_utc": datetime.fromtimestamp(at, UTC).isoformat(),
        }
        insert(database, "responses", row)
        if said is not None and "prompt_attachments" in tables:
            _add_attachments(database, said, row["id"])
        _add_calls(database, said, answer, row["id"], tables)
    return identity


def _pairs(history: Sequence[Content]) -> Iterator[tuple[Content | None, Content | None]]:
    """Give each content of a user with the answer that follows it."""
    said: Content | None = None
    for content in history:
        if content.role == "model":
            yield said, content
            said = None
        else:
            if said is not None:
                yield said, None
            said = content
    if said is not None:
        yield said, None


def _text(content: Content | None, *, is_thought: bool = False) -> str:
    texts = []
    for part in content.json_object.get("parts") or () if content is not None else ():
        if "functionCall" in part or "functionResponse" in part or _media(part):
            continue
        if bool(part.get("thought")) == is_thought:
            texts.append(in_words(part))
    return _utf8("".join(texts))


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _media(part: Object) -> Object | None:
    """Return the attachment that a part is, None if it is none."""
    if "fileData" in part:
        data = part["fileData"]
        url = str(data.get("fileUri") or "")
        seed = dumps({"url": url}).encode()
        kind = data.get("mimeType") or None
        return {"id": hashlib.sha256(seed).hexdigest(), "type": kind, "url": url}
    if "inlineData" not in part:
        return None
    content = Part.view(part).inline_data.data
    if not isinstance(content, bytes):
        return None
    identity = hashlib.sha256(content).hexdigest()
    return {"id": identity, "type": part["inlineData"].get("mimeType"), "content": content}


def _add_attachments(database: sqlite3.Connection, said: Content, response: str) -> None:
    found = [_media(part) for part in said.json_object.get("parts") or ()]
    for order, row in enumerate(one for one in found if one is not None):
        insert(database, "attachments", row)
        link = {"response_id": response, "attachment_id": row["id"], "order": order}
        insert(database, "prompt_attachments", link)


def _add_calls(
    database: sqlite3.Connection,
    said: Content | None,
    answer: Content | None,
    response: str,
    tables: frozenset[str],
) -> None:
    for content, kind, table in (
        (said, "functionResponse", "tool_results"),
        (answer, "functionCall", "tool_calls"),
    ):
        for part in content.json_object.get("parts") or () if content is not None else ():
            if kind not in part or table not in tables:
                continue
            one = part[kind]
            row: Object = {"response_id": response, "name": one.get("name") or ""}
            row["tool_call_id"] = one.get("id") or None
            row["arguments"], row["output"] = dumps(one.get("args") or {}), _output(one)
            insert(database, table, row)


def _output(answer: Object) -> str:
    response = answer.get("response") or {}
    is_plain = isinstance(response, dict) and response.keys() == {"result"}
    text = response["result"] if is_plain else None
    if isinstance(text, str) and response_from(text) == response:
        return _utf8(text)  # plain text, unless it would be read as something else
    return dumps(response)


def _ulid(at: float, number: int) -> str:
    """Return an identity that sorts by time, then by number."""
    value = (int(at * 1000) << 80) | (number << 64) | int.from_bytes(os.urandom(8), "big")
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))
