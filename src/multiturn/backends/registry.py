"""From a model's name to the backend that knows it; backends are loaded when first named.

Third parties add backends with an entry point of the group ``multiturn.backends``: its
name is what stands before the slash of a model's name, its object is called without
arguments and returns a Backend.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from multiturn.backends import Backend
from multiturn.errors import InvalidContent, UnknownName, UsageError

GROUP = "multiturn.backends"
# How names of the Gemini API and of Vertex AI begin: resources, and families of models.
_GEMINI = (
    "models/",
    "tunedModels/",
    "dynamic/",
    "publishers/",
    "projects/",
    "gemini-",
    "gemma-",
    "learnlm-",
)
# What stands before the slash elsewhere, and here.
_ELSEWHERE = {"anthropic": "any/anthropic", "google": "gemini"}
# Families of models that many people know by their bare names, and who serves them.
_FAMILIES = {"gpt-": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "grok-": "xai"}
_FAMILIES |= {"claude-": "openrouter/anthropic", "deepseek-": "deepseek", "mistral-": "mistral"}

_plugins: dict[str, Backend] = {}
_lock = threading.Lock()


def backend_for(model_name: str | None) -> tuple[Backend, str]:
    """Return the backend for a model, and the model's name as that backend knows it.

    Args:
        model_name: None (the environment's MULTITURN_MODEL, else the default model), a
            name of the catalogue of weights, a path to a GGUF file, or ``hf:owner/repo``
            mean the embedded engine; ``models/…``, ``gemini-…`` and the like mean the
            Gemini API; ``provider/model`` a server of the OpenAI protocol or a backend
            of an installed package; ``any/provider/model`` a provider of any-llm.

    Raises:
        UnknownName: Nobody is called so; the nearest name is suggested.
    """
    name = model_name or os.environ.get("MULTITURN_MODEL")
    if not name or _is_path(name):
        return _embedded(name)
    provider, slash, rest = name.partition("/")
    if slash and rest and provider in ("gemini", "embedded"):
        return _gemini(rest) if provider == "gemini" else _embedded(rest)
    if name.startswith(_GEMINI):
        return _gemini(name)
    if slash and rest:
        return _of_provider(provider, rest)
    _require_embedded(name)
    return _embedded(name)


def require_known(name: str) -> None:
    """Refuse a name that nobody has, as far as that can be said without asking anybody.

    Raises:
        InvalidContent: It is empty.
        UnknownName: As ``backend_for``.
        WeightsMissing, WeightsBroken: No file lies at the path that it is.
    """
    if not name.strip():
        expected = "a model's name, or None for the embedded one (is the variable set from which "
        raise InvalidContent("model_name", name, f"{expected}it comes?)")
    provider, slash, rest = name.partition("/")
    if provider == "embedded" and rest:
        name, slash = rest, ""
    if _is_path(name):
        _require_file(name)
    elif not (name.startswith(_GEMINI) and name not in _GEMINI):
        try:
            _require_served(name) if slash and rest else _require_embedded(name)
        except UnknownName:
            if os.path.isdir(name):
                _require_file(name)
            raise


def _is_path(name: str) -> bool:
    """Whether a name means a file, which may be on the Hugging Face hub."""
    begins = name.startswith(("hf:", "/", "./", "../", "~"))
    return begins or name.endswith(".gguf") or os.path.isfile(name)


def _require_file(name: str) -> None:
    from multiturn.weights import require_file

    require_file(name)


def _require_served(name: str) -> None:
    """Refuse a name before whose slash stands nobody that we know."""
    provider, _, rest = name.partition("/")
    if provider not in ("gemini", "any") and not _is_provider(provider):
        raise _unknown_provider(provider, rest)


def _is_provider(name: str) -> bool:
    from multiturn.backends.openai.providers import PROVIDERS

    return name in PROVIDERS or name in _plugins or name in _entry_points()


def _require_embedded(name: str) -> None:
    """Refuse a name that is not in the catalogue of weights."""
    from difflib import get_close_matches

    from multiturn.backends.openai.providers import PROVIDERS
    from multiturn.weights import find

    near = ""
    provider, colon, rest = name.partition(":")
    if colon and rest and provider in (*PROVIDERS, *_ELSEWHERE, "any", "gemini"):
        near = f"{_ELSEWHERE.get(provider, provider)}/{rest}"
    for family, server in _FAMILIES.items():
        if name.startswith(family):
            near = f"{server}/{name}"
    family, dash, version = name.partition("-")
    for found in get_close_matches(family, ("gemini", "gemma", "learnlm"), n=1) if dash else ():
        near = near or f"{found}-{version}"
    if near:
        raise UnknownName("embedded model", name, [], f"did you mean {near!r}?")
    find(name)


def provider_names() -> list[str]:
    """Return what may stand before the slash of a model's name."""
    from multiturn.backends.openai.providers import PROVIDERS

    return sorted({"any", "embedded", "gemini", *PROVIDERS, *_entry_points()})


def entry_point_names() -> list[str]:
    """Return the names of the backends that installed packages add."""
    return sorted(_entry_points())


def _gemini(name: str) -> tuple[Backend, str]:
    from multiturn.backends.gemini.backend import backend

    return backend(), name if "/" in name else f"models/{name}"


def _embedded(name: str | None) -> tuple[Backend, str]:
    from multiturn import weights
    from multiturn.backends.embedded.backend import backend

    return backend(), name or weights.DEFAULT_MODEL


def _of_provider(provider: str, model: str) -> tuple[Backend, str]:
    from multiturn.backends.openai.providers import PROVIDERS

    if provider in PROVIDERS:
        from multiturn.backends.openai.backend import backend_named

        return backend_named(provider), model
    if provider == "any":
        from multiturn.backends.any_llm.backend import backend

        return backend(), model
    with _lock:
        if provider in _plugins:
            return _plugins[provider], model
        found = _entry_points().get(provider)
        if found is not None:
            backend = found.load()()
            if not isinstance(backend, Backend):
                raise UsageError(
                    f"the entry point {found.value!r} of {GROUP} made {type(backend).__name__}, "
                    "which is no Backend; it needs name, stream, stream_async, count_tokens and "
                    "count_tokens_async"
                )
            _plugins[provider] = backend
            return backend, model
    raise _unknown_provider(provider, model)


def _unknown_provider(provider: str, model: str) -> UnknownName:
    from difflib import get_close_matches

    known = provider_names()
    near = [_ELSEWHERE[provider]] if provider in _ELSEWHERE else []
    near = near or get_close_matches(provider, known, n=1)
    advice = f"did you mean '{near[0]}/{model}'?" if near else ""
    return UnknownName("provider of models", provider, known, advice)


def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP)}
