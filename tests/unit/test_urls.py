"""Addresses that are none are refused with the name of what had them."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain import InvalidInput
from brain.access.client import open_session
from brain.charter import Pattern
from brain.connectors.urls import url_parts
from brain.kit.cli.server import ask_server
from brain.telemetry.client import _socket_url
from brain.vision.cameras import is_stream


@pytest.mark.parametrize("url", ["http://[::1", "http://host:99999", "http://host:a"])
def test_an_address_that_has_no_parts_is_refused(url: str) -> None:
    for parse, where in (
        (lambda: url_parts(url, "endpoint"), "endpoint"),
        (lambda: open_session(url, Path("no-such-key")), "url"),
        (lambda: _socket_url(url, "/api", {}), "url"),
        (lambda: is_stream(url), "source"),
    ):
        with pytest.raises(InvalidInput, match=f"^{where}: '.*' is no address: "):
            parse()


@pytest.mark.parametrize("url", ["nonsense", "redis://127.0.0.1:1/0", "http://[::1"])
async def test_a_server_has_an_address_of_http(url: str) -> None:
    """No other can be started with `brain serve`, as a server's is that does not answer."""
    with pytest.raises(InvalidInput, match=r"--url .*: is no address of a server, such as http"):
        await ask_server("GET", "/api/me", url=url)


def test_an_address_is_taken_apart() -> None:
    assert url_parts("http://[::1]:80/x", "url").port == 80


def test_a_pattern_of_event_types_has_a_bound() -> None:
    """A database refuses a longer one with an error of its own."""
    assert Pattern("x" * 1_000).texts
    with pytest.raises(InvalidInput, match="pattern: it has 1001 characters; at most 1000 are taken"):
        Pattern(["threat.*", "x" * 1_001])
