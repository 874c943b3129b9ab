"""Where commands ask the server of the settings."""

from __future__ import annotations

import pytest

from brain.kit.own_server import own_url
from brain.settings import CoreSettings


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("brain.example.org", "brain.example.org"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("[::]", "127.0.0.1"),
        ("::1", "[::1]"),
        ("[fd00::7]", "[fd00::7]"),
    ],
)
def test_the_url_of_the_server(host: str, named: str) -> None:
    assert own_url(CoreSettings(host=host, port=80, api_key="k" * 22)) == f"http://{named}:80"
    by_tls = CoreSettings(host=host, port=81, api_key="k" * 22, tls_certificate="a.pem", tls_key="a.key")
    assert own_url(by_tls) == f"https://{named}:81"
