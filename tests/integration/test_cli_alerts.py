"""`brain alerts` and `brain silences`, as a user runs them."""

from __future__ import annotations

import asyncio
import time

from brain.demo.stand_ins import StandIns
from brain.kit.database import open_database
from support.alerting import Alerting
from support.command import Command

ROUTING_KEY = "R" * 32


def filled(brain: Command) -> Alerting:
    """Alerting on the database that the command uses: a threat that was paged, and what it is known by."""
    alerting = Alerting(engine=open_database(f"sqlite:///{brain.folder}/brain-consumers.db"))
    alerting.clock.now = time.time() - 60
    alerting.see(alerting.detected("thr_1"), alerting.denied())
    assert alerting.tick(20) == [("pager", "trigger")]
    return alerting


def test_alerts_are_listed_taken_on_and_closed(brain: Command) -> None:
    filled(brain)
    listed = brain("alerts", "list", "--json")
    assert listed.code == 0, listed.err
    alerts = {alert["key"]: alert for alert in listed.json}
    assert set(alerts) == {"thr_1", "denials a1"}
    assert alerts["thr_1"]["notifications"][0]["state"] == "waiting"
    taken = brain("alerts", "ack", alerts["thr_1"]["id"], "--by", "ann", "--json")
    assert taken.json["acknowledged_by"] == "ann"
    shown = brain("alerts", "list", "--state", "firing").out
    assert "acknowledged" in shown
    assert "pager waiting" in shown
    assert "closed by ann" in brain("alerts", "close", alerts["thr_1"]["id"], "--by", "ann").out
    again = brain("alerts", "close", alerts["thr_1"]["id"], "--by", "ann")
    assert again.code == 2
    assert "resolved" in again.err
    events = brain("events", "replay", "--pattern", "alert.*", "--json")
    assert "alert.acknowledged" in events.out
    assert "alert.closed" in events.out


def test_silences_are_added_listed_and_removed(brain: Command) -> None:
    filled(brain)
    added = brain("silences", "add", "kind=threat", "--reason", "known", "--by", "ann", "--minutes", "5", "--json")
    assert added.code == 0, added.err
    assert added.json["state"] == "active"
    assert [row["id"] for row in brain("silences", "list", "--json").json] == [added.json["id"]]
    assert "known" in brain("silences", "list").out
    assert brain("silences", "remove", added.json["id"]).code == 0
    assert brain("silences", "remove", added.json["id"]).code == 2
    refused = brain("silences", "add", "kind=~.*", "--reason", "all", "--by", "ann")
    assert refused.code == 2
    assert "every alert" in refused.err


def test_a_faulty_configuration_lists_every_fault_with_its_field(brain: Command) -> None:
    (brain.folder / "brain.toml").write_text(
        """
[alerting]
public_url = "brain.example"
[alerting.notifiers.pager]
kind = "pagerduty"
[alerting.notifiers.chat]
kind = "telegram"
[[alerting.routes]]
name = "a"
to = ["pager", "nobody"]
matchers = ["agent=~("]
only_during = "office"
[[alerting.routes]]
name = "a"
[alerting.hours.night]
time_zone = "Mars/Phobos"
[alerting.rotations.oncall]
time_zone = "UTC"
people = ["ann"]
start = 2026-01-05T09:00:00Z
"""
    )
    checked = brain("alerts", "check-config")
    assert checked.code == 2
    for field in (
        "alerting.public_url",
        "alerting.notifiers.pager.routing_key",
        "alerting.notifiers.chat.kind",
        "alerting.routes.0.matchers.0",
        "alerting.routes.0.to.1",
        "alerting.routes.0.only_during",
        "alerting.routes.1.name",
        "alerting.hours.night.time_zone",
        "alerting.rotations.oncall",
        "alerting.rotations.oncall.people.0",
    ):
        assert f"{field} " in checked.err, f"{field} in {checked.err}"


def test_a_secret_that_is_not_there_is_a_fault_and_is_never_shown(brain: Command) -> None:
    (brain.folder / "brain.toml").write_text(
        '[alerting.notifiers.pager]\nkind = "pagerduty"\nrouting_key = {env = "NOT_SET_ANYWHERE"}\n'
        f'[alerting.notifiers.other]\nkind = "pagerduty"\nrouting_key = "{ROUTING_KEY}"\n'
        '[alerting.notifiers.short]\nkind = "pagerduty"\nrouting_key = "short"\n'
    )
    checked = brain("alerts", "check-config")
    assert checked.code == 2
    assert "alerting.notifiers.pager.routing_key" in checked.err
    assert "NOT_SET_ANYWHERE" in checked.err
    assert "alerting.notifiers.short: routing_key: has 5 characters" in checked.err
    (brain.folder / "brain.toml").write_text(
        f'[alerting.notifiers.other]\nkind = "pagerduty"\nrouting_key = "{ROUTING_KEY}"\n'
    )
    fine = brain("alerts", "check-config")
    assert fine.code == 0
    assert "route default" in fine.out
    assert ROUTING_KEY not in fine.out + checked.err
    assert brain("alerts", "check-config", "--json").json["notifiers"] == {"other": "pagerduty"}


async def test_a_test_page_says_that_it_is_one(brain: Command) -> None:
    stand_ins = StandIns()
    async with stand_ins.running() as url:
        (brain.folder / "brain.toml").write_text(
            f'[alerting.notifiers.pager]\nkind = "pagerduty"\nrouting_key = "{ROUTING_KEY}"\nurl = "{url}/pagerduty"\n'
        )
        done = await asyncio.to_thread(brain, "alerts", "test", "pager", "--json")
        assert done.code == 0, done.err
        (page,) = stand_ins.pagerduty.alerts
        assert "TEST" in page["summary"]
        assert page["status"] == "resolved"
        stand_ins.pagerduty.fail("error")
        failed = await asyncio.to_thread(brain, "alerts", "test", "pager")
        assert failed.code == 2
        assert "500" in failed.err
