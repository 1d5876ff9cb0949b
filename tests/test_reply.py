"""A reply as it arrives: chunks go in, one whole comes out."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from multiturn.errors import MalformedReply
from multiturn.reply import Reply
from ways import parts_chunk, text_chunk

CALL = {"functionCall": {"name": "f", "args": {}}}


def whole(*chunks: Any) -> Any:
    reply = Reply()
    for chunk in chunks:
        before = copy.deepcopy(chunk)
        reply.add(chunk)
        assert before == chunk
    first = reply.whole()
    assert first == reply.whole()
    assert len(chunks) == reply.chunks
    return first


def parts(*chunks: Any) -> Any:
    return whole(*chunks)["candidates"][0]["content"]["parts"]


def test_an_empty_reply_is_an_empty_object() -> None:
    assert {} == whole() == whole({}) == whole({"candidates": []}) == whole({"candidates": None})
    assert "" == Reply().text
    assert not Reply().has_content


def test_texts_are_joined() -> None:
    assert [{"text": "abc"}] == parts(text_chunk("a"), text_chunk("b"), text_chunk("c", "STOP"))


def test_thoughts_are_joined_among_themselves() -> None:
    chunks = [
        text_chunk("t1", thought=True),
        text_chunk("t2", thought=True),
        text_chunk("a"),
        text_chunk("b"),
        text_chunk("t3", thought=True),
    ]
    expected = [{"text": "t1t2", "thought": True}, {"text": "ab"}, {"text": "t3", "thought": True}]
    assert expected == parts(*chunks)


def test_a_signature_stays_on_its_part() -> None:
    signed = {"text": "b", "thoughtSignature": "c2ln"}
    assert [{"text": "a"}, signed, {"text": "c"}] == parts(
        text_chunk("a"), parts_chunk([signed]), text_chunk("c")
    )


def test_an_empty_part_with_a_signature_is_kept_and_one_without_is_not() -> None:
    signed = {"text": "", "thoughtSignature": "c2ln"}
    assert [{"text": "ab"}, signed] == parts(
        text_chunk("a"), text_chunk(""), text_chunk("b"), parts_chunk([signed])
    )


def test_what_is_not_text_is_kept_whole_and_in_place() -> None:
    call = {"functionCall": {"name": "f", "args": {}}}
    new = {"hologram": {"x": 1}}
    assert [{"text": "a"}, call, {"text": "b"}, new, {"text": "c"}] == parts(
        text_chunk("a"), parts_chunk([call]), text_chunk("b"), parts_chunk([new]), text_chunk("c")
    )


def test_the_last_of_each_snapshot_holds() -> None:
    made = whole(
        {"usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 4}, "modelVersion": "m"},
        {"usageMetadata": {"totalTokenCount": 9}, "responseId": "r", "modelVersion": None},
        {"later": {"x": 1}},
    )
    assert {
        "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 9},
        "modelVersion": "m",
        "responseId": "r",
        "later": {"x": 1},
    } == made


def test_members_of_a_candidate_are_kept_whichever_chunk_brings_them() -> None:
    chunks: list[dict[str, Any]] = [text_chunk("a"), text_chunk("b"), text_chunk("c", "STOP")]
    chunks[0]["candidates"][0] |= {
        "groundingMetadata": {"q": 1},
        "safetyRatings": [{"category": "A", "probability": "LOW"}],
        "logprobsResult": {"topCandidates": [1], "chosenCandidates": [2], "sum": 1},
    }
    chunks[1]["candidates"][0] |= {
        "citationMetadata": {"citationSources": [{"uri": "u"}]},
        "safetyRatings": [
            {"category": "A", "probability": "HIGH"},
            {"category": "B", "probability": "LOW"},
        ],
        "logprobsResult": {"topCandidates": [3], "sum": 2},
        "nextYear": True,
    }
    made = whole(*chunks)["candidates"][0]
    assert {"q": 1} == made["groundingMetadata"]
    assert {"citationSources": [{"uri": "u"}]} == made["citationMetadata"]
    assert {"topCandidates": [1, 3], "chosenCandidates": [2], "sum": 2} == made["logprobsResult"]
    assert [("A", "HIGH"), ("B", "LOW")] == [
        (r["category"], r["probability"]) for r in made["safetyRatings"]
    ]
    assert made["nextYear"] is True
    assert "STOP" == made["finishReason"]


def test_candidates_are_told_apart_and_ordered_by_index() -> None:
    chunks = [
        {"candidates": [{"index": 1, "content": {"parts": [{"text": "b"}]}}]},
        {"candidates": [{"content": {"parts": [{"text": "a"}], "role": "model"}}]},
        {"candidates": [{"index": 1, "content": {"parts": [{"text": "B"}]}}]},
    ]
    made = whole(*chunks)["candidates"]
    assert ["a", "bB"] == [c["content"]["parts"][0]["text"] for c in made]


def test_the_text_leaves_thoughts_out() -> None:
    reply = Reply()
    for chunk in (text_chunk("t", thought=True), text_chunk("a"), parts_chunk([{"text": None}])):
        reply.add(chunk)
    assert "a" == reply.text
    assert reply.has_content


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        (text_chunk("a"), True),
        (text_chunk(""), False),
        (parts_chunk([{"functionCall": {"name": "f"}}]), True),
        ({"usageMetadata": {"totalTokenCount": 1}}, False),
        ({"candidates": [{"content": {"role": "model"}}]}, False),
    ],
)
def test_content_is_what_a_second_try_could_not_take_back(chunk: Any, expected: bool) -> None:
    reply = Reply()
    reply.add(chunk)
    assert expected is reply.has_content


def test_the_whole_may_be_asked_for_at_any_moment_and_belongs_to_the_caller() -> None:
    reply = Reply()
    for i, text in enumerate("abc"):
        reply.add(text_chunk(text))
        made = reply.whole()
        assert "abc"[: i + 1] == made["candidates"][0]["content"]["parts"][0]["text"]
        made["candidates"][0]["content"]["parts"].clear()


@pytest.mark.parametrize(
    "chunk",
    [
        3,
        None,
        "text",
        [],
        {"candidates": 3},
        {"candidates": [3]},
        {"candidates": {"a": 1}},
        {"candidates": [{"content": {"parts": 3}}]},
        {"candidates": [{"content": {"parts": [3]}}]},
        {"candidates": [{"content": {"parts": [{"text": 3}]}}]},
        {"candidates": [{"index": "first", "content": {}}]},
        {"candidates": [{"safetyRatings": 3}]},
        {"candidates": [{"safetyRatings": [3]}]},
        {"candidates": [{"logprobsResult": {"topCandidates": 3}}]},
    ],
)
def test_what_has_not_the_shape_of_a_chunk_is_an_error_of_its_own(chunk: Any) -> None:
    reply = Reply()
    reply.add(text_chunk("a"))
    with pytest.raises(MalformedReply, match="no GenerateContentResponse") as caught:
        reply.add(chunk)
    assert caught.value.excerpt
    assert "a" == reply.text
    reply.whole()


def test_who_reads_while_a_chunk_is_taken_in_spoils_nothing() -> None:
    reply = Reply()

    class Read(dict[str, Any]):
        """Is read by another thread in between, as it were."""

        def items(self) -> Any:
            reply.whole()
            return super().items()

    reply.add(text_chunk("a"))
    reply.add(Read(text_chunk("b")))
    assert [{"text": "ab"}] == reply.whole()["candidates"][0]["content"]["parts"]


def test_a_chunk_that_arrives_while_somebody_reads_is_not_lost() -> None:
    reply = Reply()
    arriving = [parts_chunk([CALL], "STOP")]

    class Part(dict[str, Any]):
        """Takes so long to be read that another thread adds to the reply."""

        def __iter__(self) -> Any:
            return iter(self.keys())

        def keys(self) -> Any:
            while arriving:
                reply.add(arriving.pop())
            return super().keys()

    reply.add(parts_chunk([Part(text="a")]))
    assert "a" == reply.text
    assert [{"text": "a"}, CALL] == reply.whole()["candidates"][0]["content"]["parts"]
    assert "STOP" == reply.whole()["candidates"][0]["finishReason"]
