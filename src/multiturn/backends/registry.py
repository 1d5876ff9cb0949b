"""From a model's name to the backend that knows it; backends are loaded when first named."""

from __future__ import annotations

from multiturn.backends import Backend


def backend_for(model_name: str | None) -> tuple[Backend, str]:
    """Return the backend for a model, and the model's name as that backend knows it.

    Args:
        model_name: None, a name of the catalogue of weights, a path to a GGUF file, or
            ``hf:owner/repo`` mean the embedded engine.

    Raises:
        UnknownName: No backend knows the name.
    """
    from multiturn.backends import embedded

    return embedded.backend(), embedded.model_name(model_name)
