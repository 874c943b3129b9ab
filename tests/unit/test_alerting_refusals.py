"""What a service refused is not said: it is tried again while it fires, and everybody can see that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from brain.connectors.sender import NotYet, Refused, TryLater
from brain.kit import outbox
from brain.kit.outbox import OutboxRow
from support.alerting import Alerting, pager
from support.deliveries import Deliveries

ROUTES = [{"name": "all", "to": ["pager"], "group_wait": 0, "escalate": [{"after": 600, "to": ["lead"]}]}]
SETTINGS = {"notifiers": {"pager": pager(), "lead": pager()}, "routes": ROUTES}


class Service:
    """Answers as `verdict` says, and keeps what it accepted: pairs of notifier and title."""

    def __init__(self, alerting: Alerting) -> None:
        self.verdict: Exception | Mapping[str, Any] | None = None
        self.got: list[tuple[str, str]] = []
        self.at: list[float] = []
        self.asked = 0
        self.addresses: list[str] = []
        self._clock = alerting.clock

    async def __call__(self, row: OutboxRow) -> Mapping[str, Any]:
        self.asked += 1
        if isinstance(self.verdict, Exception):
            raise self.verdict
        self.got.append((row.channel, row.body["action"]))
        self.at.append(self._clock())
        self.addresses += row.body.get("only", ["all"])
        return self.verdict or {}


@pytest.fixture
def alerting() -> Alerting:
    return Alerting(SETTINGS)


@pytest.fixture
def service(alerting: Alerting) -> Service:
    return Service(alerting)


@pytest.fixture
def work(alerting: Alerting, service: Service) -> Deliveries:
    return Deliveries(alerting, service)


GONE = Refused("the webhook", 404, "no such hook")


def failures(alerting: Alerting) -> list[dict[str, Any]]:
    """The payloads of the events that say that somebody was not reached."""
    with alerting.engine.begin() as db:
        rows = db.execute(sa.select(outbox.events.c.data).order_by(outbox.events.c.id)).scalars().all()
    events = [msgspec.json.decode(row) for row in rows]
    return [event["payload"] for event in events if event["type"] == "alert.notification_failed"]


async def test_a_page_that_was_refused_for_three_seconds_is_there_within_one_group_interval(
    alerting: Alerting, service: Service, work: Deliveries
) -> None:
    service.verdict = GONE
    alerting.see(alerting.detected(severity="CRITICAL"))
    await work.pass_time(3)
    well = alerting.clock()
    service.verdict = None
    await work.pass_time(120, 3)
    assert service.got == [("pager", "trigger")]
    assert service.at[0] - well <= 60
    assert len(failures(alerting)) == 1
    assert work.outcomes.failed == {"pager": 1}
    await work.pass_time(14_400 - 120, 120)
    assert service.got == [("pager", "trigger"), ("lead", "trigger")]  # nobody acknowledged for ten minutes
    await work.pass_time(120, 4)
    assert service.got.count(("pager", "repeat")) == 1
    alerting.see(alerting.moved("MITIGATED"))
    await work.pass_time(2)
    assert service.got[-2:] == [("pager", "resolve"), ("lead", "resolve")]


async def test_it_is_tried_as_long_as_it_fires_and_shown_all_the_time(
    alerting: Alerting, service: Service, work: Deliveries
) -> None:
    service.verdict = GONE
    alerting.see(alerting.detected(severity="CRITICAL"))
    await work.pass_time(600, 3)
    assert service.asked == 10
    (shown,) = alerting.service.alerts()
    assert shown.refused_by == ["pager"]
    assert [(one.notifier, one.state) for one in shown.notifications] == [("pager", "refused")]  # one line, not ten
    assert alerting.service.notifiers()[0].refused == 1
    assert len(failures(alerting)) == 1
    service.verdict = Refused("the webhook", 410, "gone for good")
    await work.pass_time(61, 3)
    assert [one["error"][:35] for one in failures(alerting)][-1] == "the webhook refused the request (41"
    alerting.see(alerting.moved("MITIGATED"))
    await work.pass_time(600, 10)
    service.verdict = None
    await work.pass_time(14_400, 600)
    assert service.got == []  # it was over before anybody could be reached
    (shown,) = alerting.service.alerts()
    assert "refused" in {one.state for one in shown.notifications}
    assert not shown.refused_by


async def test_a_refused_page_still_escalates_in_time(alerting: Alerting, service: Service, work: Deliveries) -> None:
    alerting.see(alerting.detected(severity="CRITICAL"))

    async def only_lead(row: OutboxRow) -> Mapping[str, Any]:
        if row.channel == "pager":
            raise GONE
        return await service(row)

    work._service = only_lead
    await work.pass_time(605, 5)
    assert service.got == [("lead", "trigger")]


async def test_what_is_silenced_acknowledged_or_outside_hours_is_not_tried_again(
    alerting: Alerting, service: Service, work: Deliveries
) -> None:
    service.verdict = GONE
    alerting.see(alerting.detected(severity="CRITICAL"))
    await work.pass_time(2)
    silence = alerting.service.add_silence(["kind=threat"], "ann", "known", alerting.clock() + 1000)
    await work.pass_time(200, 5)
    assert service.asked == 1
    service.verdict = None
    alerting.service.remove_silence(silence.id)
    await work.pass_time(2)
    assert service.got == [("pager", "trigger")]


async def test_a_refused_update_is_sent_again_and_nothing_else(
    alerting: Alerting, service: Service, work: Deliveries
) -> None:
    alerting.see(alerting.detected("thr_1", "s", severity="HIGH"))
    await work.pass_time(2)
    service.verdict = GONE
    alerting.see(alerting.detected("thr_2", "s", severity="HIGH"))
    await work.pass_time(62, 2)
    service.verdict = None
    await work.pass_time(62, 2)
    assert service.got == [("pager", "trigger"), ("pager", "update")]
    service.verdict = GONE
    alerting.see(alerting.detected("thr_3", "s", severity="HIGH"))
    await work.pass_time(62, 2)
    alerting.see(alerting.moved("RESOLVED", "thr_3", "s"))
    service.verdict = None
    await work.pass_time(200, 5)
    assert service.got == [("pager", "trigger"), ("pager", "update")]


async def test_an_end_that_was_refused_is_sent_again_and_given_up_in_time(
    alerting: Alerting, service: Service, work: Deliveries
) -> None:
    alerting.see(alerting.detected(severity="HIGH"))
    await work.pass_time(2)
    service.verdict = GONE
    alerting.see(alerting.moved("MITIGATED"))
    await work.pass_time(100, 10)
    service.verdict = None
    await work.pass_time(61, 3)
    assert service.got == [("pager", "trigger"), ("pager", "resolve")]
    alerting.see(alerting.detected("thr_2"))
    await work.pass_time(2)
    service.verdict = GONE
    alerting.see(alerting.moved("MITIGATED", "thr_2"))
    await work.pass_time(16_000, 800)
    service.verdict = None
    await work.pass_time(300, 5)
    assert service.got[2:] == [("pager", "trigger")]


async def test_a_long_outage_ends_with_one_page(alerting: Alerting, service: Service, work: Deliveries) -> None:
    service.verdict = TryLater("away")
    alerting.see(alerting.detected(severity="HIGH"))
    await work.pass_time(30_000, 1500)
    service.verdict = None
    await work.pass_time(90, 5)
    assert [one for one in service.got if one[0] == "pager"] == [("pager", "trigger")]
    await work.pass_time(14_100, 1410)
    assert [one for one in service.got if one[0] == "pager"] == [("pager", "trigger")]  # reckoned from its acceptance


async def test_a_summary_that_was_refused_comes_again(service: Service) -> None:
    alerting = Alerting({**SETTINGS, "notifiers": {"pager": pager(at_most=1, per=30), "lead": pager()}})
    work = Deliveries(alerting, service)
    alerting.see(*(alerting.detected(f"thr_{n}", severity="HIGH") for n in range(3)))
    await work.pass_time(2)
    service.verdict = GONE
    await work.pass_time(40, 2)
    service.verdict = None
    await work.pass_time(62, 2)
    assert service.got == [("pager", "trigger"), ("pager", "trigger")]
    assert sum(row.body.get("held_back_total", 0) for row in alerting.said() if row.state == "sent") == 2


async def test_each_address_has_its_own_outcome(alerting: Alerting, service: Service, work: Deliveries) -> None:
    partly = {
        "accepted": ["a@x"],
        "refused": ["b@x"],
        "later": ["c@x"],
        "words": {"b@x": "the mail server answered 550: no", "c@x": "the mail server answered 450: greylisted"},
    }
    service.verdict = partly
    alerting.see(alerting.detected(severity="HIGH"))
    await work.pass_time(2)
    assert [(one["recipients"], one["error"]) for one in failures(alerting)] == [
        (["b@x"], "the mail server answered 550: no")
    ]
    assert work.outcomes.failed == {"pager": 1}
    (shown,) = alerting.service.alerts()
    assert shown.refused_by == ["pager: b@x"]
    service.verdict = Refused("the mail server", 550, "b@x: no")
    await work.pass_time(30, 5)
    assert service.asked == 1
    service.verdict = {}
    await work.pass_time(100, 10)
    assert service.addresses == ["all", "b@x", "c@x"] or service.addresses == ["all", "c@x", "b@x"]
    await work.pass_time(400, 5)
    assert len(service.addresses) == 3


async def test_an_address_that_is_never_ready_is_given_up_at_the_end_and_that_is_said(
    alerting: Alerting, service: Service, work: Deliveries
) -> None:
    service.verdict = {"accepted": ["a@x"], "refused": [], "later": ["c@x"], "words": {"c@x": "450 full"}}
    alerting.see(alerting.detected(severity="HIGH"))
    await work.pass_time(2)
    service.verdict = NotYet("452 mailbox full")
    await work.pass_time(300, 5)
    assert failures(alerting) == []
    service.verdict = {}
    alerting.see(alerting.moved("MITIGATED"))
    await work.pass_time(200, 5)
    assert service.got == [("pager", "trigger"), ("pager", "resolve")]
    (failed,) = failures(alerting)
    assert failed["recipients"] == ["c@x"]
    assert failed["error"].startswith("given up")
