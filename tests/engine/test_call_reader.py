"""Answers with calls, read piece by piece, and the grammar that they are written under."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from multiturn.engine import Call, CallReader, CallSyntax
from multiturn.engine.call_grammar import call_grammar

TAGGED = CallSyntax(
    '<tool_call>\n{"name": "', '", "arguments": ', '}\n</tool_call>\n<tool_call>\n{"name": "',
    "}\n</tool_call>",
)  # fmt: skip
BARE = CallSyntax('{"name": "', '", "parameters": ', None, "}")
LISTED = CallSyntax('[CALLS][{"name": "', '", "arguments": ', '}, {"name": "', "}]", "")
TITLED = CallSyntax("<function=", ">", "</function><function=", "</function>", "")
every_syntax = pytest.mark.parametrize("syntax", [TAGGED, BARE, LISTED, TITLED])

texts = st.text(
    st.sampled_from('<tool_call>{}["\\n\n \té😀CALLS]function=/') | st.characters(codec="utf-8"),
    max_size=30,
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
calls = st.builds(
    Call,
    st.from_regex(r"[a-z_][a-z0-9_.:-]{0,8}", fullmatch=True),
    st.dictionaries(texts, values, max_size=3),
)


def cut(data: Any, text: str) -> list[str]:
    """Return a text in pieces, where they happen to fall."""
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=8)) if text else []
    edges = [0, *sorted(places), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


def read(syntax: CallSyntax, pieces: list[str]) -> tuple[str, list[Call] | None]:
    reader = CallReader(syntax)
    said = [text for piece in pieces for text in reader.feed(piece)]
    assert all(said)
    found = reader.calls()
    return "".join([*said, *reader.rest()]), found


@every_syntax
@given(text=texts, said=st.lists(calls, max_size=2), data=st.data())
def test_an_answer_is_the_same_in_any_pieces(
    syntax: CallSyntax, text: str, said: list[Call], data: Any
) -> None:
    said = said[:1] if syntax.between is None else said
    if said:
        text = "" if syntax.is_only_at_the_start else text.rstrip()
    # A text in which a mark is, or begins, leads to no call.
    lead = f"{text}{syntax.gap}"
    if (lead + syntax.head).find(syntax.mark) < len(lead) and text:
        text = "Said."
    written = syntax.write(text, said)
    assert (text, said) == read(syntax, cut(data, written))
    assert (text, said) == syntax.read(written)
    assert written == syntax.respelt(written)
    assert written == "".join(segment.text for segment in syntax.segments(written))


@every_syntax
@given(written=texts, data=st.data())
def test_whatever_is_written_nothing_of_it_depends_on_the_pieces(
    syntax: CallSyntax, written: str, data: Any
) -> None:
    pieces = cut(data, written)
    whole = read(syntax, [written])
    assert whole == read(syntax, pieces)
    assert (None if whole[1] is None else whole) == syntax.read(written)
    if whole[1] == []:
        assert written == whole[0]


@every_syntax
@given(said=st.lists(calls, min_size=1, max_size=2), data=st.data())
def test_an_answer_that_breaks_off_is_no_call(
    syntax: CallSyntax, said: list[Call], data: Any
) -> None:
    said = said[:1] if syntax.between is None else said
    written = syntax.write("", said)
    end = data.draw(st.integers(len(syntax.head), len(written) - 1))
    assert ("", None) == read(syntax, cut(data, written[:end]))


def test_the_way_a_model_spells_a_call_does_not_matter() -> None:
    written = (
        'Well. \n\n<tool_call>\n{"name": "f", "arguments": {"a":"\\u00e9" , "b":1}}\n</tool_call>\n'
    )
    spelt = 'Well.\n<tool_call>\n{"name": "f", "arguments": {"a": "é", "b": 1}}\n</tool_call>'
    assert spelt == TAGGED.respelt(written)
    assert "Well <tool_call> then" == TAGGED.respelt("Well <tool_call> then")


def test_several_calls_are_written_where_the_template_knows_one() -> None:
    said = [Call("f", {}), Call("g", {})]
    written = BARE.write("", said)
    assert '{"name": "f", "parameters": {}}\n{"name": "g", "parameters": {}}' == written
    assert [(written, False)] == BARE.segments(written)


SCHEMAS: dict[str, dict[str, Any]] = {
    "weather": {
        "type": "object", "properties": {"city": {"$ref": "#/$defs/city"}}, "required": ["city"],
        "additionalProperties": False, "$defs": {"city": {"enum": ["Oslo", "<tool_call>"]}},
    },
    "now": {"type": "object", "additionalProperties": False},
}  # fmt: skip
OSLO, NOW = Call("weather", {"city": "Oslo"}), Call("now", {})


def allows(grammar: str, written: str) -> tuple[int, bool]:
    """Return how many bytes a grammar allows, and whether the answer may end after them."""
    matcher = LLMatcher(LLTokenizer("byte"), grammar, log_level=0)
    assert "" == matcher.get_error()
    count = matcher.try_consume_tokens(list(written.encode()))
    return count, matcher.is_accepting()


@every_syntax
@pytest.mark.parametrize("forced", [True, False])
def test_the_grammar_allows_calls_that_are_valid(syntax: CallSyntax, forced: bool) -> None:
    grammar = call_grammar(syntax, SCHEMAS, forced=forced)
    for said in ([OSLO], [NOW], [Call("weather", {"city": "<tool_call>"})]):
        written = syntax.write("", said)
        assert (len(written), True) == allows(grammar, written)
        assert not allows(grammar, written[:-1])[1]
        assert not allows(grammar, written[: len(syntax.head) + 1])[1]
    for wrong in (
        [Call("wether", {})],
        [Call("now", {"a": 1})],
        [Call("weather", {"city": "Rome"})],
    ):
        written = syntax.write("", wrong)
        assert allows(grammar, written)[0] < len(written)


@every_syntax
def test_the_grammar_leaves_text_free_and_lets_calls_follow(syntax: CallSyntax) -> None:
    free = call_grammar(syntax, SCHEMAS, forced=False)
    for text in ("", "Hello.\n<tool> [1] {}", "\n\n", "é😀"):
        assert (len(text.encode()), True) == allows(free, text)
    assert 0 == allows(call_grammar(syntax, SCHEMAS, forced=True), "Hello.")[0]
    two = syntax.write("", [OSLO, NOW])
    after = len(two) if syntax.between is not None else len(syntax.write("", [OSLO]))
    assert (after, True) == allows(free, two)
    assert after == allows(free, two + " more")[0]
    late = "Well.\n" + syntax.write("", [OSLO])
    assert (len(late), True) == allows(free, late)
    # Where a call has no mark of its own, what looks like one later on is text.
    wrong = "Well.\n" + syntax.write("", [Call("wether", {})])
    assert syntax.is_only_at_the_start == (allows(free, wrong)[0] == len(wrong))


def test_a_forced_answer_is_one_call() -> None:
    two = TAGGED.write("", [OSLO, NOW])
    forced = call_grammar(TAGGED, SCHEMAS, forced=True)
    assert (len(TAGGED.write("", [OSLO])), True) == allows(forced, two)


def test_the_grammar_numbers_the_tokens_that_no_text_spells() -> None:
    marked = CallSyntax("<|c|>[", '"', None, "]<|e|>", control=(("<|c|>", 3), ("<|e|>", 4)))
    grammar = call_grammar(marked, {"f": {}}, forced=False)
    assert 'start: TEXT | lead "[" calls' in grammar or "<[3]>" in grammar
    assert "lead: TEXT <[3]>" in grammar
    assert json.dumps("]") + " <[4]>" in grammar
