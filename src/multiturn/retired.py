"""Names of services that Google has switched off, and what is said to whoever uses them."""

from __future__ import annotations

_SERVICES = {
    "tuning of Gemini models": (
        "create_tuned_model", "get_tuned_model", "list_tuned_models", "update_tuned_model",
        "delete_tuned_model", "get_operation", "list_operations", "operations", "TunedModel",
        "TunedModelState", "TunedModelNameOptions",
    ),
    "permissions on tuned models and corpora": (
        "permission", "permission_types", "Permission", "Permissions",
    ),
    "the semantic retriever and its answers": (
        "retriever", "retriever_types", "answer", "answer_types", "generate_answer",
    ),
    "the PaLM models": (
        "chat", "chat_async", "generate_text", "generate_embeddings", "count_message_tokens",
        "count_text_tokens", "discuss", "text", "palm_safety_types",
    ),
    "the magics of notebooks": ("notebook", "magics"),
}  # fmt: skip
_SERVICE_BY_NAME = {name: service for service, names in _SERVICES.items() for name in names}


def reason(name: str) -> str:
    """Return why a name of the old SDK is not there, "" if it never was."""
    service = _SERVICE_BY_NAME.get(name)
    if service is None:
        return ""
    return (
        f"it belonged to {service}, which went out of service; multiturn has what belongs to "
        "conversations"
    )


def missing(module: str, name: str) -> AttributeError:
    """Return the error for a name that a module does not have."""
    because = reason(name)
    return AttributeError(
        f"module {module!r} has no attribute {name!r}" + (f": {because}" if because else "")
    )
