"""JSON that a server sends: what is read, what is refused, and what the refusal says."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jiter
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiturn import MalformedReply
from multiturn.backends.wire_json import parsed
from multiturn.errors import InvalidContent, shown
from multiturn.messages.message import MAX_DEPTH, plain_json

FUZZ = settings(max_examples=300, deadline=None)


def refusal(data: bytes) -> MalformedReply:
    with pytest.raises(MalformedReply) as caught:
        parsed(data)
    return caught.value


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'["\xff"]', "it is not UTF-8 at byte 2"),
        (b"[1] \xff", "it is not UTF-8 at byte 4"),
        (b'["\\ud83d"]', "it holds half of a surrogate pair: .*column 9"),
        (b'["\\ude00"]', "it holds half of a surrogate pair: .*column 8"),
        (b'{"\\ud83d\\ud83d": 1}', "it holds half of a surrogate pair"),
        (b"[1e999]", "the number 1e999 is too large"),
        (b'{"a": [0.5, -1E+999]}', "the number -1E\\+999 is too large"),
        (b"9" * 310 + b".5", "the number 9{20} is too large"),
        (b"9" * 600 + b"e-10", "the number 9{20} is too large"),
        (b"9" * 5000, "number out of range"),
        (b"[NaN]", "expected value at line 1 column 2"),
        (b"[Infinity]", "expected value at line 1 column 2"),
        (b"[-Infinity]", "invalid number at line 1 column 3"),
        (b"[1] 2", "trailing characters at line 1 column 5"),
        (b'{"a": 1', "EOF while parsing an object"),
        (b"{'a': 1}", "key must be a string at line 1 column 2"),
        (b"\xef\xbb\xbf[1]", "expected value at line 1 column 1"),
        (b'["a\nb"]', "control character"),
        (b"", "EOF while parsing a value"),
    ],
)
def test_what_is_no_json_is_refused_with_what_is_wrong_and_where(data: bytes, reason: str) -> None:
    error = refusal(data)
    with pytest.raises(MalformedReply, match=f"not JSON \\({reason}"):
        raise error
    assert shown(data[:200]) == error.excerpt


@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_servers_may_nest_as_deeply_as_callers_and_no_deeper(opened: bytes, closed: bytes) -> None:
    def nested(levels: int) -> bytes:
        return opened * levels + b"1" + closed * levels

    plain_json(parsed(nested(MAX_DEPTH)), "$")
    assert "200 levels" in str(refusal(nested(MAX_DEPTH + 1)))
    with pytest.raises(InvalidContent, match="200 levels"):
        plain_json(json.loads(nested(MAX_DEPTH + 1)), "$")


DIGITS = st.text("0123456789", min_size=1, max_size=320)
NUMBERS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "-"]),
        DIGITS.map(lambda digits: digits.lstrip("0") or "0"),
        st.just("") | DIGITS.map(lambda digits: f".{digits}"),
        st.just("") | st.from_regex(r"[eE][+-]?[0-9]{1,4}", fullmatch=True),
    ),
)


@FUZZ
@given(NUMBERS, st.text("09eE+-.x", max_size=20))
def test_every_number_is_read_as_it_is_written_or_is_beyond_all_doubles(
    number: str, text: str
) -> None:
    data = json.dumps([text, {"x": "?"}], ensure_ascii=False).replace('"?"', f'["?", {number}]')
    expected: Any = json.loads(data)
    found = expected[1]["x"][1]
    if math.isinf(found):
        assert "is too large" in str(refusal(data.encode()))
    else:
        assert repr(expected) == repr(parsed(data.encode()))


@FUZZ
@given(st.text().map(lambda text: json.dumps({text: text})) | st.text(), st.booleans())
def test_every_text_is_read_as_the_standard_library_reads_it(text: str, is_cut: bool) -> None:
    data = text.encode("utf-8", "replace")[: -1 if is_cut else None]
    try:
        expected = json.loads(data.decode(), parse_constant=lambda _: 1 / 0)
        json.dumps(expected, ensure_ascii=False).encode()
    except (ValueError, ZeroDivisionError):
        refusal(data)
    else:
        assert expected == parsed(data)


def test_what_looks_like_a_great_number_in_a_text_is_text() -> None:
    said = ["1e999", "2-e-3", "9" * 400, {"4e1": 1e300, "x": 10**400}]
    assert said == parsed(json.dumps(said).encode())


def test_of_members_with_one_name_the_last_counts() -> None:
    assert {"a": 2} == parsed(b'{"a": 1, "a": 2}')


@pytest.mark.parametrize("said", ["What was said.", "1e999"])
def test_what_was_said_is_not_kept_for_the_next_text(said: str) -> None:
    jiter.cache_clear()
    parsed(json.dumps([said]).encode())
    assert 0 == jiter.cache_usage()


def test_threads_read_at_once() -> None:
    texts = [json.dumps({f"name {i % 7}": [i, str(i)] * 20}).encode() for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        assert [json.loads(text) for text in texts] == list(pool.map(parsed, texts))
