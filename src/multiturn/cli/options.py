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
    """Return the model once it could be asked; tells of a download on stderr.

    Its weights are fetched if they are not on this machine; a server is not reached for.

    Raises:
        UnknownName, WeightsError: As ``multiturn.weights.locate``.
        MissingKey: Its server wants a key, and none is set.
    """
    if model.backend.name == "embedded":
        from multiturn import weights

        weights.locate(model.model_name)
    else:
        _require_key(model)
    return model


def _require_key(model: GenerativeModel) -> None:
    """Raise MissingKey now if the first request would."""
    from multiturn.backends.gemini.backend import Gemini
    from multiturn.backends.gemini.method_call import MethodCall
    from multiturn.backends.openai.backend import OpenAIBackend
    from multiturn.cancel import Cancel
    from multiturn.history import empty_path
    from multiturn.request import Overrides

    backend, request = model.backend, model.request(empty_path(), Overrides(), stream=True)
    if isinstance(backend, Gemini):
        _ = MethodCall(backend, request, Cancel()).needs_token
    elif isinstance(backend, OpenAIBackend):
        backend.access(request.options)
