"""Whom the command line talks to, and how: what the options of ``multiturn chat`` say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from multiturn.model import GenerativeModel


@dataclass(frozen=True, slots=True)
class Options:
    """How a model is made; None leaves a choice to the model.

    Attributes:
        model: Name of the model, path of a GGUF file, or a file of the hub.
        system: What the model is told before everything else.
        temperature: As in GenerationConfig.
        max_tokens: Length of an answer at most.
        seed: As in GenerationConfig.
    """

    model: str | None = None
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None


MakeModel: TypeAlias = "Callable[[Options], GenerativeModel]"


def make_model(options: Options) -> GenerativeModel:
    """Return the model that the options describe."""
    from multiturn.model import GenerativeModel

    config = {
        "temperature": options.temperature,
        "max_output_tokens": options.max_tokens,
        "seed": options.seed,
    }
    return GenerativeModel(
        options.model,
        system_instruction=options.system,
        generation_config={name: value for name, value in config.items() if value is not None},
    )


def ready(model: GenerativeModel) -> GenerativeModel:
    """Return the model once its weights are on this machine; tells of a download on stderr.

    Raises:
        UnknownName, WeightsError: As ``multiturn.weights.locate``.
    """
    if model.backend.name == "embedded":
        from multiturn import weights

        weights.locate(model.model_name)
    return model
