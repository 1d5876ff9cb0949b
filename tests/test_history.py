"""The tree of turns: what is shared, what is encoded, and how often."""

from __future__ import annotations

import itertools
import json
import pickle
import sys
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from multiturn import history
from multiturn.history import Path, Turn, empty_path, head_from, path_of, turns_of
from multiturn.messages.content import Content


def content(text: str, role: str = "user") -> Content:
    return Content(role=role, parts=[{"text": text}])


def turn(parent: Turn | None, text: str) -> Turn:
    return Turn(parent, [content(text), content(text.upper(), "model")])


def encode(value: Content) -> bytes:
    return json.dumps(value.json_object).encode()


def test_a_turn_knows_its_number_and_its_path() -> None:
    first = turn(None, "a")
    second = turn(first, "b")
    assert (0, 1) == (first.number, second.number)
    assert ["a", "A", "b", "B"] == [c.text for c in second.path]
    assert ["a", "A"] == [c.text for c in first.path]
    assert [first, second] == turns_of(second)
    assert 32 == len(first.id)
    assert first.id != second.id
    assert "'b'" in repr(second)


def test_two_turns_on_one_parent_do_not_see_each_other() -> None:
    root = turn(None, "a")
    left, right = turn(root, "b"), turn(root, "c")
    below = turn(left, "d")
    assert ["a", "A", "c", "C"] == [c.text for c in right.path]
    assert ["a", "A", "b", "B", "d", "D"] == [c.text for c in below.path]
    assert ["a", "A"] == [c.text for c in root.path]


def test_a_linear_conversation_shares_one_list() -> None:
    head = None
    for i in range(50):
        head = turn(head, str(i))
    assert head is not None
    assert all(t._branch is head._branch for t in turns_of(head))


def test_contents_are_frozen_and_the_callers_are_not() -> None:
    mine = content("a")
    kept = Turn(None, [mine]).contents[0]
    mine.parts[0].text = "changed"
    assert "a" == kept.text


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, "a"),
        (3, "y"),
        (-1, "y"),
        (-4, "a"),
        (slice(1, 3), ["A", "x"]),
        (slice(None, None, 2), ["a", "x"]),
    ],
)
def test_a_path_is_a_sequence(index: Any, expected: Any) -> None:
    path = turn(None, "a").path.plus(content("x"), content("y"))
    found = path[index]
    assert expected == (found.text if isinstance(found, Content) else [c.text for c in found])
    assert 4 == len(path)


@pytest.mark.parametrize("index", [4, -5, 100])
def test_a_path_ends(index: int) -> None:
    path = turn(None, "a").path.plus(content("x"), content("y"))
    with pytest.raises(IndexError, match=f"content {index} of 4"):
        path[index]


def test_a_path_is_pickled() -> None:
    path = turn(None, "a").path.plus(content("x").frozen())
    assert list(path) == list(pickle.loads(pickle.dumps(path)))


def test_histories_are_grouped_into_turns_that_a_user_began() -> None:
    result = {"function_response": {"name": "f", "response": {}}}
    contents = [
        content("hello", "model"),
        content("a"),
        content("call", "model"),
        Content(role="user", parts=[result]),
        content("A", "model"),
        Content(role="function", parts=[result]),
        content("b"),
        content("c"),
        content("C", "model"),
    ]
    assert [1, 5, 1, 2] == [len(t.contents) for t in turns_of(head_from(contents))]
    assert head_from([]) is None


def test_turns_that_stay_are_kept_whatever_they_begin_with() -> None:
    call = Content(role="model", parts=[{"function_call": {"name": "f", "args": {}}}])
    result = Content(role="user", parts=[{"function_response": {"name": "f", "response": {}}}])
    asked = Turn(None, [content("a"), call])
    answered = Turn(asked, [result, content("A", "model")])
    last = turn(answered, "b")
    said = list(last.path)
    assert last is head_from(said, last)
    assert last is getattr(head_from([*said, content("x")], last), "parent", None)
    assert answered is head_from(said[:4], last)
    assert answered is getattr(head_from(said[:5], last), "parent", None)
    # What the model says more belongs to the turn before, and makes it another.
    more = head_from([*said[:4], content("y", "model")], last)
    assert more is not None
    assert (asked, 3) == (more.parent, len(more.contents))


# -- encoding -----------------------------------------------------------------------------


def expected_bytes(path: Path) -> bytes:
    return b"<" + b",".join(encode(c) for c in path) + b">"


def folded(path: Path, fold: Any) -> bytes:
    return b"<" + b"".join(path.folded(fold)[0]) + b">"


class Joined:
    """A fold that gives the bytes of ``encode``, joined by commas; the state is a count."""

    start = 0

    def __init__(self, step: Any = encode) -> None:
        self._encode = step

    def step(self, state: int, content: Content, index: int) -> tuple[bytes, int]:
        assert state == index
        return (b"," if state else b"") + self._encode(content), state + 1


def test_a_fold_steps_once_over_each_content() -> None:
    calls: list[str] = []

    def counting(value: Content) -> bytes:
        calls.append(value.text)
        return encode(value)

    fold, head = Joined(counting), None
    for i in range(20):
        head = turn(head, str(i))
        path = head.path.plus(content("next"))
        assert expected_bytes(path) == folded(path, fold)
    assert 40 == len([text for text in calls if text != "next"])
    assert b"<>" == folded(empty_path(), fold)


@pytest.mark.parametrize("length", [0, 1])
def test_a_short_path_is_encoded_without_stray_commas(length: int) -> None:
    path = turn(None, "a").path if length else empty_path()
    assert expected_bytes(path) == folded(path, Joined())
    longer = path.plus(content("x"))
    assert expected_bytes(longer) == folded(longer, Joined())


