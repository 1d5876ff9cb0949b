"""Where a request goes: its origin, the proxy in between, and whom TLS trusts."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from multiturn.access import Secret
from multiturn.errors import InvalidContent
from multiturn.http import Headers

if TYPE_CHECKING:
    import ssl

_PORTS = {"http": 80, "https": 443}
# What names of hosts nearly always consist of.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-.")


class Origin(NamedTuple):
    """A server: scheme, name without brackets, and port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """What stands in ``Host``: the port only where it is not the usual one."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"


class Proxy(NamedTuple):
    """An HTTP proxy, with the value of Proxy-Authorization, None for none."""

    host: str
    port: int
    authorization: Secret | None = None

    def __repr__(self) -> str:
        return f"<Proxy {self.host}:{self.port}>"


class Route(NamedTuple):
    """The way to an origin; connections with equal routes serve for one another."""

    origin: Origin
    proxy: Proxy | None

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken with the origin."""
        return self.origin.scheme == "https"

    @property
    def is_tunnel(self) -> bool:
        """Whether the proxy only passes bytes on."""
        return self.proxy is not None and self.is_secure

    @property
    def first_stop(self) -> tuple[str, int]:
        """Host and port to which the connection is made."""
        stop = self.proxy or self.origin
        return stop.host, stop.port


@lru_cache(maxsize=512)
def split(url: str) -> tuple[Origin, str]:
    """Return a URL's origin, and its path with the query.

    Raises:
        InvalidContent: It is not an http or https URL.
    """
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    host, colon, port = place.partition(":")
    if scheme in _PORTS and _PLAIN.issuperset(host) and (port.isdecimal() or not colon) and host:
        number = int(port) if colon else _PORTS[scheme]
        if 0 < number < 65_536 and "#" not in path and path.isascii() and path.isprintable():
            return Origin(scheme, host, number), slash + path or "/"
    return _split_any(url)


def _split_any(url: str) -> tuple[Origin, str]:
    """Do the same for names in other scripts, IPv6 addresses, fragments and mistakes."""
    from urllib.parse import urlsplit  # not above: it costs 2 ms

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise InvalidContent("$.url", url.partition("?")[0], "an http:// or https:// URL")
    origin = Origin(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])
    return origin, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def server_of(url: str) -> str:
    """Return the host of a URL, with an unusual port; "" if it is no http or https URL."""
    try:
        return split(url)[0].authority
    except InvalidContent:
        return ""


def addressed(route: Route, target: str) -> tuple[str, str, Headers]:
    """Return what stands in the request line and in Host, and headers for a proxy."""
    host = route.origin.authority
    if route.proxy is None or route.is_tunnel:
        return target, host, ()
    login = route.proxy.authorization
    headers: Headers = (("Proxy-Authorization", login),) if login else ()
    return f"{route.origin.scheme}://{host}{target}", host, headers


def proxy_for(origin: Origin, environment: Mapping[str, str] = os.environ) -> Proxy | None:
    """Return the proxy that the environment names for an origin, None for the direct way.

    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY count, in lower case first.
    Loopback names never go through a proxy.  HTTP_PROXY in capitals is ignored where a
    web server sets it from a visitor's headers (REQUEST_METHOD is set, "httpoxy").
    """
    name = f"{origin.scheme}_proxy"
    found = environment.get(name) or environment.get("all_proxy")
    if not found and not (origin.scheme == "http" and "REQUEST_METHOD" in environment):
        found = environment.get(name.upper())
    found = found or environment.get("ALL_PROXY")
    exempt = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if not found or _is_loopback(origin.host) or _is_exempt(origin, exempt):
        return None
    return proxy_from(found)


def proxy_from(url: str) -> Proxy:
    """Read a proxy's URL; its user and password are not shown in errors."""
    from base64 import b64encode
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise InvalidContent(
            "the proxy of the environment",
            f"{parts.scheme}://{parts.hostname}",
            "an http:// proxy; for another kind hand in an HTTP client of your own",
        )
    authorization = None
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = Secret("Basic " + b64encode(login.encode()).decode("ascii"))
    return Proxy(parts.hostname, parts.port or 80, authorization)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.") or host.endswith(".localhost")


def _is_exempt(origin: Origin, exempt: str) -> bool:
    host = origin.host.lower()
    for item in exempt.lower().split(","):
        name, port = item.strip(), None
        if name.count(":") == 1:
            name, _, digits = name.partition(":")
            port = int(digits) if digits.isdecimal() else None
        name = name.lstrip("*").lstrip(".").strip("[]")
        if item.strip() == "*":
            return True
        if not name or (port is not None and port != origin.port):
            continue
        if host == name or host.endswith("." + name) or ("/" in name and _in_network(host, name)):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


class Trust:
    """Whom TLS trusts; made when first needed (it costs 30 ms) and then shared."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context for every connection; loads certificates at the first call.

        Instead of the system's certificates count those in OpenSSL's own SSL_CERT_FILE or
        SSL_CERT_DIR, else in REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, a file or a directory.
        """
        with self._lock:
            if self._context is None:
                self._context = _context(os.environ)
            return self._context

    def renewed(self) -> None:
        """Make the lock anew in a process that was forked off."""
        self._lock = threading.Lock()


def _context(environment: Mapping[str, str]) -> ssl.SSLContext:
    import ssl

    own = environment.get("SSL_CERT_FILE") or environment.get("SSL_CERT_DIR")
    bundle = environment.get("REQUESTS_CA_BUNDLE") or environment.get("CURL_CA_BUNDLE")
    if bundle and not own:
        try:
            if os.path.isdir(bundle):
                context = ssl.create_default_context(capath=bundle)
            else:
                context = ssl.create_default_context(cafile=bundle)
        except (OSError, ssl.SSLError):
            raise InvalidContent(
                "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE", bundle, "a file or directory of PEMs"
            ) from None
    else:
        context = ssl.create_default_context()
        if not own and not context.cert_store_stats()["x509_ca"]:
            _add_certifi(context)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _add_certifi(context: ssl.SSLContext) -> None:
    """Use certifi, if it is there, where the system has no certificates of its own."""
    if not os.path.isdir(_default_directory()):
        try:
            import certifi  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            return
        context.load_verify_locations(certifi.where())


def _default_directory() -> str:
    import ssl

    return ssl.get_default_verify_paths().openssl_capath
