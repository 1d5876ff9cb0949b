"""The version, by the module that the old SDK kept it in."""

from __future__ import annotations

from multiturn import __version__

__all__ = ["__version__"]
