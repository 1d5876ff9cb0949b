"""HTTP clients side by side: what the requests of a chat cost in CPU, by each.

    pip install aiohttp httpx httpx2 pyreqwest urllib3
    python benchmarks/http_clients.py [rounds]

Against a server of its own process that answers from memory.  Every figure is the median
of rounds in which the clients take turns, each in a fresh process.

    post 1 KB, 1 MB   CPU of a blocking keep-alive POST, µs
    stream            CPU of a chunk of a blocking stream that arrives at once, µs
    first             time to the first of 10 chunks that are 30 ms apart, ms
    async             1,000 tasks, 3 posts each: CPU of a post, µs, and posts per second
    import            CPU of loading the client and making its first request, ms
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

N_CHUNKS, N_TASKS, N_POSTS = 2_000, 1_000, 3
REPLY = b'{"candidates":[{"content":{"parts":[{"text":"Hello."}]},"finishReason":"STOP"}]}'
EVENT = b"data: " + REPLY + b"\r\n\r\n"
CLIENTS = ("multiturn", "http.client", "urllib3", "httpx", "httpx2", "pyreqwest", "aiohttp")

Post = Callable[[str, bytes], bytes]
PostAsync = Callable[[str, bytes], Awaitable[bytes]]
Stream = Callable[[str], Iterator[bytes]]


# -- the server ------------------------------------------------------------------------------


class Server(asyncio.Protocol):
    """Answers /post at once, /stream with all chunks, /slow with chunks 30 ms apart."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer, self.missing = transport, b"", 0

    def data_received(self, data: bytes) -> None:
        if self.missing:
            self.missing -= len(data)
        else:
            self.buffer += data
            head, separator, rest = self.buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            size = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            self.missing, self.target = int(size or 0) - len(rest), head.split(b" ")[1]
        if self.missing <= 0:
            self.buffer, self.missing = b"", 0
            self.answer()

    def answer(self) -> None:
        if self.target.startswith(b"/post"):
            size = len(REPLY)
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + REPLY)
            return
        self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if self.target.startswith(b"/stream"):
            self.transport.write(self.chunk * N_CHUNKS + b"0\r\n\r\n")
        else:
            self.later(10)

    chunk = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)

    def later(self, left: int) -> None:
        self.transport.write(self.chunk if left else b"0\r\n\r\n")
        if left:
            asyncio.get_running_loop().call_later(0.03, self.later, left - 1)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# -- the clients: a blocking post, a blocking stream, and a way to run async posts -------------


def multiturn() -> tuple[Post, Stream, Any]:
    from multiturn.cancel import Cancel
    from multiturn.http import HttpRequest
    from multiturn.http.client import Http

    client = Http()

    def request(url: str, body: bytes) -> HttpRequest:
        return HttpRequest("POST", url, (), body, time.monotonic() + 60)

    def post(url: str, body: bytes) -> bytes:
        _, *pieces = client.exchange(request(url, body), Cancel())
        return b"".join(pieces)  # type: ignore[arg-type]

    def stream(url: str) -> Iterator[bytes]:
        exchange = client.exchange(request(url, b""), Cancel())
        next(exchange)
        return exchange  # type: ignore[return-value]

    async def run(work: Callable[[PostAsync], Awaitable[None]]) -> None:
        async def post(url: str, body: bytes) -> bytes:
            pieces = [p async for p in client.exchange_async(request(url, body), Cancel())]
            return b"".join(pieces[1:])  # type: ignore[arg-type]

        await work(post)

    return post, stream, run


def http_client() -> tuple[Post, Stream, Any]:
    import http.client

    connections: dict[str, Any] = {}

    def send(url: str, body: bytes) -> Any:
        host, _, path = url.removeprefix("http://").partition("/")
        connection = connections.setdefault(host, http.client.HTTPConnection(host))
        connection.request("POST", "/" + path, body)
        return connection.getresponse()

    def stream(url: str) -> Iterator[bytes]:
        response = send(url, b"")
        return iter(lambda: response.read1(65_536), b"")

    return (lambda url, body: send(url, body).read()), stream, None


def urllib3() -> tuple[Post, Stream, Any]:
    import urllib3

    pool = urllib3.PoolManager()

    def stream(url: str) -> Iterator[bytes]:
        return iter(pool.request("POST", url, body=b"", preload_content=False).stream())

    return (lambda url, body: pool.request("POST", url, body=body).data), stream, None


