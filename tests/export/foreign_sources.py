"""Conversations as other programs write them, with members that our own exports do not have."""

from __future__ import annotations

from typing import Any

OPENAI: Any = [
    {"role": "user", "content": [
        {"type": "text", "text": "x"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,MTIz"}},
        {"type": "input_audio", "input_audio": {"data": "MTIz", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,MTIz"}},
    ]},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}],
     "reasoning": "hm", "images": [{"image_url": {"url": "data:image/png;base64,MTIz"}}],
     "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "{}"}]},
    {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "{}"}},
    {"role": "function", "name": "f", "content": "1"},
]  # fmt: skip
ANTHROPIC: Any = {"model": "m", "system": [{"type": "text", "text": "brief"}], "messages": [
    {"role": "user", "content": [
        {"type": "text", "text": "x"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                     "data": "MTIz"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain",
                                        "data": "x"}},
        {"type": "image", "source": {"type": "url", "url": "https://x.org/a.png"}},
    ]},
    {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "MTIz"},
        {"type": "redacted_thinking", "data": "MTIz"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}},
    ]},
    {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "a",
         "content": [{"type": "text", "text": "1"}], "is_error": False},
    ]},
]}  # fmt: skip
GEMINI: Any = {"contents": [{"role": "user", "parts": [
    {"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": "MTIz"}},
    {"fileData": {"fileUri": "https://x.org/a"}},
    {"functionResponse": {"name": "f", "response": {"a": 1}}}]}],
 "systemInstruction": {"parts": [{"text": "brief"}]}, "model": "m"}  # fmt: skip
_CHATGPT_CONTENTS: list[Any] = [
    {"content_type": "thoughts", "thoughts": [{"summary": "s", "content": "c"}]},
    {"content_type": "multimodal_text", "parts": [
        "x", {"content_type": "image_asset_pointer", "asset_pointer": "file://a"}]},
    {"content_type": "execution_output", "text": "1"},
    {"content_type": "user_editable_context", "user_profile": "p", "user_instructions": "i"},
]  # fmt: skip


def chatgpt() -> list[Any]:
    """Return, for each kind of content, one that the model and one that a tool said."""
    found: list[Any] = []
    node = {"id": "b", "parent": "a", "children": []}
    author: dict[str, Any] = {"role": "assistant", "name": None, "metadata": {}}
    for content in _CHATGPT_CONTENTS:
        message = {"author": author, "content": content, "recipient": "all",
                   "metadata": {"model_slug": "m"}, "create_time": 1.5}  # fmt: skip
        found.append(
            [{"title": "t", "current_node": "b", "mapping": {
                "a": {"id": "a", "message": None, "parent": None, "children": ["b"]},
                "b": {**node, "message": message}}}]
        )  # fmt: skip
        tool = {**message, "author": {**author, "role": "tool", "name": "python"}}
        found.append([{"mapping": {"b": {**node, "parent": None, "message": tool}}}])
    return found
