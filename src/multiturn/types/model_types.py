"""Models that a server offers, by the names of the old SDK."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from multiturn.errors import InvalidContent
from multiturn.messages import resources

__all__ = [
    "AnyModelNameOptions",
    "BaseModelNameOptions",
    "Model",
    "ModelNameOptions",
    "ModelsIterable",
    "make_model_name",
]


@dataclass
class Model:
    """What a server says about a model.

    Attributes:
        name: As ``models/gemini-x``.
        base_model_id: The family that it belongs to.
        version: Its version within the family.
        display_name: Its name for people.
        description: What it is good for.
        input_token_limit: Tokens of a conversation at most.
        output_token_limit: Tokens of an answer at most.
        supported_generation_methods: As ``generateContent``.
        temperature: What holds if a request does not say.
        max_temperature: The largest that it takes.
        top_p: What holds if a request does not say.
        top_k: What holds if a request does not say.
        thinking: Whether it can think before it answers.
    """

    name: str
    base_model_id: str
    version: str
    display_name: str
    description: str
    input_token_limit: int
    output_token_limit: int
    supported_generation_methods: list[str]
    temperature: float | None = None
    max_temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    thinking: bool | None = None

    @classmethod
    def from_object(cls, object_: dict[str, Any]) -> Model:
        """Return a model from the wire's object; members without a field are left out."""
        members = resources.Model.to_dict(resources.Model.view(object_))
        for name in ("temperature", "max_temperature", "top_p"):
            if type(members.get(name)) is int:  # JSON writes 1.0 as 1
                members[name] = float(members[name])
        return cls(**{k: v for k, v in members.items() if k in cls.__dataclass_fields__})


BaseModelNameOptions = str | Model | resources.Model
AnyModelNameOptions = str | Model | resources.Model
ModelNameOptions = AnyModelNameOptions
ModelsIterable = Iterable[Model]


def make_model_name(name: AnyModelNameOptions, argument: str = "name") -> str:
    """Return a model's full name: ``gemini-x`` is ``models/gemini-x``.

    Args:
        name: In any form.
        argument: What the caller called it.

    Raises:
        ValueError, TypeError: It is no name of a model.
    """
    # Also of the old SDK's own class, which is none of ours.
    is_model = hasattr(name, "supported_generation_methods")
    given = getattr(name, "name", None) if is_model else name
    if isinstance(given, str) and given and "/" not in given:
        return f"models/{given}"
    if not isinstance(given, str) or not given.startswith(("models/", "tunedModels/")):
        raise InvalidContent(argument, given, "a model's name as 'models/gemini-…', or a Model")
    return given
