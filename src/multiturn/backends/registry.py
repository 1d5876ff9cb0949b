"""From a model's name to the backend that knows it; backends are loaded when first named."""

from __future__ import annotations

from multiturn.backends import Backend


def backend_for(model_name: str | None) -> tuple[Backend, str]:
    """Return the backend for a model, and the model's name as that backend knows it.

    Args:
        model_name: None (the environment's MULTITURN_MODEL, else the default model), a
            name of the catalogue of weights, a path to a GGUF file, or ``hf:owner/repo``
            mean the embedded engine.
    """
    import os

    from multiturn import weights
    from multiturn.backends import embedded

    name = model_name or os.environ.get("MULTITURN_MODEL") or weights.DEFAULT_MODEL
    return embedded.backend(), name
