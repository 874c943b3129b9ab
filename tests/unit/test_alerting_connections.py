"""A notifier whose service does not know our account: one alert about the connection, and everything waits for it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import aiosmtplib
import httpx
import msgspec
import pytest
import sqlalchemy as sa

from brain.alerting.connections import LONG, forget_removed
from brain.charter import Event, Severity
from brain.connectors.notifiers import open_notifier
from brain.connectors.pages import Page, PageAction
from brain.connectors.sender import NotYet, Refused, Request, RetryPolicy, Sender, TryLater
from brain.kit import outbox
from brain.kit.outbox import OutboxRow
from support.alerting import Alerting, pager
from support.deliveries import Deliveries

SETTINGS = {
    "notifiers": {
        "pager": pager(url="https://pager"),
        "chat": {"kind": "slack", "webhook_url": "https://chat/services/T0/B0/x"},
        "hook": {"kind": "webhook", "url": "https://hook/x", "key": "k" * 32},
        "mail": {
            "kind": "email",
            "host": "mail",
            "sender": "brain@example.com",
            "to": ("ann@example.com",),
            "security": "none",
        },
    },
    "routes": [{"name": "all", "to": ["pager", "chat"], "group_wait": 0, "group_interval": 60}],
}
HTML = "<!doctype html><title>Sign in</title>"
PAGE = Page(
    id="p1",
    action=PageAction.TRIGGER,
    dedup_key="thr_1",
    severity=Severity.HIGH,
    summary="x",
    at=1703001234.5,
    alerts=(),
    alerts_total=0,
)


async def answered(notifier: str, answer: httpx.Response) -> Exception | None:
    """What a notifier makes of an answer of its service."""
    settings = Alerting(SETTINGS).configuration.notifiers[notifier]
    sender = Sender(RetryPolicy(attempts=1))
    sender.__dict__["_client"] = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: answer))
    async with sender:
        try:
            await open_notifier(settings, sender, lambda: 1703001234.5).send(PAGE)
        except (Refused, TryLater) as error:
            return error
    return None


@pytest.mark.parametrize(
    ("notifier", "answer"),
    [
        ("pager", httpx.Response(401)),
        ("pager", httpx.Response(403)),
        ("pager", httpx.Response(202, text=HTML)),
        ("chat", httpx.Response(401)),
        ("chat", httpx.Response(403, text="invalid_token")),
        ("chat", httpx.Response(200, json={"ok": False, "error": "invalid_auth"})),
        ("chat", httpx.Response(200, json={"ok": False, "error": "account_inactive"})),
        ("chat", httpx.Response(200, text=HTML)),
        ("hook", httpx.Response(401)),
        ("hook", httpx.Response(407)),
    ],
)
async def test_a_login_that_ran_out_waits_for_a_person(notifier: str, answer: httpx.Response) -> None:
    error = await answered(notifier, answer)
    assert isinstance(error, TryLater)
    assert error.about_connection


@pytest.mark.parametrize(
    ("notifier", "answer"),
    [
        ("pager", httpx.Response(400, json={"status": "invalid event", "message": "x", "errors": ["y"]})),
        ("pager", httpx.Response(429)),
        ("chat", httpx.Response(403, text="action_prohibited")),
        ("chat", httpx.Response(200, json={"ok": False, "error": "ratelimited"})),
        ("hook", httpx.Response(403)),
        ("hook", httpx.Response(503, text=HTML)),
    ],
)
async def test_other_refusals_are_not_about_the_connection(notifier: str, answer: httpx.Response) -> None:
    assert not getattr(await answered(notifier, answer), "about_connection", False)


@pytest.mark.parametrize(("code", "is_lost"), [(535, True), (530, True), (534, True), (454, False), (550, False)])
async def test_mail_servers_that_refuse_the_login(code: int, is_lost: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise aiosmtplib.SMTPAuthenticationError(code, "no")

    monkeypatch.setattr(aiosmtplib, "send", refuse)
    error = await answered("mail", httpx.Response(200))
    assert getattr(error, "about_connection", False) == is_lost


class Chat:
    """The chat does not know us until `knows` is set; the pager always does."""

    def __init__(self) -> None:
        self.knows = False
        self.got: list[tuple[str, str, str]] = []

    async def __call__(self, row: OutboxRow) -> Mapping[str, Any]:
        if row.channel == "chat" and not self.knows:
            raise TryLater("Slack answered 401: who are you?", service_status=401)
        self.got.append((row.channel, row.body["action"], row.body["alerts"][0]["labels"]["kind"]))
        return {}


def shipped(alerting: Alerting) -> list[Event]:
    """The events of alerting, which are read from the stream again."""
    with alerting.engine.begin() as db:
        rows = db.execute(sa.select(outbox.events.c.data).order_by(outbox.events.c.id)).scalars().all()
    return [msgspec.json.decode(row, type=Event) for row in rows]


async def test_one_alert_says_it_and_everything_follows_when_it_is_well() -> None:
    alerting, chat = Alerting(SETTINGS), Chat()
    work = Deliveries(alerting, chat)
    for number in range(3):
        alerting.see(alerting.detected(f"thr_{number}", severity="CRITICAL"))
        await work.pass_time(120, 10)
    lost = [event for event in shipped(alerting) if event.type == "alert.connection_lost"]
    assert [event.payload["notifier"] for event in lost] == ["chat"]
    alerting.see(*lost)
    await work.pass_time(20, 10)
    (alert,) = [alert for alert in alerting.stored().values() if alert.labels["kind"] == "connection"]
    assert (alert.firing, alert.severity, alert.labels["notifier"]) == (True, Severity.HIGH, "chat")
    assert ("pager", "trigger", "connection") in chat.got
    assert not [one for one in chat.got if one[0] == "chat"]
    chat.knows = True
    await work.pass_time(120, 10)
    said = [one for one in chat.got if one[0] == "chat"]
    assert said.count(("chat", "trigger", "threat")) == 3
    back = [event for event in shipped(alerting) if event.type == "alert.connection_restored"]
    assert [event.payload["notifier"] for event in back] == ["chat"]
    alerting.see(*back)
    assert [one.firing for one in alerting.stored().values() if one.labels["kind"] == "connection"] == [False]
    assert not [event for event in shipped(alerting) if event.type == "alert.notification_failed"]


class Away(Chat):
    """The chat does not answer at all until `knows` is set."""

    def __init__(self, error: TryLater) -> None:
        super().__init__()
        self.error = error

    async def __call__(self, row: OutboxRow) -> Mapping[str, Any]:
        if row.channel == "chat" and not self.knows:
            raise self.error
        return await super().__call__(row)


async def test_a_service_that_is_away_for_long_is_a_lost_connection_too() -> None:
    alerting, chat = Alerting(SETTINGS), Away(TryLater("Slack does not answer: no connection"))
    work = Deliveries(alerting, chat)
    alerting.see(alerting.detected(severity="CRITICAL"))
    await work.pass_time(LONG - 60, 10)
    assert "alert.connection_lost" not in [event.type for event in shipped(alerting)]
    await work.pass_time(180, 10)
    (lost,) = [event for event in shipped(alerting) if event.type == "alert.connection_lost"]
    assert lost.payload["message"] == "Slack does not answer: no connection"
    chat.knows = True
    await work.pass_time(120, 10)
    assert "alert.connection_restored" in [event.type for event in shipped(alerting)]


async def test_a_full_mailbox_is_no_lost_connection() -> None:
    alerting = Alerting(SETTINGS)
    alerting.see(alerting.detected(severity="CRITICAL"))
    await Deliveries(alerting, Away(NotYet("452: the mailbox is full"))).pass_time(LONG * 2, 10)
    assert "alert.connection_lost" not in [event.type for event in shipped(alerting)]


@pytest.mark.parametrize(
    ("error", "lasts"),
    [
        (httpx.UnsupportedProtocol("x"), True),
        (ssl.SSLCertVerificationError(1, "certificate has expired"), True),
        (httpx.ConnectError("x"), False),
        (httpx.ReadTimeout("x"), False),
    ],
)
async def test_what_only_a_person_can_mend_is_about_the_connection(error: Exception, lasts: bool) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        if isinstance(error, ssl.SSLError):
            error.verify_message = "certificate has expired"
            raise httpx.ConnectError("x") from error
        raise error

    async with Sender(RetryPolicy(attempts=1)) as sender:
        sender.__dict__["_client"] = httpx.AsyncClient(transport=httpx.MockTransport(fail))
        with pytest.raises(TryLater) as caught:
            await sender.send("Slack", Request("GET", "https://x.example"))
    assert caught.value.about_connection is lasts


async def test_a_notifier_that_is_no_longer_set_up_is_no_lost_connection() -> None:
    alerting = Alerting(SETTINGS)
    alerting.see(alerting.detected(severity="CRITICAL"))
    await Deliveries(alerting, Chat()).pass_time(60, 10)
    for _ in range(2):
        with alerting.engine.begin() as db:
            forget_removed(db, ["pager"], alerting.clock())
    types = [event.type for event in shipped(alerting)]
    assert [type for type in types if "connection" in type] == ["alert.connection_lost", "alert.connection_restored"]
