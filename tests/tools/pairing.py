"""What providers demand of a request that holds calls, as a pure function of the request.

Source: the Gemini API's guide to function calling ("a function response turn comes
immediately after a function call turn", counts equal) and its 400 errors; OpenAI's
"each tool_call_id must be responded to".
"""

from __future__ import annotations

import json
from typing import Any

from multiturn.request import Request


def breaches(request: Request) -> list[str]:
    """Return what is wrong with a request; nothing if every provider takes it."""
    contents = [content.json_object for content in request.contents]
    found = [*_of_order(contents)]
    for i, content in enumerate(contents):
        parts = content.get("parts") or []
        if not parts or not all(parts):
            found.append(f"content {i} has no part, or an empty one")
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        if calls and content["role"] != "model":
            found.append(f"content {i} calls, and is not the model's")
        if calls and i + 1 < len(contents):
            found += _of_pair(i, calls, contents[i + 1])
        if results and (i == 0 or not _calls_in(contents[i - 1])):
            found.append(f"content {i} has results of no calls")
        if calls and i + 1 == len(contents):
            found.append(f"content {i} has calls, and nothing follows")
    return found


def _of_order(contents: list[dict[str, Any]]) -> list[str]:
    found = []
    if not contents or contents[0]["role"] != "user":
        found.append("the first content is not a user's")
    if contents and contents[-1]["role"] != "user":
        found.append("the last content is not a user's")
    try:
        json.dumps(contents, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except ValueError as error:
        found.append(f"JSON in UTF-8 cannot say it: {error}")
    return found


def _of_pair(i: int, calls: list[Any], answer: dict[str, Any]) -> list[str]:
    parts = answer.get("parts") or []
    results = [part.get("functionResponse") for part in parts]
    if answer["role"] != "user" or not all(results) or len(results) != len(calls):
        return [f"content {i} has {len(calls)} calls, and content {i + 1} answers {len(results)}"]
    found = []
    for call, result in zip(calls, results, strict=True):
        if (call["name"], call.get("id")) != (result["name"], result.get("id")):
            found.append(f"content {i + 1} answers {result['name']} in the place of {call['name']}")
        if not isinstance(result.get("response"), dict):
            found.append(f"content {i + 1} has a response that is no object")
    return found


def _calls_in(content: dict[str, Any]) -> bool:
    return any("functionCall" in part for part in content.get("parts") or [])
