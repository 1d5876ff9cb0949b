"""The backend over a socket: what travels, and what becomes of faults."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gemini.wire_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Close,
    Pause,
    Received,
    WireServer,
    chunked,
    event,
    whole,
)
from multiturn import GenerativeModel, OpenAIBackend
from multiturn.errors import (
    BlockedPromptException,
    BrokenResponseError,
    ConnectionFailed,
    MalformedReply,
    TurnCancelled,
    UsageError,
)
from multiturn.google_errors import (
    InternalServerError,
    InvalidArgument,
    MethodNotImplemented,
    Unauthenticated,
)
from multiturn.retry import NO_RETRY
from ways import AT_ONCE, Way, said, wire

KEY = "sk-very-secret-0123456789"


def completion(text: str = "Hello.", finish: str | None = "stop", **message: Any) -> Any:
    """Return the body of a whole answer."""
    made = {"role": "assistant", "content": text, **message}
    choice = {"index": 0, "message": made, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion", "model": "served", "choices": [choice]}


def piece(text: str = "", finish: str | None = None, **delta: Any) -> Any:
    """Return a chunk of a streamed answer."""
    made = {"content": text, **delta}
    choice = {"index": 0, "delta": made, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "served", "choices": [choice]}


def streamed(*chunks: Any, done: bool = True) -> bytes:
    """Return a whole streamed answer."""
    data = b"".join(event(chunk) for chunk in chunks) + (b"data: [DONE]\n\n" if done else b"")
    return STREAM_HEAD + chunked(data) + LAST_CHUNK


def answers(text: str = "Hello.") -> Callable[[Received], bytes]:
    """Answer every request as it asks, streamed or not."""

    def answer(received: Received) -> bytes:
        if received.json.get("stream"):
            half = len(text) // 2
            return streamed(piece(text[:half]), piece(text[half:]), piece(finish="stop"))
        return whole(completion(text))

    return answer


def backend_of(server: WireServer, **options: Any) -> OpenAIBackend:
    options.setdefault("name", "here")
    return OpenAIBackend(f"{server.url}/v1", options.pop("api_key", KEY), **options)


def model_of(server: WireServer, **options: Any) -> GenerativeModel:
    backend = backend_of(server, **options.pop("backend", {}))
    return GenerativeModel("m", backend=backend, **{"retry": AT_ONCE, **options})


@pytest.fixture
def serve() -> Iterator[Callable[..., WireServer]]:
    servers: list[WireServer] = []

    def start(*script: Any) -> WireServer:
        servers.append(WireServer(*script))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


Serve = Callable[..., WireServer]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_is_what_the_protocol_wants(way: Way, serve: Serve, stream: bool) -> None:
    server = serve(answers())
    chat = model_of(server, backend={"headers": {"X-Team": "blue"}}).start_chat()
    response = await way.send(chat, "Hi", stream=stream)
    await way.resolve(response)
    assert ["Hi", "Hello."] == said(chat)
    assert "served" == response.model_version
    received = server.requests[0]
    assert ("POST", "/v1/chat/completions") == (received.method, received.target)
    assert f"Bearer {KEY}" == received.headers["authorization"]
    assert "blue" == received.headers["x-team"]
    assert stream == received.json.get("stream", False)
    assert KEY.encode() not in received.body
    await way.resolve(await way.send(chat, "More", stream=stream))
    assert ["Hi", "Hello.", "More"] == [m["content"] for m in server.requests[1].json["messages"]]
    assert 1 == server.connections


def test_a_key_is_shown_nowhere(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(whole({"error": {"message": f"Bad key {KEY}", "code": KEY}}, 401))
    model = model_of(server)
    with pytest.raises(Unauthenticated) as caught:
        model.generate_content("Hi")
    error = caught.value
    pickled = pickle.dumps(error) + pickle.dumps(model.backend)
    shown = [str(error), repr(error), repr(error.__dict__), repr(model), repr(model.backend)]
    for text in (*shown, repr(pickled), caplog.text):
        assert KEY not in text
    assert "***" in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [("Authorization", "Token of-a-gateway-1"), ("Cookie", "lang=en; of-a-gateway-1; a=b")],
)
async def test_what_a_secret_header_says_is_shown_nowhere(
    way: Way, serve: Serve, name: str, value: str
) -> None:
    server = serve(whole({"error": {"message": "bad: of-a-gateway-1", "code": 1}}, 401))
    model = model_of(server, backend={"headers": {name: value}, "api_key": None})
    with pytest.raises(Unauthenticated) as caught:
        await way.send(model.start_chat(), "Hi")
    assert "bad: ***" in str(caught.value)
    assert "of-a-gateway-1" not in repr(vars(caught.value))


def test_a_pickled_backend_takes_the_key_of_where_it_wakes(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(answers())
    again = pickle.loads(pickle.dumps(backend_of(server, name="vllm")))
    monkeypatch.setenv("VLLM_API_KEY", "another-key")
    monkeypatch.setenv("VLLM_BASE_URL", f"{server.url}/v1")
    GenerativeModel("m", backend=again).generate_content("Hi")
    assert "Bearer another-key" == server.requests[0].headers["authorization"]


def test_the_environment_s_key_goes_nowhere_but_to_its_own_server(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = serve(answers())
    GenerativeModel("m", backend=OpenAIBackend(f"{server.url}/v1")).generate_content("Hi")
    assert "authorization" not in server.requests[0].headers
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    GenerativeModel("openai/gpt-5").generate_content("Hi")
    assert f"Bearer {KEY}" == server.requests[1].headers["authorization"]
    assert "gpt-5" == server.requests[1].json["model"]


def test_request_options_say_how_the_server_is_reached(serve: Serve) -> None:
    server, other = serve(answers()), serve(answers())
    model = model_of(server)
    options = {
        "api_key": "other-key", "api_endpoint": f"{other.url}/v1", "metadata": [("X-A", "b")],
    }  # fmt: skip
    model.generate_content("Hi", request_options=options)
    assert [] == server.requests
    assert "Bearer other-key" == other.requests[0].headers["authorization"]
    assert "b" == other.requests[0].headers["x-a"]
    with pytest.raises(UsageError, match="vertexai"):
        model.generate_content("Hi", request_options={"vertexai": True})


def test_a_client_of_the_user_s_own_carries_the_requests(serve: Serve) -> None:
    import httpx2

    server = serve(answers())
    with httpx2.Client() as client:
        chat = model_of(server, backend={"http_client": client}).start_chat()
        assert "Hello." == chat.send_message("Hi").text
        response = chat.send_message("Hi", stream=True)
        response.resolve()
        assert "Hello." == response.text
        assert not client.is_closed


def test_further_members_win(serve: Serve) -> None:
    server = serve(answers())
    more = {"chat_template_kwargs": {"enable_thinking": False}, "temperature": 0.1}
    model = model_of(server, backend={"more": more}, generation_config={"temperature": 1})
    model.generate_content("Hi")
    assert more == {name: server.requests[0].json[name] for name in more}


async def test_an_answer_that_was_cut_is_in_no_history(way: Way, serve: Serve) -> None:
    cut = streamed(piece("Half an ans"), done=False)
    server = serve(cut, answers("Whole."))
    chat = model_of(server).start_chat()
    with pytest.raises(BrokenResponseError):
        await way.resolve(await way.send(chat, "Hi", stream=True))
    assert [] == chat.history
    assert "Half an ans" == chat.journal[0].partial_text
    assert "Whole." == (await way.send(chat, "Hi")).text


async def test_a_connection_that_breaks_is_an_error_with_what_had_arrived(
    way: Way, serve: Serve
) -> None:
    server = serve([STREAM_HEAD, chunked(event(piece("Half"))), Close], answers("Whole."))
    chat = model_of(server).start_chat()
    with pytest.raises(ConnectionFailed) as caught:
        await way.resolve(await way.send(chat, "Hi", stream=True))
    assert "Half" == caught.value.partial_text
    assert [] == chat.history


async def test_what_fails_before_content_is_asked_again(way: Way, serve: Serve) -> None:
    busy = whole({"error": {"message": "Overloaded"}}, 503, **{"Retry-After": "0"})
    in_stream = streamed({"error": {"message": "Overloaded", "code": 503}}, done=False)
    server = serve(busy, in_stream, answers("At last."))
    chat = model_of(server).start_chat()
    response = await way.send(chat, "Hi", stream=True)
    await way.resolve(response)
    assert "At last." == response.text
    assert 3 == len(server.requests)


async def test_an_error_after_content_is_raised_with_it(way: Way, serve: Serve) -> None:
    server = serve(streamed(piece("It beg"), {"error": {"message": "The GPU fell off"}}))
    chat = model_of(server).start_chat()
    with pytest.raises(InternalServerError, match="GPU fell off") as caught:
        await way.resolve(await way.send(chat, "Hi", stream=True))
    assert "It beg" == caught.value.partial_text
    assert 1 == len(server.requests)


async def test_a_prompt_that_a_filter_refused_is_a_blocked_prompt(way: Way, serve: Serve) -> None:
    filtered = {"error": {"message": "filtered", "code": "content_filter", "status": 400}}
    chat = model_of(serve(whole(filtered, 400))).start_chat()
    with pytest.raises(BlockedPromptException):
        await way.send(chat, "Hi")
    assert [] == chat.history


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>It works!</html>", b"[1, 2]", b'{"choices": 7}', b'{"choices": [7]}',
     b'{"choices":[{"message":"text","finish_reason":"stop"}]}', b'{"choices":[{"index":"a"}]}',
     b'{"choices":[{"message":{"images":5},"finish_reason":"stop"}]}'],
)  # fmt: skip
async def test_what_is_no_answer_is_an_error(way: Way, serve: Serve, body: bytes) -> None:
    model = model_of(serve(whole(body)), retry=NO_RETRY)
    with pytest.raises(MalformedReply) as caught:
        await way.generate(model, "Hi")
    assert "here" == caught.value.backend


async def test_counting_tries_the_ways_that_servers_have(way: Way, serve: Serve) -> None:
    unknown = whole({"detail": "Not Found"}, 404)
    counted = whole({"count": 17, "max_model_len": 100, "tokens": []})
    server = serve(unknown, counted)
    model = model_of(server, system_instruction="Be brief.")
    assert 17 == (await way.count(model, "Hi")).total_tokens
    assert ["/v1/chat/completions/input_tokens", "/tokenize"] == [
        received.target for received in server.requests
    ]
    assert 2 == len(server.requests[1].json["messages"])
    with pytest.raises(MethodNotImplemented, match="'here' does not count"):
        await way.count(model_of(serve(unknown)), "Hi")


async def test_nothing_is_sent_when_a_part_cannot_be(way: Way, serve: Serve) -> None:
    server = serve(answers())
    chat = model_of(server).start_chat()
    video = {"mime_type": "video/mp4", "data": b"1"}
    with pytest.raises(UsageError, match=r"\$\.contents\[0\]\.parts\[0\]"):
        await way.send(chat, video)
    assert [] == server.requests
    noting = model_of(server, backend={"unsendable": "note"}).start_chat()
    await way.send(noting, video)
    assert "[video/mp4, left out]" == server.requests[0].json["messages"][0]["content"]


async def test_a_cancelled_stream_closes_its_connection(way: Way, serve: Serve) -> None:
    server = serve([STREAM_HEAD, chunked(event(piece("One"))), Pause(20)], answers("Next."))
    chat = model_of(server).start_chat()
    response = await way.send(chat, "Hi", stream=True)
    reader = way.read(response)
    assert "One" == (await reader.__anext__()).text
    response.cancel()
    with pytest.raises(TurnCancelled):
        await reader.__anext__()
    assert "Next." == (await way.send(chat, "Hi")).text


def test_many_tasks_share_a_backend(serve: Serve) -> None:
    server = serve(answers())
    model = model_of(server)

    async def scenario() -> list[str]:
        asked = [model.generate_content_async(f"Hi {i}") for i in range(50)]
        return [response.text for response in await asyncio.gather(*asked)]

    assert ["Hello."] * 50 == asyncio.run(scenario())


async def test_a_conversation_keeps_every_byte_through_three_backends_and_back(way: Way) -> None:
    from gemini.wire_server import parts

    signed = [
        {"text": "Hm.", "thought": True},
        {
            "functionCall": {"name": "look", "args": {"at": "é"}},
            "thoughtSignature": "c2lnbmF0dXJl", "memberOfTomorrow": {"a": [1, 2.5, None]},
        },
    ]  # fmt: skip
    call = {
        "id": "call_x",
        "type": "function",
        "function": {"name": "look", "arguments": '{"at":1}'},
    }
    result = {"function_response": {"name": "look", "response": {"result": "a cat"}}}
    with (
        WireServer(whole(parts(signed)), whole(parts([{"text": "A cat."}]))) as google,
        WireServer(
            whole(completion("", "tool_calls", tool_calls=[call], reasoning_content="Again?")),
            whole(completion("Still a cat.")),
        ) as other,
    ):
        gemini = google.model("gemini-3-pro")
        openai = model_of(other)
        embedded = GenerativeModel(generation_config={"max_output_tokens": 8})
        chat = gemini.start_chat()
        before: list[Any] = []
        for model, message in (
            (gemini, "Look!"), (gemini, result), (openai, "Look again."), (openai, result),
            (embedded, "Thanks."), (gemini, "Bye."), (openai, "Bye."),
        ):  # fmt: skip
            chat.model = model
            await way.send(chat, message)
            assert before == wire(chat)[: len(before)], "what was said before has changed"
            before = copy.deepcopy(wire(chat))
        assert signed == before[1]["parts"]
        assert {"text": "Again?", "thought": True} == before[5]["parts"][0]
        assert "call_x" == before[5]["parts"][1]["functionCall"]["id"]
        assert signed[1] == google.requests[-1].json["contents"][1]["parts"][0]
        told = other.requests[-1].json["messages"]
        roles = [message["role"] for message in told]
        assert ["user", "assistant", "tool", "assistant"] == roles[:4]
        ids = [message["tool_calls"][0]["id"] for message in told if message.get("tool_calls")]
        assert ids == [message["tool_call_id"] for message in told if message["role"] == "tool"]
        assert ["call00000", "call_x"] == ids
        assert '{"at":"é"}' == told[1]["tool_calls"][0]["function"]["arguments"]
        assert "signature" not in json.dumps(told)


def test_an_error_of_the_request_is_not_asked_again(serve: Serve) -> None:
    server = serve(whole({"error": {"message": "bad"}}, 400), answers())
    with pytest.raises(InvalidArgument):
        model_of(server).generate_content("Hi")
    assert 1 == len(server.requests)


async def test_a_server_of_ones_own_that_is_not_there_is_named_with_what_to_do(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = f"127.0.0.1:{listening.getsockname()[1]}"
    monkeypatch.setenv("OLLAMA_BASE_URL", f"http://{place}/v1")
    chat = GenerativeModel("ollama/qwen3", retry=NO_RETRY).start_chat()

    with pytest.raises(ConnectionFailed) as caught:
        await way.send(chat, "Hi")

    told = str(caught.value)
    assert told.startswith(f"no connection to {place} could be made")
    assert f"is ollama running at http://{place}/v1? OLLAMA_BASE_URL names another" in told
