"""Credentials do not go over a network where they can be read."""

from __future__ import annotations

import pytest

from brain.connectors.email import Email, EmailSettings
from brain.connectors.sender import RetryPolicy, Sender, TryLater, json_request
from brain.connectors.urls import sends_in_the_clear
from brain.errors import InvalidInput
from brain.kit.database import masked
from brain.secret import Secret


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://jira.example/x", True),
        ("http://10.0.0.7:8080", True),
        ("http://localhost.evil.example", True),
        ("http://[2001:db8::1]/", True),
        ("https://jira.example/x", False),
        ("http://127.0.0.1:9", False),
        ("http://localhost:9/x", False),
        ("http://[::1]:9/x", False),
    ],
)
def test_plain_http_to_another_machine(url: str, expected: bool) -> None:
    assert sends_in_the_clear(url) is expected


async def test_a_request_with_credentials_is_not_sent() -> None:
    async with Sender(RetryPolicy(attempts=1)) as sender:
        with pytest.raises(TryLater, match="https"):
            await sender.send("it", json_request("GET", "http://192.0.2.1/", headers={"Authorization": "Bearer x"}))


@pytest.mark.parametrize("host", ["mail.example", "10.0.0.7"])
def test_a_password_for_plain_smtp_is_refused(host: str) -> None:
    def settings(at: str, password: Secret | None) -> EmailSettings:
        return EmailSettings(
            kind="email", host=at, security="none", password=password, sender="a@b.example", to=("c@d.example",)
        )

    with pytest.raises(InvalidInput, match="starttls"):
        Email.check(settings(host, Secret("x")))
    Email.check(settings(host, None))
    Email.check(settings("127.0.0.1", Secret("x")))


@pytest.mark.parametrize("url", ["u:hunter2@h/x", "h/x?user=u&password=hunter2", "h/x?sslpassword=hunter2"])
def test_passwords_of_database_urls_are_masked(url: str) -> None:
    assert "hunter2" not in masked(f"postgresql://{url}")
