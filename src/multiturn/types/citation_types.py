"""Quotations of an answer as dicts, by the names of the old SDK."""

from __future__ import annotations

from typing import TypedDict

__all__ = ["CitationMetadataDict", "CitationSourceDict"]


class CitationSourceDict(TypedDict):
    """Where a stretch of an answer was quoted from."""

    start_index: int | None
    end_index: int | None
    uri: str | None
    license: str | None


class CitationMetadataDict(TypedDict):
    """All that an answer quotes."""

    citation_sources: list[CitationSourceDict | None]
