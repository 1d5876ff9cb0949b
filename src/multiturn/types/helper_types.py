"""Options of one call, by the names of the old SDK."""

from __future__ import annotations

from typing import Any, TypedDict

from multiturn.options import RequestOptions

__all__ = ["RequestOptions", "RequestOptionsDict", "RequestOptionsType"]


class RequestOptionsDict(TypedDict, total=False):
    """The options as a dict."""

    retry: Any
    timeout: Any


RequestOptionsType = RequestOptions | RequestOptionsDict
