"""Where commands ask the server of the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain.errors import InvalidInput
from brain.kit.own_server import own_url, trust
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


def test_a_certificate_that_is_none_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.pem"
    settings = CoreSettings(tls_certificate=str(file), tls_key="a.key")
    with pytest.raises(
        InvalidInput, match=r"^tls_certificate: \S+a\.pem cannot be read: No such file or directory; name a"
    ):
        trust(settings)
    file.write_text("no certificate")
    with pytest.raises(
        InvalidInput, match=r"^tls_certificate: \S+a\.pem holds no certificate; name a PEM file that does"
    ):
        trust(settings)
