"""Where the methods of a Gemini model are: the Gemini API, Vertex AI, or a server of one's own."""

from __future__ import annotations

import re
from functools import lru_cache

from multiturn.access import Access
from multiturn.backends.gemini.request import resource_name

_GEMINI = "https://generativelanguage.googleapis.com"
# What names of models nearly always consist of.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:@")
_VERSION = re.compile(r"/v\d+\w*$")


def is_vertex(access: Access) -> bool:
    """Whether the server is Vertex AI."""
    return access.project is not None if access.vertexai is None else access.vertexai


def is_googles(access: Access) -> bool:
    """Whether the server is Google's, which lets nobody in without a key."""
    endpoint = endpoint_of(access)
    return endpoint is None or ".googleapis.com" in endpoint


def endpoint_of(access: Access) -> str | None:
    """Return the host that was named, None if it is Google's own."""
    if access.endpoint is not None or access.base_urls is None:
        return access.endpoint
    return access.base_urls[is_vertex(access)]


def url(access: Access, model: str, method: str, query: str = "") -> str:
    """Return the URL of a model's method; kept for those that were asked last.

    Args:
        access: ``endpoint`` may come with or without scheme, port, path and version.
        model: As ``gemini-x``, ``models/gemini-x`` or longer.
        method: As ``generateContent``.
        query: As ``?alt=sse``.
    """
    place = access.api_version, access.vertexai, access.project, access.location
    return _url(endpoint_of(access), *place, model, method, query)


@lru_cache(maxsize=64)  # of names only: it outlives keys and clients
def _url(
    endpoint: str | None,
    api_version: str | None,
    vertexai: bool | None,
    project: str | None,
    location: str | None,
    model: str,
    method: str,
    query: str,
) -> str:
    access = Access(
        endpoint=endpoint,
        api_version=api_version,
        vertexai=vertexai,
        project=project,
        location=location,
    )
    place = _vertex_place(access, model) if is_vertex(access) else resource_name(model)
    if not _PLAIN.issuperset(place):
        from urllib.parse import quote  # not above: it costs 2 ms

        place = quote(place, safe="/:@")
    return f"{root(access)}/{place}:{method}{query}"


def root(access: Access) -> str:
    """Return what every URL of a server begins with, as ``https://host/v1beta``."""
    base, version = _GEMINI, "v1beta"
    if is_vertex(access):
        base, version = _vertex_host(access.location or "global"), "v1beta1"
    if endpoint := endpoint_of(access):
        base = _with_scheme(endpoint).rstrip("/")
    if access.api_version or not _VERSION.search(base):
        base = f"{_VERSION.sub('', base)}/{access.api_version or version}"
    return base


def upload_root(access: Access) -> str:
    """Return the same for uploads, as ``https://host/upload/v1beta``."""
    place, _, version = root(access).rpartition("/")
    return f"{place}/upload/{version}"


def _with_scheme(endpoint: str) -> str:
    if "://" in endpoint:
        return endpoint
    is_here = re.match(r"(localhost|127\.[\d.]+|\[::1\])(:\d+)?(/|$)", endpoint)
    return ("http://" if is_here else "https://") + endpoint


def _vertex_host(location: str) -> str:
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in ("us", "eu"):
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def _vertex_place(access: Access, model: str) -> str:
    if model.startswith("projects/"):
        return model
    if model.startswith("models/"):
        model = f"publishers/google/{model}"
    elif "/" not in model:
        model = f"publishers/google/models/{model}"
    if access.project is None:  # express mode
        return model
    return f"projects/{access.project}/locations/{access.location or 'global'}/{model}"
