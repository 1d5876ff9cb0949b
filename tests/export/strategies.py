"""Contents of every kind, also those that only a server could have sent."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st

from multiturn.export.conversation import Conversation, line
from multiturn.messages.content import Content

# Every code point: NUL, halves of surrogate pairs in any order, private use, unassigned.
TEXTS = st.text(st.characters(codec=None), max_size=12) | st.sampled_from(
    ["", "\x00", "\ud83d\ude00", "\ude00\ud83d", "<0>\ud800\udc00<0>", "a\nb\r\n\x85\u2028", "😀"]
)
NAMES = st.text("abc_", min_size=1, max_size=4)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=3)
BASE64 = (st.binary(max_size=20) | st.binary(min_size=800, max_size=900)).map(
    lambda data: base64.b64encode(data).decode()
)
MIME_TYPES = st.sampled_from(
    ["image/png", "image/tiff", "audio/wav", "video/mp4", "application/pdf", "text/plain", ""]
)
BLOBS = st.builds(lambda kind, data: {"mimeType": kind, "data": data}, MIME_TYPES, BASE64)
FILES = st.builds(
    lambda kind, uri: {"mimeType": kind, "fileUri": uri},
    MIME_TYPES,
    st.sampled_from(["https://x.org/a.png", "file-abc", "file_abc", "gs://b/c", ""]),
)
CALLS = st.fixed_dictionaries({"name": NAMES, "args": OBJECTS}, optional={"id": NAMES})
RESULTS = st.fixed_dictionaries({"name": NAMES, "response": OBJECTS}, optional={"id": NAMES})
CODE = st.builds(lambda text: {"language": "PYTHON", "code": text}, TEXTS)
OUTPUT = st.builds(lambda text: {"outcome": "OUTCOME_OK", "output": text}, TEXTS)


def part(kind: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A part of a kind, with marks beside it now and then."""
    return st.fixed_dictionaries(
        {kind: value},
        optional={"thoughtSignature": BASE64, "partMetadata": OBJECTS, "unheardOf": JSON},
    )


THOUGHTS = st.builds(lambda text: {"text": text, "thought": True}, TEXTS)
PLAIN = st.builds(lambda text: {"text": text}, TEXTS)
USER_PARTS = (
    PLAIN | part("text", TEXTS) | part("inlineData", BLOBS) | part("fileData", FILES)
    | part("functionResponse", RESULTS)
)  # fmt: skip
MODEL_PARTS = (
    PLAIN | THOUGHTS | part("text", TEXTS) | part("functionCall", CALLS)
    | part("executableCode", CODE) | part("codeExecutionResult", OUTPUT)
    | part("hologram", OBJECTS)
)  # fmt: skip


def content(role: str, parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda found: {"role": role, "parts": found} if role else {"parts": found},
        st.lists(parts, max_size=4),
    )


CONTENTS = (
    content("user", USER_PARTS) | content("model", MODEL_PARTS)
    | content("user", PLAIN) | content("model", PLAIN)
    | content("function", part("functionResponse", RESULTS)) | content("", PLAIN)
)  # fmt: skip
HISTORIES = st.lists(CONTENTS, max_size=6)


def conversation(history: list[dict[str, Any]], system: str = "") -> Conversation:
    """A conversation in which these contents were said."""
    return line([Content.view(one) for one in history], system=system, model="m")


CONVERSATIONS = st.builds(conversation, HISTORIES, st.just("") | TEXTS)
