"""Models of everything that can be asked from here: embedded, servers, other packages."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

from multiturn import weights
from multiturn.errors import MultiturnError
from multiturn.types.model_types import Model


def configured_models() -> Iterator[Model]:
    """Give the models of every backend that is set up, by the names GenerativeModel takes.

    Set up are the embedded engine, the Gemini API if the environment or ``configure()``
    has a key, servers of the OpenAI protocol of which the environment has a key or an
    address, and backends of installed packages with a method ``list_models()``.  Whoever
    cannot be asked is left out with a warning.
    """
    for known in weights.MODELS.values():
        yield _model(known.name, known.title, known.context_tokens)
    for provider in configured_providers():
        try:
            found = list(_models_of(provider))
        except MultiturnError as error:
            warnings.warn(f"{provider} could not be asked for its models: {error}", stacklevel=2)
            continue
        yield from found


def configured_providers() -> list[str]:
    """Return the names of the servers and packages that are set up."""
    from multiturn.access import configured, from_environment
    from multiturn.backends.openai.providers import PROVIDERS, is_configured
    from multiturn.backends.registry import entry_point_names

    access = configured().over(from_environment())
    has_gemini = access.api_key is not None or access.credentials is not None
    named = [name for name in PROVIDERS if is_configured(name, os.environ)]
    return [*(["gemini"] if has_gemini else []), *named, *entry_point_names()]


def _models_of(provider: str) -> Iterator[Model]:
    if provider == "gemini":
        from multiturn.models import list_models

        yield from list_models()
        return
    from multiturn.backends.registry import backend_for

    backend, _ = backend_for(f"{provider}/any")
    listed = getattr(backend, "list_models", None)
    for name in listed() if listed is not None else ():
        yield _model(f"{provider}/{name}", name, 0)


def _model(name: str, title: str, input_tokens: int) -> Model:
    return Model(
        name=name,
        base_model_id="",
        version="",
        display_name=title,
        description="",
        input_token_limit=input_tokens,
        output_token_limit=0,
        supported_generation_methods=["generateContent"],
    )
