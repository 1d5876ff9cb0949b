"""The messages keep the interface of the old SDK's, those of retired services included."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from multiturn import protos, types
from multiturn.errors import InvalidContent, UnknownName

MESSAGES = [name for name in protos.__all__ if hasattr(getattr(protos, name), "to_dict")]


def test_all_names_of_the_old_sdk_are_there() -> None:
    assert len(protos.__all__) >= 152
    assert {"Corpus", "Permission", "Message", "TunedModel", "Part"} <= {*dir(protos)}
    with pytest.raises(AttributeError, match="nothing_such"):
        protos.nothing_such  # noqa: B018


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_can_be_made_told_copied_and_pickled(name: str) -> None:
    kind = getattr(protos, name)
    empty = kind()
    told = kind.to_dict(empty)
    assert empty == kind.from_dict(told) == kind.from_json(kind.to_json(empty))
    assert empty == copy.deepcopy(empty) == pickle.loads(pickle.dumps(empty))
    assert {} == kind.to_dict(empty, including_default_value_fields=False)
    assert not empty
    for field in kind.fields:
        getattr(empty, field)
        assert field not in empty
    with pytest.raises(UnknownName):
        kind(nothing_such=1)


def test_times_and_durations_are_those_of_python() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    cached = protos.CachedContent(create_time=when, ttl=timedelta(minutes=2, milliseconds=500))
    assert ("2026-01-02T03:04:05.678Z", "120.500s") == (
        cached.json_object["createTime"], cached.json_object["ttl"],
    )  # fmt: skip
    assert (when, timedelta(seconds=120.5)) == (cached.create_time, cached.ttl)
    assert cached.update_time is None
    cached.expire_time = {"seconds": 60}
    assert "ttl" not in cached
    assert datetime(1970, 1, 1, 0, 1, tzinfo=UTC) == cached.expire_time


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (3, 3),
        (1.5, 1.5),
        ("3.25s", 3.25),
        ({"seconds": 2, "nanos": 500_000_000}, 2.5),
        (-1.5, -1.5),
    ],
)
def test_durations_have_many_forms(value: Any, seconds: float) -> None:
    assert timedelta(seconds=seconds) == protos.CachedContent(ttl=value).ttl


@pytest.mark.parametrize("value", ["soon", [], "2026-13-45T00:00:00Z", True])
def test_what_is_no_time_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(InvalidContent, match=r"\$\.create_time"):
        protos.File(create_time=value)


def test_large_integers_are_text_in_dicts_as_they_are_in_json() -> None:
    file = protos.File(size_bytes=2**40)
    assert 2**40 == file.size_bytes
    assert "1099511627776" == protos.File.to_dict(file)["size_bytes"]


def test_grounding_and_probabilities_are_messages() -> None:
    candidate = protos.Candidate.view(
        {
            "groundingMetadata": {"groundingChunks": [{"web": {"uri": "https://x"}}], "new": 1},
            "logprobsResult": {"chosenCandidates": [{"token": "a", "logProbability": -0.5}]},
        }
    )
    assert "https://x" == candidate.grounding_metadata.grounding_chunks[0].web.uri
    assert -0.5 == candidate.logprobs_result.chosen_candidates[0].log_probability
    assert 1 == candidate.json_object["groundingMetadata"]["new"]


def test_an_unset_enumeration_equals_its_default_by_any_spelling() -> None:
    reasons = protos.Candidate.FinishReason
    assert (
        reasons(0) is reasons("FINISH_REASON_UNSPECIFIED") is reasons("finish_reason_unspecified")
    )


def test_every_type_of_the_old_sdk_is_there() -> None:
    for name in types.__all__:
        getattr(types, name)
    with pytest.raises(AttributeError, match="tuning"):
        types.TunedModel  # noqa: B018
