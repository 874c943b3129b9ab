"""Addresses of services in the settings."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

from brain.errors import InvalidInput


def url_parts(url: str, where: str) -> SplitResult:
    """The parts of an address. Raises InvalidInput, which begins with `where`, for one that has none: `http://[`."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  (it is looked at when it is asked for)
    except ValueError as error:
        raise InvalidInput(f"{where}: {url!r} is no address: {error}") from error
    return parts


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or address alone; nothing is looked up."""
    if host.lower().rstrip(".") in ("localhost", "ip6-localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def sends_in_the_clear(url: str) -> bool:
    """Whether a request to this URL can be read on its way: it is plain HTTP to another machine."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and not is_loopback(parts.hostname or "")
    except ValueError:
        return False  # no URL: the request says so


def _base_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or parts.username or parts.query or parts.fragment:
        raise ValueError("must be a URL such as https://example.com, without user, query or fragment")
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]
"""The http or https URL of a service, below which its API is."""
