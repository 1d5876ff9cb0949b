"""Histories that programs have pickled with the old SDK are read."""

from __future__ import annotations

import base64
import pickle
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropin.conftest import run
from multiturn import protos
from multiturn.errors import InvalidContent

# pickle.dumps(chat.history), made by google-generativeai 0.8.6.
HISTORY = (
    "fCQDw0RR9100018lqifbXK!z3Y-KKCX)b4FZe?;|bZK^FY+-I^bzx^^Uv@EKWprUKba`-Pb1q|VZggdCbd-z-LvL"
    "<$Wo~qolawieltU{D4iXGUa>KmCpJgEMpQ?ch6B-c;32AL%XJs#NZf6n%iBL{Q5(IT~Wpb2aXagyMltXk1P9jVS0"
    "cH|M3M>i%ViG4ZB?<x{0SW>L016B$3JM4c0b>#a8Uc6;2@wDQ000001i%UcG5`t=3ISmf2@wDQ00000@IML%3ISv"
    "i0xAFs0ulfU4oVCN0TKvsa%paKC^0Dt2T}zH0TKZ*5(RB<WMyoWVrT;?fs{iv3K1#~3IS#k3JM4c0&i;)0w4ei8Z"
    "sCP33h2@Wp6KSa5NGNXmoUNb2=|CcrSSp1a)&|a+G3d11W)&LyroD0TO}%czAetczAetczAetczAetczAetczAet"
    "czAetczAetczAetczAetczAetczAetczAetczAetczAetczAetczAetczAetczAetczAetczAetczAetczAetczA"
    "etczAetczAetczAetczAetczAetczAetczAetczAetcz6;8ZEs{{Y?NYUE&"
)
CONTENTS: list[dict[str, Any]] = [
    {
        "role": "user",
        "parts": [
            {"text": "Grüße 🪁"},
            {"inline_data": {"mime_type": "image/png", "data": b"\x89PNG"}},
        ],
    },
    {
        "role": "model",
        "parts": [
            {
                "function_call": {
                    "name": "f",
                    "args": {"a": 1, "b": [True, None, {"c": "x"}, -2.5, []], "d": {}},
                }
            },
            {"text": ""},
            {"executable_code": {"language": "PYTHON", "code": "print(1)"}},
            {"code_execution_result": {"outcome": "OUTCOME_OK", "output": "1"}},
        ],
    },
    {
        "role": "user",
        "parts": [
            {"function_response": {"name": "f", "response": {"ok": False}}},
            {"file_data": {"mime_type": "video/mp4", "file_uri": "https://x/y"}},
        ],
    },
    {"role": "model", "parts": [{"text": "x" * 130}]},
]
PROGRAM = """
import pickle
import google.generativeai as genai

chat = genai.GenerativeModel("gemini-kite").start_chat(history=pickle.load(open("old.pkl", "rb")))
print(len(chat.history), chat.history[0].text)
open("new.pkl", "wb").write(pickle.dumps(chat.history))
"""


def test_a_history_of_the_old_sdk_goes_on_in_a_program_unedited(tmp_path: Path) -> None:
    (tmp_path / "old.pkl").write_bytes(base64.b85decode(HISTORY))
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, "-m", "multiturn.dropin", "program.py"]
    assert "4 Grüße 🪁" == run(*command, cwd=tmp_path, PYTHONUTF8="1").strip()
    again = pickle.loads((tmp_path / "new.pkl").read_bytes())
    assert [protos.Content(one) for one in CONTENTS] == again


def field(number: int, data: bytes) -> bytes:
    """Write a member as protocol buffers do, its length in four bytes."""
    size = len(data)
    length = [size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128, size >> 21]
    return bytes([number << 3 | 2, *length]) + data


def nested(levels: int) -> bytes:
    """Return a call whose arguments hold an object in an object, and so on."""
    value = b""
    for _ in range(levels):
        value = field(5, field(1, field(1, b"k") + field(2, value)))
    return field(1, field(4, field(2, field(1, field(1, b"k") + field(2, value)))))


def read(name: str, state: object) -> Any:
    message = getattr(protos, name).__new__(getattr(protos, name))
    message.__setstate__(state)
    return message


def test_what_nobody_said_is_read_as_empty() -> None:
    assert protos.Content(parts=[]) == read("Content", b"")
    assert protos.FunctionCall(name="f", args={}) == read("FunctionCall", b"\n\x01f\x12\x00")


def test_a_member_that_is_not_known_is_left_out() -> None:
    assert protos.Part(text="a") == read("Part", b"\x12\x01a" + b"\xa2\x06\x01z" + b"\xa8\x06\x05")


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("Content", {"role": "user"}),
        ("Content", b"\n\x04\x12\x02h"),
        ("Content", b"\x12\x02\xff\xff"),
        ("Part", b"\x10\x05"),
        ("Part", b"\x0b"),
        ("Part", b"\x88" + b"\x80" * 9 + b"\x01\x01"),  # a number of 11 bytes
        ("Content", nested(5000)),
        ("Schema", b"\x08\x01"),
    ],
)
def test_what_is_no_such_pickle_is_refused(name: str, state: object) -> None:
    with pytest.raises(InvalidContent, match="pickled"):
        read(name, state)


def test_what_programs_nest_is_read() -> None:
    value = read("Content", nested(20)).json_object["parts"][0]["functionCall"]["args"]
    for _ in range(21):
        value = value["k"]
    assert value is None


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(state: bytes) -> None:
    with suppress(InvalidContent):
        read("Content", state)
