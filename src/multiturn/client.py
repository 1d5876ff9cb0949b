"""How the server is reached, by the module that the old SDK kept it in."""

from __future__ import annotations

from multiturn.access import configure

__all__ = ["configure"]


def __getattr__(name: str) -> object:
    if name.startswith("get_default_"):
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}: there are no clients of single "
            "services; call the functions of multiturn, or hand a model its own backend"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
