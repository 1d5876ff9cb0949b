"""Replies: what a program reads of them, whole and in pieces, good and bad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripted import Fault

from cases import forms, said

CASES: dict[str, forms.Call] = {}

REPLIES: dict[str, Any] = {
    "text": said.HELLO,
    "two parts": said.text("Hel", "lo."),
    "empty text": said.text(""),
    "ratings": said.text("Hello.", safetyRatings=said.RATINGS),
    "citations": said.text("Hello.", citationMetadata={"citationSources": [
        {"startIndex": 1, "endIndex": 4, "uri": "https://x", "license": "mit"}]}),
    "token count": said.text("Hello.", tokenCount=5, avgLogprobs=-0.5, index=0),
    "grounding": said.text("Hello.", groundingMetadata={
        "webSearchQueries": ["kites"], "searchEntryPoint": {"renderedContent": "<b>"},
        "groundingChunks": [{"web": {"uri": "https://x", "title": "x"}}],
        "groundingSupports": [{"segment": {"endIndex": 5, "text": "Hello"},
                               "groundingChunkIndices": [0], "confidenceScores": [0.5]}]}),
    "logprobs": said.text("Hello.", logprobsResult={
        "chosenCandidates": [{"token": "Hello", "tokenId": 3, "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "Hello", "logProbability": -0.5}]}]}),
    "call": said.CALL,
    "call and text": said.parts({"text": "Adding."}, {"functionCall": {"name": "add", "args": {}}}),
    "call without args": said.parts({"functionCall": {"name": "now"}}),
    "code": said.parts(
        {"text": "So:"}, {"executableCode": {"language": "PYTHON", "code": "\nprint(1)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}),
    "failed code": said.parts(
        {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no"}}),
    "picture": said.parts({"inlineData": {"mimeType": "image/png", "data": "iVBO"}}),
    "max tokens": said.text("Hel", finish="MAX_TOKENS"),
    "max tokens, empty": {"candidates": [{"finishReason": "MAX_TOKENS", "index": 0}]},
    "safety": {"candidates": [{"finishReason": "SAFETY", "safetyRatings": said.RATINGS}]},
    "recitation": said.text("Once", finish="RECITATION"),
    "language": said.text("x", finish="LANGUAGE"),
    "malformed call": {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]},
    "other": said.text("x", finish="OTHER"),
    "no finish reason": said.text("Hello.", finish=None),
    "blocked": said.BLOCKED,
    "no candidates": {"usageMetadata": said.USAGE},
    "two candidates": {"candidates": [
        {"content": {"parts": [{"text": "a"}], "role": "model"}, "finishReason": "STOP"},
        {"content": {"parts": [{"text": "b"}], "role": "model"}, "finishReason": "STOP",
         "index": 1}]},
    "a thought": said.parts({"text": "Hm.", "thought": True}, {"text": "Hello."}),
    "a signature": said.parts({"text": "Hello.", "thoughtSignature": "AAAA"}),
    "a new finish reason": said.text("x", finish="NO_IMAGE"),
    "new usage": {**said.HELLO, "usageMetadata": {**said.USAGE, "thoughtsTokenCount": 4}},
    "a new member": {**said.HELLO, "responseId": "r1"},
}  # fmt: skip
STREAMS: dict[str, Any] = {
    "three": said.stream("One ", "two ", "three."),
    "one": said.stream("All."),
    "empty last": [*said.stream("One"), said.text("", finish="STOP")],
    "code": [said.text("So:", finish=None), said.parts({"executableCode": {
        "language": "PYTHON", "code": "1"}}, finish=None), said.text("Done.")],
    "call": [said.text("Adding.", finish=None), said.CALL],
    "blocked": [said.BLOCKED],
    "safety at the end": [said.text("One ", finish=None), {"candidates": [
        {"finishReason": "SAFETY"}]}],
    "max tokens": said.stream("One ", "two", finish="MAX_TOKENS"),
    "ratings": [said.text("One", finish=None, safetyRatings=said.RATINGS),
                said.text("two", safetyRatings=said.RATINGS)],
    "citations": [said.text("One", finish=None), said.text("two", citationMetadata={
        "citationSources": [{"startIndex": 1, "uri": "https://x"}]})],
    "no finish reason": [said.text("One ", finish=None), said.text("two", finish=None)],
    "empty": [],
    "grounding": [said.text("One", finish=None), said.text("two", groundingMetadata={
        "webSearchQueries": ["kites"]})],
    "error inside": [said.text("One ", finish=None), Fault(503, "UNAVAILABLE", "Overloaded.")],
}  # fmt: skip
FAULTS: dict[str, Fault] = {
    "bad request": Fault(400, "INVALID_ARGUMENT", "Bad key."),
    "no rights": Fault(403, "PERMISSION_DENIED"),
    "not there": Fault(404, "NOT_FOUND", "models/m is not found."),
    "too many": Fault(429, "RESOURCE_EXHAUSTED", "Quota."),
    "internal": Fault(500, "INTERNAL"),
    "not offered": Fault(501, "UNIMPLEMENTED"),
    "too late": Fault(504, "DEADLINE_EXCEEDED"),
}
READ: dict[str, Callable[[Any], Any]] = {
    "text": lambda r: r.text,
    "parts": lambda r: r.parts,
    "candidates": lambda r: r.candidates,
    "prompt_feedback": lambda r: r.prompt_feedback,
    "usage_metadata": lambda r: r.usage_metadata,
    "model_version": lambda r: r.model_version,
    "to_dict": lambda r: r.to_dict(),
    "repr": lambda r: isinstance(repr(r), str) and isinstance(str(r), str),
}


def _model(g: Any) -> Any:
    return g.GenerativeModel("models/m")


def tried(call: Callable[[], Any]) -> Any:
    """Return what a call gives, or its error."""
    from plain import plain, raised

    try:
        return plain(call())
    except Exception as error:
        return raised(error)


def _read(response: Any) -> Any:
    return {name: tried(lambda read=read: read(response)) for name, read in READ.items()}


for reply_name, reply in REPLIES.items():

    def whole(g: Any, play: Any, reply: Any = reply) -> Any:
        play(reply)
        return _read(_model(g).generate_content("hi"))

    def sent(g: Any, play: Any, reply: Any = reply) -> Any:
        play(reply)
        chat = _model(g).start_chat()
        response = tried(lambda: chat.send_message("hi").text)
        return [response, tried(lambda: len(chat.history))]

    CASES[f"reply({reply_name})"] = whole
    CASES[f"send_message, reply({reply_name})"] = sent

for stream_name, chunks in STREAMS.items():

    def streamed(g: Any, play: Any, chunks: Any = chunks) -> Any:
        play(chunks)
        response = _model(g).generate_content("hi", stream=True)
        early = tried(lambda: response.text)
        pieces = tried(lambda: [tried(lambda c=chunk: c.text) for chunk in response])
        return {"early": early, "pieces": pieces, **_read(response)}

    def chatted(g: Any, play: Any, chunks: Any = chunks) -> Any:
        play(chunks)
        chat = _model(g).start_chat()
        response = chat.send_message("hi", stream=True)
        pieces = tried(lambda: [tried(lambda c=chunk: c.text) for chunk in response])
        return {"pieces": pieces, "history": tried(lambda: chat.history)}

    def resolved(g: Any, play: Any, chunks: Any = chunks) -> Any:
        play(chunks)
        response = _model(g).generate_content("hi", stream=True)
        return [tried(response.resolve), tried(lambda: response.text)]

    CASES[f"stream({stream_name})"] = streamed
    CASES[f"send_message(stream), reply({stream_name})"] = chatted
    CASES[f"resolve({stream_name})"] = resolved

for fault_name, fault in FAULTS.items():

    def failed(g: Any, play: Any, fault: Fault = fault) -> Any:
        play(fault)
        options = {"retry": None, "timeout": 5} if g.__name__ else {}
        return _model(g).generate_content("hi", request_options=g.types.RequestOptions(**options))

    def failed_stream(g: Any, play: Any, fault: Fault = fault) -> Any:
        play(fault)
        options = g.types.RequestOptions(timeout=5)
        response = _model(g).generate_content("hi", stream=True, request_options=options)
        return [chunk.text for chunk in response]

    def failed_count(g: Any, play: Any, fault: Fault = fault) -> Any:
        play(fault)
        return _model(g).count_tokens("hi", request_options={"timeout": 5})

    CASES[f"error({fault_name})"] = failed
    CASES[f"error of a stream({fault_name})"] = failed_stream
    CASES[f"error of count_tokens({fault_name})"] = failed_count
