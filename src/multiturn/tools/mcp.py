"""The functions of an MCP server, called as if they were this program's.

The connection lives in the background loop, so that blocking code, any event loop and
any thread can use it.  The protocol itself is the official ``mcp`` package's.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import os
import re
import weakref
from collections.abc import AsyncIterator, Awaitable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from multiturn.checks import seconds
from multiturn.errors import ConnectionFailed, InvalidContent, UsageError
from multiturn.messages.content import Blob
from multiturn.messages.message import Object
from multiturn.tools.background_loop import background_loop, in_background
from multiturn.tools.declarations import CallableFunctionDeclaration, FunctionSource
from multiturn.tools.functions import requires_approval as mark_for_approval

T = TypeVar("T")

# How long closing may take before a server is left to the end of its input.
_CLOSE_SECONDS = 5.0
_open: weakref.WeakSet[McpTools] = weakref.WeakSet()

# What runs another program, and the words that may come before that program's name.
_RUNNER = re.compile(r"(python|pypy)[\d.]*|node|deno|bunx?|npx|uvx?|ruby|docker|podman")
_BEFORE_NAME = ("run", "-m", "-u", "-y", "--yes")


class McpFailed(Exception):
    """The server says that a call failed; the message is the server's."""


class McpTools(FunctionSource):
    """The functions of one MCP server, for ``tools=[…]``; needs ``multiturn[mcp]``.

    Connects when the functions are first wanted, which blocks; ``async with`` connects
    without blocking the event loop.  May be shared by models, threads and event loops.
    Once closed it stays so, and calls fail, until it is opened again.

    Args:
        command: A server to start, and its arguments; spoken to over its input and output.
        url: A server that runs already, instead (Streamable HTTP).
        env: Environment variables for the command, besides a few harmless ones.
        cwd: Directory to start the command in.
        headers: Sent with every request to the url.
        only: Names of the functions to offer; None offers all.
        prefix: Put before each name, so that two servers can have a function of one name.
        requires_approval: Whether a person must approve each call.
        timeout_seconds: Longest time to connect, and for each call.

    What ``env`` and ``headers`` hold is shown nowhere and not pickled.

    Raises:
        UsageError: Not exactly one of command and url is given, or ``mcp`` is missing.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]] | None = None,
        *,
        url: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        headers: Mapping[str, str] | None = None,
        only: Collection[str] | None = None,
        prefix: str = "",
        requires_approval: bool = False,
        timeout_seconds: float = 60.0,
    ) -> None:
        if (command is None) == (url is None):
            raise UsageError("give either command=[…] or url=…, of the MCP server")
        if isinstance(command, str) or (command is not None and not len(command)):
            raise InvalidContent("command", command, "a list: the program and its arguments")
        if not all(isinstance(word, str | os.PathLike) for word in command or ()):
            raise InvalidContent("command", command, "a list: the program and its arguments")
        if url is not None and not (isinstance(url, str) and urlsplit(url).netloc):
            raise InvalidContent("url", url, "an http:// or https:// URL")
        seconds("timeout_seconds", timeout_seconds)
        self._command = [os.fspath(word) for word in command] if command else None
        self._url, self._env, self._headers = url, dict(env or {}), dict(headers or {})
        self._cwd, self._prefix, self._marked = cwd, prefix, requires_approval
        self._only = None if only is None else frozenset(only)
        self._seconds = timeout_seconds
        self._is_closed = False
        self._forget()

    def _forget(self) -> None:
        self._process_id = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Any = None
        self._keeper: asyncio.Task[None] | None = None
        self._stop: asyncio.Event | None = None
        self._declared: list[CallableFunctionDeclaration] | None = None

    # -- what it offers ------------------------------------------------------------------

    def declarations(self) -> list[CallableFunctionDeclaration]:
        """Return the server's functions; connects if need be.

        Raises:
            ConnectionFailed: The server cannot be reached.
            UsageError: This was closed before it was ever connected.
        """
        if self._declared is None:
            in_background(self._connected)
        assert self._declared is not None
        return list(self._declared)

    def open(self) -> Self:
        """Connect, blocking, again after ``close`` too; does nothing if it is connected."""
        self._is_closed = False
        in_background(self._connected)
        return self

    def close(self) -> None:
        """End the connection, and the server if it was started here; later calls fail."""
        self._is_closed = True
        loop, keeper = self._loop, self._keeper
        if loop is not None and keeper is not None and self._process_id == os.getpid():
            with suppress(TimeoutError):
                in_background(self._closed, _CLOSE_SECONDS)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._is_closed = False
        await _beside(self._connected())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_closed = True
        await _beside(self._closed())

    async def call(self, name: str, arguments: Object) -> Any:
        """Call a function by the server's own name for it, from any event loop.

        Returns:
            The structured result if there is one; else text, Blobs, or a list of these.

        Raises:
            McpFailed: The server says that the call failed.
            ConnectionFailed: The server cannot be reached, or went away; the next call
                connects anew.
            TimeoutError: It took longer than it may.
            UsageError: ``close`` was called.
        """
        return await _beside(self._called(name, arguments))

    # -- in the background loop ----------------------------------------------------------

    async def _called(self, name: str, arguments: Object) -> Any:
        await self._connected()
        client = self._client
        try:
            async with asyncio.timeout(self._seconds):
                return _told(await client.call_tool(name, arguments))
        except McpFailed:
            raise
        except TimeoutError:
            raise TimeoutError(
                f"{self} did not answer {name!r} within {self._seconds:g} seconds; McpTools(…, "
                "timeout_seconds=…) allows more"
            ) from None
        except Exception as error:
            if self._is_over(error):
                await self._closed()
                raise ConnectionFailed(f"{self} went away: {error}") from error
            raise McpFailed(str(error)) from error

    @staticmethod
    def _is_over(error: Exception) -> bool:
        from mcp_types import CONNECTION_CLOSED

        code = getattr(getattr(error, "error", None), "code", None)
        return code == CONNECTION_CLOSED or "Resource" in type(error).__name__

    async def _connected(self) -> None:
        if self._is_closed:
            raise UsageError(f"{self} is closed; open() or a with statement connects it again")
        if self._process_id != os.getpid():
            self._forget()  # forked off: the connection is the parent's
        if self._keeper is None:
            ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._ready = ready
            self._keeper = asyncio.create_task(self._keep(ready, self._stop))
        await asyncio.shield(self._ready)

    async def _keep(self, ready: asyncio.Future[None], stop: asyncio.Event) -> None:
        """Hold the connection from its beginning to its end, in one task as it must be."""
        try:
            async with asyncio.timeout(self._seconds) as limit, self._new_client() as client:
                listed = await _all_tools(client)
                limit.reschedule(None)
                try:
                    self._declared = self._made(listed)
                except UsageError as error:
                    ready.set_exception(error)
                    return
                self._client = client
                _open.add(self)
                ready.set_result(None)
                await stop.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(self._why(error))
        finally:
            self._keeper = self._client = None
            _open.discard(self)

    def _why(self, error: BaseException) -> Exception:
        """Return what to tell of a connection that did not come about."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, UsageError):
            return error
        reason = f"{type(error).__name__}: {error}".removesuffix(": ")
        if isinstance(error, TimeoutError):
            reason = f"no answer within {self._seconds:g} seconds (timeout_seconds)"
        return ConnectionFailed(f"{self} cannot be reached: {reason}", retryable=False)

    async def _closed(self) -> None:
        keeper = self._keeper
        if keeper is not None and self._stop is not None:
            self._stop.set()
            await asyncio.wait({keeper})

    @asynccontextmanager
    async def _new_client(self) -> AsyncIterator[Any]:
        try:
            from mcp import Client, StdioServerParameters
        except ImportError:
            raise UsageError(
                "MCP servers need the official package: pip install 'multiturn[mcp]'"
            ) from None
        async with AsyncExitStack() as stack:
            server: Any = self._url
            if self._command:
                program, *arguments = self._command
                server = StdioServerParameters(
                    command=program, args=arguments, env=self._env or None, cwd=self._cwd
                )
            elif self._headers:
                import httpx2
                from mcp.client.streamable_http import streamable_http_client

                http = httpx2.AsyncClient(headers=self._headers, timeout=self._seconds)
                await stack.enter_async_context(http)
                server = streamable_http_client(str(self._url), http_client=http)
            yield await stack.enter_async_context(Client(server))

    def _made(self, listed: list[Any]) -> list[CallableFunctionDeclaration]:
        missing = (self._only or frozenset()) - {tool.name for tool in listed}
        if missing:
            known = ", ".join(sorted(tool.name for tool in listed)) or "none"
            raise UsageError(f"{self} has no function {sorted(missing)[0]!r}; it has: {known}")
        return [
            self._declaration(tool)
            for tool in listed
            if self._only is None or tool.name in self._only
        ]

    def _declaration(self, tool: Any) -> CallableFunctionDeclaration:
        function = McpFunction(self, tool.name)
        return CallableFunctionDeclaration(
            # The names that providers take.
            name=re.sub(r"[^A-Za-z0-9_-]", "_", self._prefix + tool.name)[:64],
            description=(tool.description or tool.title or tool.name).strip(),
            # Older models refuse an object without properties.
            parameters=tool.input_schema if tool.input_schema.get("properties") else None,
            function=mark_for_approval(function) if self._marked else function,
        )

    # -- Python's protocols --------------------------------------------------------------

    def __getstate__(self) -> Object:
        kept = ("_command", "_url", "_cwd", "_prefix", "_marked", "_only", "_seconds")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: Object) -> None:
        self.__dict__.update(state)
        self._env, self._headers = {}, {}
        self._is_closed = False
        self._forget()

    def __repr__(self) -> str:
        if self._command:
            return f"<McpTools {_named(self._command)}>"
        address = urlsplit(self._url or "")
        # A login, a path and a query may hold keys.
        return f"<McpTools {address.scheme}://{address.netloc.rpartition('@')[2]}>"


