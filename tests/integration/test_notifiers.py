"""PagerDuty, Slack, webhooks and Apprise over real HTTP: what a service ends up with, and what it refuses."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from brain.connectors.apprise import Apprise, AppriseSettings
from brain.connectors.pagerduty import PagerDuty, PagerDutyAlert, enqueue, trigger_event
from brain.connectors.sender import Refused, RetryPolicy, Sender, TryLater
from brain.connectors.slack import Slack, SlackMessage
from brain.connectors.webhook import Webhook
from brain.demo.stand_ins import StandIns
from brain.errors import InvalidInput
from brain.secret import Secret
from support.scripted import Reply, ScriptedServer
from support.vendors import pagerduty_settings, slack_settings, webhook_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")
ALERT = PagerDutyAlert(dedup_key="thr_1", summary="a threat", source="203.0.113.77", severity="CRITICAL")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_stand_ins() -> AsyncIterator[StandIns]:
    made = StandIns()
    async with made.running():
        yield made


@pytest.fixture
def stand_ins(running_stand_ins: StandIns) -> StandIns:
    running_stand_ins.reset()
    return running_stand_ins


@pytest_asyncio.fixture(loop_scope="module")
async def sender() -> AsyncIterator[Sender]:
    async with Sender(RetryPolicy(wait=0.01)) as made:
        yield made


async def test_an_alert_lives_and_a_resolved_one_is_not_opened_again(stand_ins: StandIns, sender: Sender) -> None:
    pagerduty = PagerDuty(pagerduty_settings(stand_ins.url), sender)
    for _ in range(2):
        assert (await pagerduty.trigger(ALERT))["dedup_key"] == "thr_1"
    await pagerduty.acknowledge("thr_1")
    (alert,) = stand_ins.pagerduty.alerts
    assert (alert["status"], alert["triggers"], alert["severity"]) == ("acknowledged", 2, "critical")
    for _ in range(2):
        await pagerduty.resolve("thr_1")
    await pagerduty.acknowledge("thr_1")
    assert [alert["status"] for alert in stand_ins.pagerduty.alerts] == ["resolved"]
    assert (await pagerduty.resolve("never seen"))["status"] == "success"
    await pagerduty.trigger(ALERT)
    assert [alert["status"] for alert in stand_ins.pagerduty.alerts] == ["resolved", "triggered"]


async def test_details_that_are_too_large_arrive_cut(stand_ins: StandIns, sender: Sender) -> None:
    large = PagerDutyAlert(
        dedup_key="k", summary="s", source="x", severity="LOW", details={"log": "x" * 2_000_000, "n": 1}
    )
    await PagerDuty(pagerduty_settings(stand_ins.url), sender).trigger(large)
    (received,) = stand_ins.pagerduty.received
    assert received.body["payload"]["custom_details"]["n"] == 1
    assert "cut to fit" in received.body["payload"]["custom_details"]["cut"]


async def test_what_pagerduty_refuses_it_refuses_for_good(stand_ins: StandIns, sender: Sender) -> None:
    settings = pagerduty_settings(stand_ins.url)
    event = trigger_event(settings, ALERT)
    event["payload"]["severity"] = "dreadful"
    with pytest.raises(Refused, match=r"Event object is invalid: 'payload.severity' is invalid") as caught:
        await PagerDuty(settings, sender)._send(event)
    assert caught.value.service_status == 400
    oversize = {**event, "client": "x" * 600_000}
    with pytest.raises(Refused, match="512 KB"):
        await sender.send("PagerDuty", enqueue(settings, oversize))


async def test_slack_gets_blocks_and_says_why_it_will_not(stand_ins: StandIns, sender: Sender) -> None:
    posted = await Slack(slack_settings(stand_ins.url), sender).post(
        SlackMessage(title="a <threat>", text="from & to" * 1000, severity="HIGH", fields={"agent": "a1"})
    )
    assert posted == {"said": "ok"}
    (message,) = stand_ins.slack.messages
    assert message["blocks"][0]["text"]["text"] == "🟠 HIGH: a <threat>"
    with pytest.raises(Refused, match="no_team") as caught:
        await Slack(slack_settings(stand_ins.url, team="X0"), sender).post(SlackMessage(title="x"))
    assert caught.value.service_status == 404


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("<!doctype html><title>Sign in to the hotel's network</title>", TryLater),
        ("", TryLater),
        ('{"ok": false, "error": "ratelimited"}', TryLater),
        ('{"ok": false, "error": "channel_not_found"}', Refused),
        ('{"ok": true}', None),
        ("ok\n", None),
    ],
)
async def test_a_status_of_200_is_not_slacks_yes(sender: Sender, body: str, error: type[Exception] | None) -> None:
    async with ScriptedServer() as server:
        server.replies = [Reply(200, body)]
        posting = Slack(slack_settings(server.url), sender).post(SlackMessage(title="x"))
        if error is None:
            assert await posting == {"said": "ok"}
        else:
            with pytest.raises(error):
                await posting


@pytest.mark.parametrize("body", ["", "<html>a proxy</html>", '{"status": "invalid event"}', "[]"])
async def test_a_status_of_200_is_not_pagerdutys_yes(sender: Sender, body: str) -> None:
    async with ScriptedServer() as server:
        server.replies = [Reply(200, body)]
        with pytest.raises(TryLater):
            await PagerDuty(pagerduty_settings(server.url), sender).trigger(ALERT)


async def test_a_webhook_is_signed_and_known_again(stand_ins: StandIns, sender: Sender) -> None:
    webhook = Webhook(webhook_settings(stand_ins.url), sender, time.time)
    message = {"type": "alert.firing", "data": {"large": "x" * 1_000_000}}
    first, second = await webhook.post("msg_1", message), await webhook.post("msg_1", message)
    assert (first["said"], second["said"]) == ('{"new":true}', '{"new":false}')
    assert stand_ins.webhook.messages == {"msg_1": message}
    with pytest.raises(Refused, match="needs a type"):
        await webhook.post("msg_2", {})


async def test_a_webhook_with_another_key_or_clock_is_not_believed(stand_ins: StandIns, sender: Sender) -> None:
    settings = webhook_settings(stand_ins.url)
    wrong = Webhook(webhook_settings(stand_ins.url, key="another key of enough bytes"), sender, time.time)
    late = Webhook(settings, sender, lambda: time.time() - 3600)
    for webhook in (wrong, late):
        with pytest.raises(TryLater, match="the signature does not fit"):
            await webhook.post("msg_1", {"type": "x"})
    assert stand_ins.webhook.messages == {}


async def test_apprise_sends_to_a_service(sender: Sender) -> None:
    async with ScriptedServer() as server:
        server.replies = [Reply(200, "{}"), Reply(500, "")]
        address = server.url.removeprefix("http://")
        service = Apprise(AppriseSettings(kind="apprise", url=Secret(f"json://{address}/s3cret")), sender)
        assert await service.notify("a threat", "what happened", "CRITICAL") == {"service": "JSON"}
        assert '"type": "failure"' in server.requests[0]
        with pytest.raises(TryLater, match="not notified") as caught:
            await service.notify("a threat", "")
    assert "s3cret" not in repr(caught.value)


async def test_an_apprise_url_of_no_service(sender: Sender) -> None:
    with pytest.raises(InvalidInput, match="no service"):
        await Apprise(AppriseSettings(kind="apprise", url=Secret("nothing://s3cret")), sender).notify("x", "y")