def httpx(name: str = "httpx") -> tuple[Post, Stream, Any]:
    library: Any = __import__(name)
    client = library.Client(timeout=60, trust_env=False)

    def stream(url: str) -> Iterator[bytes]:
        with client.stream("POST", url) as response:
            yield from response.iter_bytes()

    async def run(work: Callable[[PostAsync], Awaitable[None]]) -> None:
        limits = library.Limits(max_connections=None, max_keepalive_connections=None)
        timeout = library.Timeout(60)
        async with library.AsyncClient(limits=limits, timeout=timeout, trust_env=False) as many:

            async def post(url: str, body: bytes) -> bytes:
                return (await many.post(url, content=body)).content  # type: ignore[no-any-return]

            await work(post)

    return (lambda url, body: client.post(url, content=body).content), stream, run


def httpx2() -> tuple[Post, Stream, Any]:
    return httpx("httpx2")


def pyreqwest() -> tuple[Post, Stream, Any]:
    from pyreqwest.client import ClientBuilder, SyncClientBuilder

    client = SyncClientBuilder().build()

    def post(url: str, body: bytes) -> bytes:
        return bytes(client.post(url).body_bytes(body).build().send().bytes())

    def stream(url: str) -> Iterator[bytes]:
        with client.post(url).streamed_read_buffer_limit(0).build_streamed() as response:
            while (chunk := response.body_reader.read_chunk()) is not None:
                yield bytes(chunk)

    async def run(work: Callable[[PostAsync], Awaitable[None]]) -> None:
        async with ClientBuilder().build() as many:

            async def post(url: str, body: bytes) -> bytes:
                response = await many.post(url).body_bytes(body).build().send()
                return bytes(await response.bytes())

            await work(post)

    return post, stream, run


def aiohttp() -> tuple[Post | None, Stream | None, Any]:
    import aiohttp

    async def run(work: Callable[[PostAsync], Awaitable[None]]) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def post(url: str, body: bytes) -> bytes:
                async with session.post(url, data=body) as response:
                    return await response.read()

            await work(post)

    return None, None, run


# -- what is measured ------------------------------------------------------------------------


def cpu_of(work: Callable[[], object], times: int) -> float:
    """Return µs of CPU for one time."""
    work()
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times * 1e6


def measured(name: str, url: str) -> dict[str, float]:
    """Measure one client in this process."""
    began = time.process_time()
    post, stream, run = globals()[name.replace(".", "_")]()
    found: dict[str, float] = {}
    if post is not None and stream is not None:
        post(url + "/post", b"")
        found["import"] = (time.process_time() - began) * 1e3
        small, large = b"x" * 1024, b"x" * (1 << 20)
        found["post 1 KB"] = cpu_of(lambda: post(url + "/post", small), 300)
        found["post 1 MB"] = cpu_of(lambda: post(url + "/post", large), 30)
        found["stream"] = cpu_of(lambda: sum(map(len, stream(url + "/stream"))), 5) / N_CHUNKS
        began = time.monotonic()
        chunks = iter(stream(url + "/slow"))
        next(chunks)
        found["first"] = (time.monotonic() - began) * 1e3
        assert sum(map(len, chunks)) > 0
    if run is not None:

        async def work(post: PostAsync) -> None:
            async def chat() -> None:
                for _ in range(N_POSTS):
                    assert len(await post(url + "/post", b"x" * 1024)) == len(REPLY)

            await asyncio.gather(*(chat() for _ in range(N_TASKS)))

        cpu, clock = time.process_time(), time.monotonic()
        asyncio.run(run(work))
        posts = N_TASKS * N_POSTS
        found["async"] = (time.process_time() - cpu) / posts * 1e6
        found["posts/s"] = posts / (time.monotonic() - clock)
    return found


def main(rounds: int) -> None:
    server = subprocess.Popen(
        [sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    results: dict[str, list[dict[str, float]]] = {name: [] for name in CLIENTS}
    try:
        for _ in range(rounds):
            for name in CLIENTS:
                out = subprocess.run(
                    [sys.executable, __file__, name, url],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if out.returncode == 0:
                    results[name].append(json.loads(out.stdout))
                else:
                    print(f"{name}: {out.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    finally:
        server.terminate()
        server.wait()
    columns = ("post 1 KB", "post 1 MB", "stream", "first", "async", "posts/s", "import")
    print(f"{'':12}" + "".join(f"{column:>11}" for column in columns))
    for name, found in results.items():
        row = [[one[c] for one in found if c in one] for c in columns]
        cells = [f"{statistics.median(values):11.1f}" if values else f"{'':>11}" for values in row]
        print(f"{name:12}" + "".join(cells))


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    elif len(sys.argv) == 3:
        print(json.dumps(measured(*sys.argv[1:])))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 3)
