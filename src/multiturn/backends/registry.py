"""From a model's name to the backend that knows it; backends are loaded when first named."""

from __future__ import annotations

from multiturn.backends import Backend

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


def backend_for(model_name: str | None) -> tuple[Backend, str]:
    """Return the backend for a model, and the model's name as that backend knows it.

    Args:
        model_name: None (the environment's MULTITURN_MODEL, else the default model), a
            name of the catalogue of weights, a path to a GGUF file, or ``hf:owner/repo``
            mean the embedded engine; ``models/…``, ``gemini-…`` and the like mean the
            Gemini API.
    """
    import os

    name = model_name or os.environ.get("MULTITURN_MODEL")
    if name and name.startswith(_GEMINI) and not name.endswith(".gguf"):
        from multiturn.backends import gemini_backend

        return gemini_backend.backend(), name if "/" in name else f"models/{name}"
    from multiturn import weights
    from multiturn.backends import embedded

    return embedded.backend(), name or weights.DEFAULT_MODEL
