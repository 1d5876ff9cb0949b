"""Kinds and degrees of harm, by the names of the old SDK."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from multiturn.messages import service_messages
from multiturn.messages.candidate import HarmCategory, HarmProbability
from multiturn.messages.message import Object
from multiturn.messages.settings import HarmBlockThreshold
from multiturn.safety import (
    SafetySettingsLike,
    safety_thresholds,
    to_block_threshold,
    to_harm_category,
)

__all__ = [
    "BlockedReason",
    "ContentFilterDict",
    "HarmBlockThreshold",
    "HarmCategory",
    "HarmProbability",
    "SafetyFeedbackDict",
    "SafetyRatingDict",
    "SafetySettingDict",
    "convert_candidate_enums",
    "convert_filters_to_enums",
    "convert_rating_to_enum",
    "convert_ratings_to_enum",
    "convert_safety_feedback_to_enums",
    "convert_setting_to_enum",
    "normalize_safety_settings",
    "to_block_threshold",
    "to_easy_safety_dict",
    "to_harm_category",
]

_filter: Any = service_messages.ContentFilter
BlockedReason = _filter.BlockedReason

HarmCategoryOptions = str | int | HarmCategory
HarmBlockThresholdOptions = str | int | HarmBlockThreshold
EasySafetySetting = Mapping[HarmCategoryOptions, HarmBlockThresholdOptions]
EasySafetySettingDict = dict[HarmCategoryOptions, HarmBlockThresholdOptions]


class ContentFilterDict(TypedDict):
    """Why something was filtered."""

    reason: Any
    message: str


class SafetyRatingDict(TypedDict):
    """How likely one kind of harm is."""

    category: HarmCategory
    probability: HarmProbability


class SafetySettingDict(TypedDict):
    """From which probability on one kind of harm is withheld."""

    category: HarmCategory
    threshold: HarmBlockThreshold


class LooseSafetySettingDict(TypedDict):
    """The same as a person may write it."""

    category: HarmCategoryOptions
    threshold: HarmBlockThresholdOptions


class SafetyFeedbackDict(TypedDict):
    """A rating and the setting that it came up against."""

    rating: SafetyRatingDict
    setting: SafetySettingDict


SafetySettingOptions = (
    HarmBlockThresholdOptions | EasySafetySetting | Iterable[LooseSafetySettingDict] | None
)


def to_easy_safety_dict(settings: SafetySettingsLike) -> dict[HarmCategory, HarmBlockThreshold]:
    """Return safety settings of any form as thresholds by kind of harm."""
    return safety_thresholds(settings)


def normalize_safety_settings(settings: SafetySettingsLike) -> list[SafetySettingDict] | None:
    """Return safety settings of any form as a list of dicts; None stays None."""
    if settings is None:
        return None
    thresholds = safety_thresholds(settings)
    return [{"category": kind, "threshold": limit} for kind, limit in thresholds.items()]


def convert_rating_to_enum(rating: Mapping[str, Any]) -> SafetyRatingDict:
    """Return a rating of numbers as one of enumerations."""
    return {
        "category": HarmCategory(rating["category"]),
        "probability": HarmProbability(rating["probability"]),
    }


def convert_ratings_to_enum(ratings: Iterable[Mapping[str, Any]]) -> list[SafetyRatingDict]:
    """Do so for several."""
    return [convert_rating_to_enum(rating) for rating in ratings]


def convert_setting_to_enum(setting: Mapping[str, Any]) -> SafetySettingDict:
    """Return a setting of numbers as one of enumerations."""
    return {
        "category": HarmCategory(setting["category"]),
        "threshold": HarmBlockThreshold(setting["threshold"]),
    }


def convert_filters_to_enums(filters: Iterable[Mapping[str, Any]]) -> list[Object]:
    """Return filters with their reasons as enumerations."""
    return [{**one, "reason": BlockedReason(one["reason"])} for one in filters]


def convert_safety_feedback_to_enums(
    safety_feedback: Iterable[Mapping[str, Any]],
) -> list[SafetyFeedbackDict]:
    """Return feedback of numbers as one of enumerations."""
    return [
        {
            "rating": convert_rating_to_enum(one["rating"]),
            "setting": convert_setting_to_enum(one["setting"]),
        }
        for one in safety_feedback
    ]


def convert_candidate_enums(candidates: Iterable[Mapping[str, Any]]) -> list[Object]:
    """Return candidates with their ratings as enumerations."""
    return [
        {**one, "safety_ratings": convert_ratings_to_enum(one["safety_ratings"])}
        for one in candidates
    ]
