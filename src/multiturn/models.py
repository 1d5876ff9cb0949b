"""Models that the server offers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from multiturn.errors import InvalidContent
from multiturn.options import RequestOptionsLike
from multiturn.types.model_types import AnyModelNameOptions, Model, make_model_name


def get_model(
    name: AnyModelNameOptions, *, client: Any = None, request_options: RequestOptionsLike = None
) -> Model:
    """Return what the server says about a model.

    Args:
        name: As ``models/gemini-x`` or ``gemini-x``, or a Model.
        client: Not used; stands for old programs.
        request_options: Time limit, retries, and how the server is reached.

    Raises:
        BackendError: The server could not be asked, or does not know the model.
    """
    return get_base_model(name, client=client, request_options=request_options)


def get_base_model(
    name: AnyModelNameOptions, *, client: Any = None, request_options: RequestOptionsLike = None
) -> Model:
    """Do as ``get_model``; tuned models, which are no longer offered, are refused."""
    from multiturn.backends.gemini.service import ask

    full = make_model_name(name)
    if not full.startswith("models/"):
        raise InvalidContent("name", full, "a name that begins with 'models/'")
    return Model.from_object(ask("GET", full, options=request_options))


def list_models(
    *,
    page_size: int | None = 50,
    client: Any = None,
    request_options: RequestOptionsLike = None,
    everywhere: bool = False,
) -> Iterator[Model]:
    """Give the models that the server offers, asking for pages as they are needed.

    Args:
        page_size: How many a page holds.
        client: Not used; stands for old programs.
        request_options: Time limit, retries, and how the server is reached.
        everywhere: Give the models of everything that is set up, not of the Gemini API
            alone, by the names that GenerativeModel takes.
    """
    if everywhere:
        from multiturn.configured import configured_models

        yield from configured_models()
        return
    from multiturn.backends.gemini.service import listed

    for found in listed("models", "models", page_size=page_size, options=request_options):
        yield Model.from_object(found)


def get_base_model_name(model: AnyModelNameOptions, client: Any = None) -> str:
    """Return a model's name, from its name or from the model."""
    return model if isinstance(model, str) else model.name