def test_what_was_sent_is_not_encoded_again_when_it_becomes_a_turn() -> None:
    calls: list[str] = []

    def counting(value: Content) -> bytes:
        calls.append(value.text)
        return encode(value)

    fold, first, message = Joined(counting), turn(None, "a"), content("b").frozen()
    for _ in range(2):  # asked again, it is known too
        assert expected_bytes(first.path.plus(message)) == folded(first.path.plus(message), fold)
    head = Turn(first, [message, content("B", "model")])
    assert expected_bytes(head.path) == folded(head.path, fold)
    assert ["a", "A", "b", "B"] == calls


def test_what_was_sent_in_vain_is_not_taken_for_what_was_said() -> None:
    fold, first, message = Joined(), turn(None, "a"), content("b").frozen()
    vain = first.path.plus(content("?"), message)
    assert expected_bytes(vain) == folded(vain, fold)
    other = Turn(first, [message, content("B", "model")])
    assert expected_bytes(other.path) == folded(other.path, fold)
    elsewhere = Turn(first, [content("c"), message])
    assert expected_bytes(elsewhere.path) == folded(elsewhere.path, fold)


class Counted:
    """A fold whose bytes depend on all that came before."""

    start = ""

    def step(self, state: str, content: Content, index: int) -> tuple[bytes, str]:
        state += content.text
        return state.encode(), state


def test_the_same_content_behind_another_is_encoded_as_it_must_be_there() -> None:
    fold, first, message = Counted(), turn(None, "a"), content("b").frozen()
    assert b"<aaAaA?aA?b>" == folded(first.path.plus(content("?"), message), fold)
    assert b"<aaAaA!aA!b>" == folded(Turn(first, [content("!"), message]).path, fold)


def test_an_encoder_that_fails_spoils_nothing() -> None:
    path = turn(turn(None, "a"), "b").path

    for fails_at in range(4):
        count = itertools.count()

        def failing(value: Content, count: Any = count, fails_at: int = fails_at) -> bytes:
            if next(count) == fails_at:
                raise ValueError(value.text)
            return encode(value)

        fold = Joined(failing)
        with pytest.raises(ValueError, match=r"a|A|b|B"):
            folded(path, fold)
        assert expected_bytes(path) == folded(path, fold)


def test_an_interrupt_at_any_line_of_encoding_spoils_nothing() -> None:
    n = 0
    fold = Joined()
    works = (Path.folded, Path._grown, history._stepped)
    while True:
        n += 1
        path = turn(turn(None, "a"), "b").path.plus(content("x"))
        lines = itertools.count(1)

        def trace(
            frame: Any, event: str, arg: Any, n: int = n, lines: Any = lines, path: Path = path
        ) -> Any:
            if frame.f_code not in [function.__code__ for function in works]:
                return None
            leaves_lock = event == "line" and b"lock" in line_of(frame) and branch_is_locked(path)
            if event == "line" and not leaves_lock and next(lines) == n:
                raise KeyboardInterrupt
            return trace

        tracer = sys.gettrace()
        sys.settrace(trace)
        try:
            folded(path, fold)
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            sys.settrace(tracer)
        assert expected_bytes(path) == folded(path, fold)
    assert n > 15


def line_of(frame: Any) -> bytes:
    import linecache

    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).encode()


def branch_is_locked(path: Path) -> bool:
    return path._branch.lock.locked()


class Tree(RuleBasedStateMachine):
    """Turns are added to any turn; every path is what a plain list says."""

    def __init__(self) -> None:
        super().__init__()
        self.fold = Joined()
        shared = content("shared").frozen()
        self.messages = {name: [content(name).frozen(), shared] for name in "mn"}
        self.heads: list[Turn | None] = [None]
        self.texts: list[list[str]] = [[]]

    @rule(data=st.data())
    def grow(self, data: Any) -> None:
        i = data.draw(st.integers(0, len(self.heads) - 1))
        text = f"t{len(self.heads)}"
        self.heads.append(turn(self.heads[i], text))
        self.texts.append([*self.texts[i], text, text.upper()])

    @rule(data=st.data(), text=st.sampled_from(["m", "n"]))
    def send(self, data: Any, text: str) -> None:
        i = data.draw(st.integers(0, len(self.heads) - 1))
        path = path_of(self.heads[i]).plus(*self.messages[text])
        assert expected_bytes(path) == folded(path, self.fold)

    @rule(data=st.data(), text=st.sampled_from(["m", "n"]))
    def grow_by_what_was_sent(self, data: Any, text: str) -> None:
        i = data.draw(st.integers(0, len(self.heads) - 1))
        self.heads.append(Turn(self.heads[i], self.messages[text]))
        self.texts.append([*self.texts[i], *(c.text for c in self.messages[text])])

    @rule(data=st.data())
    def encode_one(self, data: Any) -> None:
        i = data.draw(st.integers(0, len(self.heads) - 1))
        path = path_of(self.heads[i])
        assert expected_bytes(path) == folded(path, self.fold)

    @invariant()
    def paths_are_lists(self) -> None:
        for head, texts in zip(self.heads, self.texts, strict=True):
            assert texts == [c.text for c in path_of(head)]
            assert len(texts) == len(path_of(head))


TestTree = Tree.TestCase


def test_what_is_being_sent_stays_as_it_is_while_the_conversation_goes_on() -> None:
    long = "so much was said " * 10_000
    first = turn(None, long)
    sent, _ = first.path.folded(Joined())
    before = b"".join(sent)
    path = turn(turn(first, "b"), "c").path
    assert expected_bytes(path) == folded(path, Joined())
    assert before == b"".join(sent) == folded(first.path, Joined())[1:-1]
    assert any(isinstance(piece, memoryview) for piece in sent)
