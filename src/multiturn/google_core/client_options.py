"""Stands for google.api_core.client_options: how the server is reached, as an object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class ClientOptions:
    """What ``configure(client_options=…)`` takes; it honours the first four.

    Attributes:
        api_endpoint: Host, with or without scheme, port and path.
        api_key: Shown nowhere.
        quota_project_id: Which project is billed.
        credentials_file: Path of a file of credentials.
    """

    api_endpoint: str | None = None
    client_cert_source: Callable[[], Any] | None = None
    client_encrypted_cert_source: Callable[[], Any] | None = None
    quota_project_id: str | None = None
    credentials_file: str | None = None
    scopes: Sequence[str] | None = None
    api_key: str | None = None
    api_audience: str | None = None
    universe_domain: str | None = None

    def __repr__(self) -> str:
        given = [name for name, value in vars(self).items() if value is not None]
        shown = [f"{n}={'…' if n == 'api_key' else repr(getattr(self, n))}" for n in given]
        return f"ClientOptions({', '.join(shown)})"


def from_dict(options: Mapping[str, Any]) -> ClientOptions:
    """Return a dict's members as an object; raise ValueError for one that has no place."""
    unknown = options.keys() - vars(ClientOptions()).keys()
    if unknown:
        raise ValueError(f"ClientOptions has no {', '.join(sorted(unknown))}")
    return ClientOptions(**options)
