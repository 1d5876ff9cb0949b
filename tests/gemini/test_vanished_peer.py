"""A server that is gone without a word: its machine lost power, or a wire was cut.

It stands in a network namespace of Linux of its own, whose line can be cut so that nothing
comes back, not even a refusal.  Only the administrator may make one; elsewhere the tests
are skipped.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gemini.wire_server import STREAM_HEAD, Pause, WireServer, answers, chunked, event, reply
from multiturn import ConnectionFailed, Retry, TimedOut
from multiturn.backends.gemini import method_call
from multiturn.http import liveness
from ways import Way, in_thread

EFFORT = os.environ.get("MULTITURN_TEST_EFFORT", "quick")
CLONE_NEWNET = 0x40000000  # linux/sched.h
# Ours in seconds, and in the same proportion: all is over within two seconds, not a minute.
QUICK = {"TCP_KEEPIDLE": 1, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 1, "TCP_USER_TIMEOUT": 2_000}
# The call as a whole; it is over long before.
DEADLINE_SECONDS = 60
BEGUN = STREAM_HEAD + chunked(event(reply("Hel", None)))
NEVER = Pause(90)


class Island:
    """A network namespace with one line to here, which can be cut."""

    def __init__(self) -> None:
        number = os.getpid() % 16_384
        self.name = f"multiturn-{os.getpid()}"
        self._here, self._there = f"mt{number}here", f"mt{number}there"
        # Of the range that is kept for tests (RFC 2544).
        place, first = f"198.18.{number // 64}", number % 64 * 4
        self._own, self.address = f"{place}.{first + 1}", f"{place}.{first + 2}"

    def make(self) -> None:
        self._ip("netns", "add", self.name)
        pair = "type", "veth", "peer", "name", self._there, "netns", self.name
        self._ip("link", "add", self._here, *pair)
        self._ip("addr", "add", f"{self._own}/30", "dev", self._here)
        self._ip("link", "set", self._here, "up")
        self._ip("-n", self.name, "addr", "add", f"{self.address}/30", "dev", self._there)
        self._ip("-n", self.name, "link", "set", self._there, "up")

    def server(self, *script: Any) -> WireServer:
        """Return a server there; its sockets belong to where its thread was."""

        def start() -> WireServer:
            libc = ctypes.CDLL(None, use_errno=True)
            with Path("/run/netns", self.name).open() as place:
                if libc.setns(place.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            return WireServer(*script, host=self.address)

        return in_thread(start)

    def cut(self) -> None:
        """Let nothing get from there to here any more."""
        self._ip("-n", self.name, "route", "add", "blackhole", self._own)

    def remove(self) -> None:
        for words in (("link", "del", self._here), ("netns", "del", self.name)):
            subprocess.run(["ip", *words], check=False, capture_output=True)

    @staticmethod
    def _ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def island(monkeypatch: pytest.MonkeyPatch) -> Iterator[Island]:
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network namespace is made by the administrator of a Linux, with 'ip'")
    island = Island()
    monkeypatch.setattr(liveness, "_OPTIONS", QUICK)
    monkeypatch.setenv("no_proxy", "*")
    try:
        try:
            island.make()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine makes no network namespace: {error.stderr.strip()}")
        yield island
    finally:
        island.remove()


async def test_a_server_that_vanishes_while_it_thinks_is_noticed(way: Way, island: Island) -> None:
    def answer(_: object) -> list[Pause]:
        island.cut()
        return [NEVER]

    with island.server(answer) as server:
        chat = server.model(retry=Retry(attempts=1)).start_chat()
        with pytest.raises(ConnectionFailed, match="broke"):
            await way.send(chat, "Hi", request_options={"timeout": DEADLINE_SECONDS})
        assert [] == chat.history


@pytest.mark.skipif(EFFORT != "nightly", reason="two seconds each, noticed as above; by night")
async def test_a_server_that_vanishes_within_a_stream_is_noticed(way: Way, island: Island) -> None:
    with island.server([BEGUN, NEVER]) as server:
        chat = server.model(retry=Retry(attempts=1)).start_chat()
        options = {"timeout": DEADLINE_SECONDS}
        response = await way.send(chat, "Hi", stream=True, request_options=options)
        island.cut()
        with pytest.raises(ConnectionFailed, match="broke") as caught:
            await way.resolve(response)
        assert "Hel" == caught.value.partial_text


async def test_a_server_that_vanished_between_two_messages_is_noticed(
    way: Way, island: Island, monkeypatch: pytest.MonkeyPatch
) -> None:
    with island.server(answers()) as server:
        chat = server.model(retry=Retry(attempts=1)).start_chat()
        await way.send(chat, "Hi")
        island.cut()
        monkeypatch.setattr(method_call, "CONNECT_SECONDS", 0.3)
        with pytest.raises((ConnectionFailed, TimedOut), match="no connection to"):
            await way.send(chat, "Hi", request_options={"timeout": DEADLINE_SECONDS})
        assert 2 == len(chat.history)
