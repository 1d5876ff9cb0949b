"""Pictures of the disk at every moment that the power could go, and what a store makes of them.

Run as a program with ``faultio`` preloaded.  Synced bytes stay; each unsynced write may be
lost, kept or torn at 512 bytes; a name whose file was never synced may be missing; an
unlink that nothing followed may be undone.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from points import (
    LOG,
    STATES,
    WORK,
    folder_of,
    in_child,
    judge_retained,
    shim,
    template,
    warm_up,
)
from traffic import chat_in, judged

from multiturn.stores.sqlite import SQLiteStore

SECTOR_BYTES = 512
ACK = "ack"


class Call(NamedTuple):
    kind: str
    offset: int
    path: str
    data: bytes


class File:
    """A file as it is on the disk for sure, and what was done to it since."""

    def __init__(self, data: bytes | None) -> None:
        self.synced = data
        self.since: list[Call] = []

    def sync(self) -> None:
        self.synced, self.since = self.image(lambda call: call), []

    def sync_name(self) -> None:
        """The folder was synced: whether there is a file is sure, what is in it is not."""
        gone = [i for i, call in enumerate(self.since) if call.kind == "u"]
        if gone:
            self.synced, self.since = None, self.since[gone[-1] + 1 :]
        if self.synced is None and self.since:
            self.synced = b""

    def image(self, fate) -> bytes | None:  # type: ignore[no-untyped-def]
        data = None if self.synced is None else bytearray(self.synced)
        for call in self.since:
            kept = fate(call)
            if kept is None:
                continue
            if kept.kind == "u":
                data = None
                continue
            data = bytearray() if data is None else data
            if kept.kind == "t":
                del data[kept.offset :]
                data.extend(b"\0" * (kept.offset - len(data)))
            else:
                data.extend(b"\0" * (kept.offset - len(data)))
                data[kept.offset : kept.offset + len(kept.data)] = kept.data
        return None if data is None else bytes(data)


def calls_in(log: bytes) -> Iterator[Call]:
    position = 0
    while position < len(log):
        end = log.index(b"\n", position)
        kind, offset, length, path = log[position:end].decode().split(" ", 3)
        n = int(length) if kind in "wa" else 0
        yield Call(kind, int(offset), path, log[end + 1 : end + 1 + n])
        position = end + 1 + n


def fates(rng: random.Random, n_torn: int) -> Iterator:  # type: ignore[type-arg]
    yield lambda call: None
    yield lambda call: call
    for _ in range(n_torn):
        yield lambda call: _torn(call, rng)


def _torn(call: Call, rng: random.Random) -> Call | None:
    if rng.random() < 0.4:
        return None
    if call.kind != "w" or rng.random() < 0.5:
        return call
    cut = rng.randrange(0, len(call.data) + 1, SECTOR_BYTES)
    return call._replace(data=call.data[:cut])


def recorded(name: str, path: str) -> list[Call]:
    """Do a piece of work and return every call to the disk, with marks for what was told."""
    log_path = path + ".calls"

    def work(tell: object) -> None:
        log = os.open(log_path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        shim().fault_arm(LOG, ctypes.c_long(0), folder_of(path), log)
        WORK[name](path, lambda text: os.write(log, f"a 0 {len(text)} {ACK}\n{text}".encode()))

    assert 0 == in_child(work)[1]
    return list(calls_in(Path(log_path).read_bytes()))


def judge_image(name: str, path: str, n_told: int) -> None:
    with SQLiteStore(path) as store:
        texts = judged(chat_in(store, "ada"))
        assert texts in STATES[name][n_told : n_told + 2], (n_told, texts)
        assert [] == store.check(), store.check()
        if name == "retain":
            judge_retained(store, n_told)
        chat_in(store, "ada").send_message("text judge")


def happen(call: Call, folder: str, files: dict[str, File]) -> None:
    """Do to the pictures what was done to the disk."""
    if call.path == folder:
        for file in files.values():
            file.sync_name()
    elif call.kind == "s":
        files.setdefault(call.path, File(None)).sync()
    else:
        files.setdefault(call.path, File(None)).since.append(call)


def main() -> None:
    name, n_torn, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rng, images = random.Random(seed), 0
    warm_up()
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        path = str(folder / "chats.db")
        files: dict[str, File] = {}
        if name != "append":
            template(name, path)
            for found in folder.glob("chats.db*"):
                files[str(found)] = File(found.read_bytes())
        else:
            files[path] = File(b"")  # its name is synced by the store before anything else
        told = 0
        for call in recorded(name, path):
            if call.path == ACK:
                told += 1
                continue
            happen(call, str(folder), files)
            for fate in fates(rng, n_torn):
                image = folder / "image"
                shutil.rmtree(image, ignore_errors=True)
                image.mkdir()
                for file_path, file in files.items():
                    data = file.image(fate)
                    if data is not None and "-shm" not in file_path:
                        (image / Path(file_path).name).write_bytes(data)
                judge_image(name, str(image / "chats.db"), told)
                images += 1
        print(json.dumps({"images": images, "told": told}))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
