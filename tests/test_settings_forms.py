"""Configuration, safety, options and retries in every form a person may write them."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn import GenerationConfig, Retry, protos, types
from multiturn.config import merged_config
from multiturn.errors import BackendError, InvalidContent, UnknownName
from multiturn.messages.candidate import HarmCategory
from multiturn.messages.settings import HarmBlockThreshold
from multiturn.options import RequestOptions, retry_of, timeout_seconds_of
from multiturn.retry import NO_RETRY
from multiturn.safety import merged_safety, safety_thresholds, to_block_threshold, to_harm_category

# -- configuration ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        GenerationConfig(temperature=0.5, stop_sequences=["END"]),
        protos.GenerationConfig(temperature=0.5, stop_sequences=["END"]),
        {"temperature": 0.5, "stop_sequences": ["END"]},
        {"temperature": 0.5, "stopSequences": ("END",)},
        {"temperature": 0.5, "stop_sequences": "END"},
        {"temperature": 0.5, "stop_sequences": (text for text in ["END"])},
        GenerationConfig(temperature=0.5, stop_sequences="END"),
    ],
)
def test_every_form_of_configuration_is_the_same_on_the_wire(config: Any) -> None:
    assert {"temperature": 0.5, "stopSequences": ["END"]} == merged_config(config)


def test_later_configurations_win_member_by_member() -> None:
    merged = merged_config(
        {"temperature": 0.5, "stop_sequences": ["a"]},
        None,
        GenerationConfig(temperature=0),
        protos.GenerationConfig(top_k=3),
    )
    assert {"temperature": 0, "stopSequences": ["a"], "topK": 3} == merged


@pytest.mark.parametrize("value", [None, {}, GenerationConfig(), protos.GenerationConfig()])
def test_an_empty_configuration_says_nothing(value: Any) -> None:
    assert {} == merged_config(value)


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"temperature": -0.1}, "$.generation_config.temperature"),
        ({"temperature": "hot"}, "$.generation_config.temperature"),
        ({"temperature": float("nan")}, "$.generation_config.temperature"),
        ({"top_p": 1.1}, "$.generation_config.top_p"),
        ({"candidate_count": 0}, "$.generation_config.candidate_count"),
        ({"max_output_tokens": 0}, "$.generation_config.max_output_tokens"),
        ({"max_output_tokens": 1.5}, "$.generation_config.max_output_tokens"),
        ({"stop_sequences": [3]}, "$.generation_config.stop_sequences[0]"),
        ({"presence_penalty": 3}, "$.generation_config.presence_penalty"),
        (3, "$.generation_config"),
        ("hot", "$.generation_config"),
        ({"response_schema": 3}, "$"),
    ],
)
def test_a_bad_configuration_is_refused_with_its_path(config: Any, path: str) -> None:
    with pytest.raises((InvalidContent, ValueError)) as caught:
        merged_config(config)
    assert str(caught.value).startswith(path) or path == "$"


def test_an_unknown_setting_is_refused_and_the_nearest_named() -> None:
    with pytest.raises(UnknownName, match="did you mean 'max_output_tokens'"):
        merged_config({"max_output_token": 3})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "STRING"},
        {"type": "string"},
        {"type_": "STRING"},
        protos.Schema(type="STRING"),
        str,
    ],
)
def test_a_schema_may_be_a_schema_a_dict_or_a_type(schema: Any) -> None:
    merged = merged_config({"response_schema": schema})
    assert {"type": "STRING"} == merged["responseSchema"]


def test_configurations_are_plain_data() -> None:
    config = GenerationConfig(temperature=0.5)
    assert config == pickle.loads(pickle.dumps(config))
    assert types.GenerationConfig is GenerationConfig


# -- safety -------------------------------------------------------------------------------

HATE = HarmCategory.HARM_CATEGORY_HATE_SPEECH
NONE = HarmBlockThreshold.BLOCK_NONE


@pytest.mark.parametrize(
    "value", ["hate", "HATE", "Hate_Speech", "HARM_CATEGORY_HATE_SPEECH", 8, HATE]
)
def test_every_spelling_of_a_harm(value: Any) -> None:
    assert HATE is to_harm_category(value)


@pytest.mark.parametrize("value", ["none", "NONE", "block_none", 4, NONE])
def test_every_spelling_of_a_threshold(value: Any) -> None:
    assert NONE is to_block_threshold(value)


@pytest.mark.parametrize(
    "form",
    [
        {"hate": "none"},
        {8: 4},
        {HATE: NONE},
        [{"category": "hate", "threshold": "none"}],
        [protos.SafetySetting(category=8, threshold=4)],
        ({"category": HATE, "threshold": NONE} for _ in range(1)),
    ],
)
def test_every_form_of_safety_settings(form: Any) -> None:
    expected = {"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}
    assert (expected,) == merged_safety(form)


def test_one_threshold_holds_for_all_rated_harms() -> None:
    thresholds = safety_thresholds("high")
    assert {HarmBlockThreshold.BLOCK_ONLY_HIGH} == {*thresholds.values()}
    assert 4 == len(thresholds)
    assert HATE in thresholds


def test_new_harms_and_thresholds_are_taken() -> None:
    merged = merged_safety({"civic": "off"})
    assert ({"category": "HARM_CATEGORY_CIVIC_INTEGRITY", "threshold": "OFF"},) == merged


def test_later_safety_settings_win_harm_by_harm() -> None:
    merged = merged_safety("high", {"hate": "none"})
    assert {"category": HATE.name, "threshold": "BLOCK_NONE"} in merged
    assert 4 == len(merged)
    assert () == merged_safety(None)


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ({"hat": "none"}, "harm category is named 'hat'"),
        ({"hate": "non"}, "harm block threshold is named 'non'"),
        ("highest", "harm block threshold is named 'highest'"),
    ],
)
def test_an_unknown_harm_or_threshold_is_refused(form: Any, shown: str) -> None:
    with pytest.raises(UnknownName, match=shown):
        merged_safety(form)


@pytest.mark.parametrize(
    "form", [[3], [{"category": "hate"}], [{"threshold": "none"}], ["hate"], 1.5, {"hate": None}]
)
def test_what_is_no_safety_setting_is_refused_in_words(form: Any) -> None:
    with pytest.raises((InvalidContent, UnknownName), match="safety"):
        merged_safety(form)


# -- options ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [RequestOptions(timeout=3), {"timeout": 3}, {"timeout": 3.0, "retry": None}]
)
def test_a_time_limit_is_given_as_an_option(options: Any) -> None:
    assert 3.0 == timeout_seconds_of(options)
    assert Retry() == retry_of(options, Retry())


@pytest.mark.parametrize("options", [None, {}, RequestOptions(), {"timeout": None}])
def test_no_options_mean_the_defaults(options: Any) -> None:
    assert timeout_seconds_of(options) is None
    assert Retry(attempts=7) == retry_of(options, Retry(attempts=7))


@pytest.mark.parametrize("timeout", [0, -1, "3", True, float("nan"), [3]])
def test_what_is_no_time_is_refused(timeout: Any) -> None:
    with pytest.raises(InvalidContent, match="seconds, more than 0"):
        timeout_seconds_of({"timeout": timeout})


def test_retries_are_given_as_an_option() -> None:
    rule = Retry(attempts=2)
    assert rule is retry_of({"retry": rule}, Retry())
    assert NO_RETRY is retry_of({"retry": False}, Retry())
    with pytest.raises(InvalidContent, match="Retry"):
        retry_of({"retry": 3}, Retry())


@pytest.mark.parametrize("options", [3, "x", ["timeout"]])
def test_what_are_no_options_is_refused(options: Any) -> None:
    with pytest.raises(InvalidContent, match="a RequestOptions or a dict"):
        timeout_seconds_of(options)


def test_an_unknown_option_is_refused() -> None:
    for make in (lambda: RequestOptions(tries=3), lambda: timeout_seconds_of({"tries": 3})):
        with pytest.raises(UnknownName, match="request option is named 'tries'"):
            make()


def test_options_are_a_mapping_that_shows_no_key() -> None:
    options = RequestOptions(timeout=3, api_key="SECRET", metadata=[("k", "SECRET")])
    assert 3 == options["timeout"] == options.timeout
    assert {"timeout", "retry", "api_key", "metadata"} == {*options}
    assert "SECRET" not in repr(options)
    with pytest.raises(KeyError):
        options["tries"]
    with pytest.raises(AttributeError):
        _ = options.tries


# -- retries ------------------------------------------------------------------------------


def error(retryable: bool = True, after: float | None = None) -> BackendError:
    made = BackendError("busy", retryable=retryable)
    made.retry_after_seconds = after
    return made


def highest(lowest: float, highest: float) -> float:
    assert 0 == lowest
    return highest


def test_pauses_double_up_to_a_limit() -> None:
    rule = Retry(attempts=8, uniform=highest)
    pauses = [rule.pause_seconds(attempt, error()) for attempt in range(1, 9)]
    assert [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, None] == pauses


def test_there_may_be_any_number_of_attempts() -> None:
    rule = Retry(attempts=5_000, first_pause_seconds=1e-6, uniform=highest)
    assert 8.0 == rule.pause_seconds(2_000, error())


def test_there_are_four_attempts_in_all() -> None:
    rule = Retry(uniform=highest)
    assert [False, False, False, True] == [
        rule.pause_seconds(attempt, error()) is None for attempt in range(1, 5)
    ]


@given(attempt=st.integers(1, 3))
def test_pauses_are_spread_over_their_whole_length(attempt: int) -> None:
    pause = Retry().pause_seconds(attempt, error())
    assert pause is not None
    assert 0 <= pause <= 0.5 * 2 ** (attempt - 1)


def test_what_cannot_succeed_is_not_tried_again() -> None:
    assert Retry().pause_seconds(1, error(retryable=False)) is None
    assert Retry().pause_seconds(1, ValueError("x")) is None
    assert NO_RETRY.pause_seconds(1, error()) is None


@pytest.mark.parametrize(("after", "expected"), [(0, 0.0), (3, 3.0), (120, 120.0), (121, None)])
def test_what_the_server_asks_for_is_honoured(after: float, expected: float | None) -> None:
    assert expected == Retry().pause_seconds(1, error(after=after))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"type": "object", "properties": {"a": {"type": "strin"}}},
        {"type": "array", "prefixItems": [{"type": "strin"}]},
    ],
)
def test_a_schema_with_a_type_that_there_is_not_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidContent, match="there is no type 'strin'") as raised:
        merged_config({"response_schema": schema})
    assert "$.generation_config.response_schema" == raised.value.path