def _named(command: list[str]) -> str:
    """Return the program, and which one it runs; other arguments may be keys."""
    program, *words = command
    word = next((word for word in words if word not in _BEFORE_NAME), "-")
    is_shown = word[0:1] not in ("", "-") and "://" not in word
    runs = is_shown and _RUNNER.fullmatch(Path(program).name.removesuffix(".exe"))
    return f"{program} {word}" if runs else program


class McpFunction:
    """One function of a server; awaits the server's result."""

    def __init__(self, source: McpTools, name: str) -> None:
        self.source, self.__name__ = source, name

    async def __call__(self, **arguments: Any) -> Any:
        return await self.source.call(self.__name__, arguments)

    def __repr__(self) -> str:
        return f"<McpFunction {self.__name__} of {self.source}>"


async def _beside(work: Awaitable[T]) -> T:
    """Await work of the background loop from any event loop."""
    loop = background_loop()
    if asyncio.get_running_loop() is loop:
        return await work
    future = asyncio.run_coroutine_threadsafe(_awaited(work), loop)
    return await asyncio.wrap_future(future)


async def _awaited(work: Awaitable[T]) -> T:
    return await work


async def _all_tools(client: Any) -> list[Any]:
    listed: list[Any] = []
    cursor = None
    while True:
        page = await client.list_tools(cursor=cursor)
        listed += page.tools
        cursor = page.next_cursor
        if not cursor:
            return listed


def _told(result: Any) -> Any:
    """Return a server's result as a function's own."""
    told = [_item(content) for content in result.content]
    if result.is_error:
        raise McpFailed("\n".join(item for item in told if isinstance(item, str)))
    has_media = any(isinstance(item, Blob) for item in told)
    if result.structured_content is not None and not has_media:
        return result.structured_content
    return told[0] if len(told) == 1 else told


def _item(content: Any) -> Any:
    if content.type == "text":
        return content.text
    if content.type in ("image", "audio"):
        return Blob(mime_type=content.mime_type, data=base64.b64decode(content.data))
    resource = getattr(content, "resource", None)
    if resource is not None and hasattr(resource, "text"):
        return resource.text
    if resource is not None and hasattr(resource, "blob"):
        kind = resource.mime_type or "application/octet-stream"
        return Blob(mime_type=kind, data=base64.b64decode(resource.blob))
    return content.model_dump(mode="json", by_alias=True, exclude_none=True)


def _close_all() -> None:
    for tools in list(_open):
        tools.close()


atexit.register(_close_all)
