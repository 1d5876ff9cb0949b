"""Safety settings in every form a person may write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

from multiturn.errors import InvalidContent, UnknownName
from multiturn.messages.candidate import HarmCategory
from multiturn.messages.enums import OpenEnum
from multiturn.messages.message import Object
from multiturn.messages.settings import HarmBlockThreshold, SafetySetting

SafetySettingsLike: TypeAlias = (
    str | int | Mapping[Any, Any] | Iterable[SafetySetting | Mapping[str, Any]] | None
)

E = TypeVar("E", bound=OpenEnum)

_PATH = "$.safety_settings"

# The kinds of harm that today's models rate.
_RATED = (
    HarmCategory.HARM_CATEGORY_HARASSMENT,
    HarmCategory.HARM_CATEGORY_HATE_SPEECH,
    HarmCategory.HARM_CATEGORY_SEXUALLY_EXPLICIT,
    HarmCategory.HARM_CATEGORY_DANGEROUS_CONTENT,
)
_SHORT_CATEGORIES = {
    "harass": HarmCategory.HARM_CATEGORY_HARASSMENT,
    "hate": HarmCategory.HARM_CATEGORY_HATE_SPEECH,
    "sex": HarmCategory.HARM_CATEGORY_SEXUALLY_EXPLICIT,
    "sexual": HarmCategory.HARM_CATEGORY_SEXUALLY_EXPLICIT,
    "harm_category_sexual": HarmCategory.HARM_CATEGORY_SEXUALLY_EXPLICIT,
    "danger": HarmCategory.HARM_CATEGORY_DANGEROUS_CONTENT,
    "dangerous": HarmCategory.HARM_CATEGORY_DANGEROUS_CONTENT,
    "harm_category_dangerous": HarmCategory.HARM_CATEGORY_DANGEROUS_CONTENT,
    "civic": HarmCategory.HARM_CATEGORY_CIVIC_INTEGRITY,
}
_SHORT_THRESHOLDS = {
    "unspecified": HarmBlockThreshold.HARM_BLOCK_THRESHOLD_UNSPECIFIED,
    "block_threshold_unspecified": HarmBlockThreshold.HARM_BLOCK_THRESHOLD_UNSPECIFIED,
    "low": HarmBlockThreshold.BLOCK_LOW_AND_ABOVE,
    "med": HarmBlockThreshold.BLOCK_MEDIUM_AND_ABOVE,
    "medium": HarmBlockThreshold.BLOCK_MEDIUM_AND_ABOVE,
    "high": HarmBlockThreshold.BLOCK_ONLY_HIGH,
    "none": HarmBlockThreshold.BLOCK_NONE,
}


def to_harm_category(value: str | int) -> HarmCategory:
    """Return a kind of harm from its number, name, or short name in any case."""
    if isinstance(value, str):
        name = value.lower()
        short = _SHORT_CATEGORIES.get(name)
        member = HarmCategory.__members__.get(name.upper()) or HarmCategory.__members__.get(
            f"HARM_CATEGORY_{name.upper()}"
        )
        if short is None and member is None:
            raise UnknownName("harm category", value, [*HarmCategory.__members__])
        return short or member or HarmCategory(0)
    return _value(HarmCategory, value)


def to_block_threshold(value: str | int) -> HarmBlockThreshold:
    """Return a threshold from its number, name, or short name in any case."""
    if isinstance(value, str):
        name = value.lower()
        member = HarmBlockThreshold.__members__.get(name.upper())
        if member is None and name not in _SHORT_THRESHOLDS:
            raise UnknownName("harm block threshold", value, [*HarmBlockThreshold.__members__])
        return _SHORT_THRESHOLDS[name] if member is None else member
    return _value(HarmBlockThreshold, value)


def safety_thresholds(settings: SafetySettingsLike) -> dict[HarmCategory, HarmBlockThreshold]:
    """Return thresholds by kind of harm.

    Args:
        settings: One threshold for all kinds; a dict from kinds to thresholds; a list of
            SafetySetting or of dicts with ``category`` and ``threshold``; None for none.
    """
    if settings is None:
        return {}
    if isinstance(settings, str | int):
        return dict.fromkeys(_RATED, to_block_threshold(settings))
    if isinstance(settings, Mapping):
        thresholds: Mapping[Any, Any] = settings
        return {to_harm_category(k): to_block_threshold(v) for k, v in thresholds.items()}
    if not isinstance(settings, Iterable):
        raise InvalidContent(_PATH, settings, "a threshold, a dict of thresholds, or a list")
    pairs = [_pair(setting, f"{_PATH}[{i}]") for i, setting in enumerate(settings)]
    return {to_harm_category(k): to_block_threshold(v) for k, v in pairs}


def _pair(setting: object, path: str) -> tuple[Any, Any]:
    if isinstance(setting, SafetySetting):
        return setting.category, setting.threshold
    if isinstance(setting, Mapping) and {"category", "threshold"} <= {*setting}:
        return setting["category"], setting["threshold"]
    from multiturn.to_content import as_ours

    if (ours := as_ours(setting)) is not setting:
        return _pair(ours, path)
    raise InvalidContent(path, setting, "a SafetySetting, or a dict of category and threshold")


def _value(enum: type[E], value: Any) -> E:
    # 1 is True, and a number that nobody knows is a slip: there are names.
    if isinstance(value, bool) or not isinstance(value, int) or not enum(value).is_known:
        raise InvalidContent(_PATH, value, f"a {enum.__name__}, its name or its number")
    return enum(value)


def merged_safety(*layers: SafetySettingsLike) -> tuple[Object, ...]:
    """Return the wire's safety settings that several layers make; later ones win."""
    merged: dict[HarmCategory, HarmBlockThreshold] = {}
    for layer in layers:
        merged.update(safety_thresholds(layer))
    return tuple({"category": k.wire, "threshold": v.wire} for k, v in merged.items())
