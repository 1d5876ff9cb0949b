"""HTTP clients of the user's own, in the place of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from gemini.wire_server import (
    Reset,
    WireServer,
    answers,
    reply,
    whole,
)
from multiturn import ConnectionFailed, InvalidContent, Retry, StatusError
from multiturn.cancel import Cancel
from multiturn.http import HttpHead, HttpRequest
from ways import Way

NEVER = Retry(attempts=1)


class Own:
    """The smallest client there can be."""

    def exchange(self, request: HttpRequest, cancel: Cancel) -> Iterator[HttpHead | bytes]:
        yield HttpHead(200, {})
        yield whole(reply("Mine.")).split(b"\r\n\r\n", 1)[1]

    async def exchange_async(
        self, request: HttpRequest, cancel: Cancel
    ) -> AsyncIterator[HttpHead | bytes]:
        for item in self.exchange(request, cancel):
            yield item


async def test_a_client_of_ones_own_carries_the_requests(way: Way) -> None:
    with WireServer(b"") as server:
        model = server.model(access={"http_client": Own()})
        assert "Mine." == (await way.send(model.start_chat(), "Hi")).text
        assert 0 == server.connections


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_client_of_httpx_carries_the_requests_and_stays_open(
    way: Way, stream: bool
) -> None:
    httpx = pytest.importorskip("httpx2", reason="httpx2 is not installed")
    kind = httpx.Client if way.name == "sync" else httpx.AsyncClient
    client = kind(trust_env=False)
    with WireServer(answers()) as server:
        chat = server.model(access={"http_client": client}, retry=NEVER).start_chat()
        for _ in range(2):
            await way.resolve(await way.send(chat, "Hi", stream=stream))
        assert 4 == len(chat.history)
        assert not client.is_closed
        assert "k-of-the-tests" == server.requests[0].headers["x-goog-api-key"]
        server.script = [whole(b"", 307, Location="http://127.0.0.1:9/")]
        with pytest.raises(StatusError, match="redirect"):
            await way.resolve(await way.send(chat, "Hi", stream=stream))
        server.script = [[Reset]]
        with pytest.raises(ConnectionFailed):
            await way.resolve(await way.send(chat, "Hi", stream=stream))
    if way.name == "sync":
        client.close()
    else:
        await client.aclose()


def test_what_is_no_client_is_refused() -> None:
    with WireServer(b"") as server, pytest.raises(InvalidContent, match="http_client"):
        server.model(access={"http_client": object()}).generate_content("Hi")
