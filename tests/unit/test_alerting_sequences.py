"""Services that say no in every documented way, and then yes: what fires is there in time, and nothing twice.

The connectors, the rows and their outcomes are real; only the network is played, so that a sequence takes no time.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import aiosmtplib
import httpx
import msgspec
import pytest
import sqlalchemy as sa

from brain.alerting.recipients import page_id
from brain.charter import Severity
from brain.connectors.notifiers import open_notifier
from brain.connectors.pages import Page, PageAction
from brain.connectors.sender import RetryPolicy, Sender
from brain.kit import outbox
from brain.kit.outbox import OutboxRow
from support.alerting import Alerting, renewed
from support.deliveries import Deliveries
from support.sizes import sizes

INTERVAL = 60.0
ADDRESSES = ("ann@example.com", "ben@example.com")
NOTIFIERS: dict[str, dict[str, Any]] = {
    "pager": {"kind": "pagerduty", "routing_key": "R" * 32, "url": "https://pager"},
    "chat": {"kind": "slack", "webhook_url": "https://chat/services/T0/B0/x"},
    "hook": {"kind": "webhook", "url": "https://hook/x", "key": "k" * 32},
    "mail": {"kind": "email", "host": "mail", "sender": "brain@example.com", "to": ADDRESSES, "security": "none"},
}
SETTINGS = {
    "notifiers": {name: {**table, "at_most": 10_000} for name, table in NOTIFIERS.items()},
    "routes": [{"name": "all", "to": [*NOTIFIERS], "group_wait": 0, "group_interval": INTERVAL}],
}
HTML = "<!doctype html><title>Sign in</title>"
NO: Mapping[str, list[httpx.Response | Exception]] = {
    "pager": [
        *(httpx.Response(status) for status in (400, 401, 402, 403, 404, 408, 410, 413, 429, 500, 502, 503)),
        httpx.Response(429, headers={"Retry-After": "7"}),
        httpx.Response(202, text=HTML),
        httpx.Response(202, json={"status": "invalid event", "message": "x", "errors": ["y"]}),
        httpx.ReadTimeout("late"),
        httpx.ConnectError("away"),
    ],
    "chat": [
        httpx.Response(400, text="invalid_payload"),
        httpx.Response(403, text="action_prohibited"),
        httpx.Response(403, text="invalid_token"),
        httpx.Response(200, json={"ok": False, "error": "invalid_auth"}),
        httpx.Response(200, json={"ok": False, "error": "token_expired"}),
        httpx.Response(404, text="channel_not_found"),
        httpx.Response(404, text="no_service"),
        httpx.Response(410, text="channel_is_archived"),
        httpx.Response(429, headers={"Retry-After": "11"}),
        httpx.Response(500, text="rollup_error"),
        httpx.Response(200, text=HTML),
        httpx.Response(200, json={"ok": False, "error": "ratelimited"}),
        httpx.Response(200, json={"ok": False, "error": "channel_not_found"}),
        httpx.Response(302, headers={"Location": "https://elsewhere"}),
        httpx.ConnectError("away"),
    ],
    "hook": [
        *(httpx.Response(status) for status in (301, 400, 401, 403, 404, 409, 410, 422, 425, 429, 500, 503, 504)),
        httpx.RemoteProtocolError("broken off"),
    ],
}
YES = {
    "pager": httpx.Response(202, json={"status": "success", "message": "Event processed", "dedup_key": "k"}),
    "chat": httpx.Response(200, text="ok"),
    "hook": httpx.Response(200, text="{}"),
}
MAIL_NO = (
    "450 greylisted",
    "451 later",
    "452 mailbox full",
    "550 no such user",
    "553 not allowed",
    "554 spam",
    "421 bye",
    "535 authentication credentials invalid",
)


class Services:
    """All four: each says no in ways of its own until it is well. `got` counts pages by receiver and alert."""

    def __init__(self, chance: random.Random, alerting: Alerting) -> None:
        self.well = False
        self.got: Counter[tuple[str, str, str]] = Counter()
        self.ended: Counter[tuple[str, str]] = Counter()
        self._chance = chance
        self._alerting = alerting
        self._row: OutboxRow | None = None

    async def __call__(self, row: OutboxRow) -> Mapping[str, Any]:
        self._row = row
        body = row.body
        page = Page(
            id=page_id(row),
            action=PageAction(body["action"]),
            dedup_key=body["dedup_key"],
            severity=Severity(body["severity"]),
            summary=body["summary"],
            at=body["at"],
            alerts=body["alerts"],
            alerts_total=body["alerts_total"],
            only=body.get("only", ()),
        )
        settings = self._alerting.configuration.notifiers[row.channel]
        sender = Sender(RetryPolicy(attempts=1), clock=self._alerting.clock)
        sender.__dict__["_client"] = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        async with sender:
            answer: Mapping[str, Any] = await open_notifier(settings, sender, self._alerting.clock).send(page)
        for receiver in answer.get("accepted", [row.channel]):
            if page.action.is_paging:
                for alert in page.alerts:
                    self.got[receiver, alert["id"], alert["severity"]] += 1
            elif page.action is PageAction.RESOLVE:
                self.ended[receiver, body["dedup_key"]] += 1
        return answer

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert self._row is not None
        channel = self._row.channel
        said = YES[channel] if self.well else self._chance.choice([*NO[channel], YES[channel]])
        if isinstance(said, Exception):
            raise said
        return httpx.Response(said.status_code, headers=dict(said.headers), content=said.content)

    async def mail(self, message: Any, *, recipients: list[str], **_: Any) -> tuple[dict[str, Any], str]:
        """In the place of aiosmtplib.send: a reply for each address, or for the whole mail."""
        if not self.well and self._chance.random() < 0.3:
            code, _, words = self._chance.choice(MAIL_NO).partition(" ")
            raise aiosmtplib.SMTPDataError(int(code), words)
        refused = {}
        for address in recipients:
            if not self.well and self._chance.random() < 0.7:
                code, _, words = self._chance.choice(MAIL_NO).partition(" ")
                refused[address] = (int(code), words)
        if len(refused) == len(recipients):
            raise aiosmtplib.SMTPRecipientsRefused(
                [aiosmtplib.SMTPRecipientRefused(code, words, who) for who, (code, words) in refused.items()]
            )
        return {who: aiosmtplib.SMTPResponse(*reply) for who, reply in refused.items()}, "OK"


async def sequence(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    alerting = Alerting(SETTINGS, renewed())
    services = Services(chance, alerting)
    monkeypatch.setattr(aiosmtplib, "send", services.mail)
    work = Deliveries(alerting, services)
    step = chance.choice([3.0, 7.0])
    for number in range(chance.randint(1, 3)):
        alerting.see(alerting.detected(f"thr_{number}", f"s{number}", severity="HIGH"))
        await work.pass_time(chance.choice([0, step, 5 * step]), step)
    if chance.random() < 0.3:
        alerting.see(alerting.grown("HIGH", "CRITICAL", "thr_0", "s0"))
    await work.pass_time(chance.choice([step, 20 * step, 60 * step]), step)
    over = [f"thr_{number}" for number in range(3) if chance.random() < 0.2]
    for id in over:
        alerting.see(alerting.moved("MITIGATED", id, id.replace("thr_", "s")))
    told_before = Counter(services.got)
    services.well = True
    await work.pass_time(2 * INTERVAL + step, step)
    firing = [alert for alert in alerting.stored().values() if alert.firing]
    receivers = ["pager", "chat", "hook", *ADDRESSES]
    for alert in firing:
        for receiver in receivers:
            assert services.got[receiver, alert.id, alert.severity] >= 1, (receiver, alert.key, "was not told")
    await work.pass_time(20 * INTERVAL, 30.0)
    later = services.got - told_before
    assert all(count == 1 for count in services.got.values()), {who: n for who, n in services.got.items() if n > 1}
    assert later.keys() <= services.got.keys()
    check_what_was_given_up(alerting, services, receivers)


def check_what_was_given_up(alerting: Alerting, services: Services, receivers: list[str]) -> None:
    """Who was never told of an alert that is over has an event that says so, and a line."""
    with alerting.engine.begin() as db:
        rows = db.execute(sa.select(outbox.events.c.data)).scalars().all()
    events = [msgspec.json.decode(row) for row in rows]
    failed = [event["payload"] for event in events if event["type"] == "alert.notification_failed"]
    told = {(receiver, id) for receiver, id, _ in services.got}
    for alert in alerting.service.alerts(limit=100):
        for receiver in receivers:
            if alert.state == "firing" or (receiver, alert.id) in told:
                continue
            name = "mail" if receiver in ADDRESSES else receiver
            said = [one for one in failed if one["notifier"] == name and alert.id in one["alert_ids"]]
            assert said, json.dumps([receiver, alert.key, "was given up without a word"])
            assert [one for one in alert.notifications if one.notifier == name]


@pytest.mark.parametrize("sequences", sizes(3, 1000))
@pytest.mark.timeout(3600)
async def test_whatever_services_say(sequences: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(sequences):
        try:
            await sequence(seed, monkeypatch)
        except AssertionError as error:
            raise AssertionError(f"sequence {seed}: {error}") from error
