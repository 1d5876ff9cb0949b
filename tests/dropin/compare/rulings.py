"""Where multiturn differs from the old SDK on purpose, call by call, and why it is better."""

from __future__ import annotations

from fnmatch import fnmatchcase

# Patterns of names of calls ("[" is written "[[]"), and the reason.
_RULINGS: dict[str, tuple[str, ...]] = {
    "a wrong form is one named error that says where and what, not a KeyError": (
        "*(a wrong dict)", "*(half a blob)", "*=a wrong kind)", "*=a wrong limit)",
        "to_easy_safety_dict(a wrong *)", "to_harm_category('x')", "to_block_threshold('x')",
        "to_function_calling_mode('x')", "to_function_calling_mode(9)", "to_mode('x')",
        "to_tool_config(wrong mode)", "embed_content(title without task)",
        "embed_content(wrong task)",
    ),
    "numbers that a server may use next year are kept": (
        "to_harm_category(99)", "to_block_threshold(77)",
    ),
    "a configuration is checked when it is given, and says only what is set": (
        "to_generation_config_dict(wrong *)", "to_generation_config_dict(message)",
    ),
    "the short word 'none' means BLOCK_NONE, as 'low' and 'high' have their meanings": (
        "*safety_settings=list of dicts)", "to_easy_safety_dict(list of dicts)", "merged",
        "overrides hold for one message",
    ),
    "OFF and CIVIC_INTEGRITY are settings of the API, and were refused by accident": (
        "*OFF)", "*CIVIC_INTEGRITY)",
    ),
    "a role that nobody has is refused before anything is sent": (
        "generate_content(wrong role)", "count_tokens(wrong role)", "send_message(wrong role)",
        "to_content(wrong role)", "to_contents(wrong role)",
    ),
    "one stop sequence is one, not its letters": ("*one stop)",),
    "members that a Python type requires are required in the schema": (
        "*schema of TypedDict)", "*schema of list of TypedDict)",
    ),
    "the model is told the defaults of parameters": (
        "*(tools=functions)", "declaration with defaults",
    ),
    "Google Search in a Tool message was dropped": ("*google_search message)",),
    "an empty system instruction is none": ("*system_instruction=empty)",),
    "the first piece of a generator was lost": (
        "generate_content(generator)", "count_tokens(generator)", "to_contents(generator)",
    ),
    "what can be asked again is: errors of the server before the first content": (
        "error(internal)", "error(too late)", "error(too many)", "error of a stream(internal)",
        "error of a stream(too late)", "error of a stream(too many)",
        "error of count_tokens(internal)", "error of count_tokens(too late)",
        "error of count_tokens(too many)",
    ),
    "what the service refuses for its calls and results is refused before it is sent": (
        "generate_content(FunctionResponse)", "generate_content(function_response dict)",
        "send_message(FunctionResponse)", "send_message(function_response dict)",
    ),
    "a text in a history is what the user said": (
        "start_chat(history=a text)", "start_chat(history=texts)",
    ),
    "an answer that came without a reason says so, with the value that it had": (
        "reply(no finish reason)",
    ),
    "a reply that was refused is not still arriving": (
        "resolve(blocked)", "stream(blocked)",
    ),
    "unknown members and values are kept, and an unknown reason is no good end": (
        "*reply(a new finish reason)", "reply(a new member)", "reply(new usage)",
        "reply(a signature)",
    ),
    "thoughts are not part of the text": ("*reply(a thought)",),
    "adjacent texts are one part, in whole replies as in streams": ("*reply(two parts)",),
    "code stands in fences that begin and end a line, so that pieces can be joined": (
        "*reply(code)", "*reply(failed code)", "stream(code)",
    ),
    "a reply without an answer is an error with a name, not an IndexError or StopIteration": (
        "*reply(no candidates)", "*(empty)", "*reply(empty)",
    ),
    "a stream that ends without a finish reason is broken": (
        "stream(no finish reason)", "resolve(no finish reason)",
        "send_message(stream), reply(no finish reason)",
    ),
    "a turn that did not end well is not in the history, and the session goes on": (
        "send_message(stream), reply(blocked)", "send_message(stream), reply(error inside)",
        "send_message(stream), reply(safety at the end)", "unread stream blocks the history",
    ),
    "what arrived before is not lost by a last chunk without it": (
        "stream(safety at the end)", "stream(grounding)",
    ),
    "a chunk that brings no text has the text ''": (
        "stream(call)", "send_message(stream), reply(call)",
    ),
}  # fmt: skip
# Over REST only: the old SDK could not be awaited there, and knew one error of streams.
_OVER_REST: dict[str, tuple[str, ...]] = {
    "over REST the old SDK cannot be awaited": (
        "async_*", "chat async*", "embed async",
    ),
    "over REST every error of a stream was BadRequest, and one inside it a piece of text": (
        "error of a stream(*)", "after an error it goes on", "*(error inside)",
    ),
}  # fmt: skip
# Not better: to be mended.
GAPS: dict[str, tuple[str, ...]] = {}


def _reason_in(table: dict[str, tuple[str, ...]], name: str) -> str:
    found = [
        reason
        for reason, patterns in table.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
    return found[0] if found else ""


def ruling(name: str, *, rest: bool) -> str:
    """Return why a call differs on purpose, "" if it should not."""
    return _reason_in(_RULINGS, name) or (_reason_in(_OVER_REST, name) if rest else "")


def gap(name: str) -> str:
    """Return in what a call is not yet as it was, "" if it should be."""
    return _reason_in(GAPS, name)
