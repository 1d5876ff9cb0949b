"""Embeddings as dicts, by the names of the old SDK."""

from __future__ import annotations

from typing import TypedDict

__all__ = ["BatchEmbeddingDict", "EmbeddingDict"]


class EmbeddingDict(TypedDict):
    """The vector of one content."""

    embedding: list[float]


class BatchEmbeddingDict(TypedDict):
    """The vectors of several contents, in their order."""

    embedding: list[list[float]]
