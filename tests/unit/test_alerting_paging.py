"""From events to what is said to whom, on tables and a clock that stands still until it is moved."""

from __future__ import annotations

from typing import Any

import pytest

from brain.alerting.evaluation import reroute
from brain.alerting.events import CONNECTION_LOST, EVENTS
from brain.alerting.models import Alert
from brain.alerting.signal_rules import SignalRules
from brain.errors import Conflict, InvalidInput, NotFound
from brain.immune import healing
from brain.stream.events import RETENTION_BLOCKED
from support.alerting import Alerting, pager


def with_routes(*routes: dict[str, Any], **settings: Any) -> Alerting:
    values: dict[str, Any] = {"notifiers": {"pager": pager(), "chat": pager()}, **settings}
    return Alerting({**values, "routes": list(routes)} if routes else values)


def only(alerting: Alerting) -> Alert:
    (alert,) = alerting.stored().values()
    return alert


def test_a_threat_is_paged_once_and_its_mitigation_resolves_that() -> None:
    alerting = Alerting()
    alerting.see(alerting.detected(severity="HIGH"))
    assert alerting.tick(9.9) == []
    assert alerting.tick(0.2) == [("pager", "trigger")]
    assert alerting.tick(3600) == []
    alerting.see(alerting.moved("MITIGATED"), alerting.mitigated())
    assert alerting.tick() == [("pager", "resolve")]
    assert alerting.tick(100_000) == []
    trigger, resolve = alerting.said()
    assert trigger.key == trigger.body["dedup_key"] == resolve.body["dedup_key"] == "thr_1"
    assert trigger.body["severity"] == "HIGH"


@pytest.mark.parametrize("status", ["MITIGATED", "RESOLVED", "IGNORED"])
def test_what_is_over_before_its_page_is_told_to_nobody(status: str) -> None:
    alerting = Alerting()
    alerting.see(alerting.detected(), alerting.escalated())
    alerting.see(alerting.moved(status))
    assert alerting.tick(100_000) == []
    assert not only(alerting).firing


def test_without_a_notifier_alerts_are_kept_and_nothing_is_said() -> None:
    alerting = Alerting({})
    alerting.see(alerting.detected(), alerting.critical(), alerting.denied())
    assert alerting.tick(1000) == []
    assert {shown.labels["kind"] for shown in alerting.service.alerts()} == {"threat", "health", "denials"}


def test_one_story_is_one_page() -> None:
    alerting = Alerting()
    alerting.see(alerting.detected("thr_1", "s1"))
    alerting.clock.advance(1)
    alerting.see(alerting.detected("thr_2", "s1"), alerting.detected("thr_3", "s3"))
    assert alerting.tick(9) == [("pager", "trigger")]
    assert alerting.tick(1) == [("pager", "trigger")]
    alerting.see(alerting.detected("thr_4", "s1"))
    assert alerting.tick(30) == []
    assert alerting.tick(29) == [("pager", "update")]
    assert [row.body["dedup_key"] for row in alerting.said()] == ["thr_1", "thr_3", "thr_1"]
    assert alerting.said()[-1].body["alerts_total"] == 3
    alerting.see(alerting.moved("MITIGATED", "thr_1", "s1"))
    assert alerting.tick() == []
    alerting.see(alerting.moved("MITIGATED", "thr_2", "s1"), alerting.moved("IGNORED", "thr_4", "s1"))
    assert alerting.tick() == [("pager", "resolve")]
    assert alerting.said()[-1].body["dedup_key"] == "thr_1"


def test_an_escalation_is_news_at_once_even_when_somebody_had_acknowledged() -> None:
    alerting = Alerting()
    alerting.see(alerting.detected())
    assert alerting.tick(10) == [("pager", "trigger")]
    alerting.see(alerting.moved("INVESTIGATING"))
    assert alerting.tick() == [("pager", "acknowledge")]
    assert alerting.tick(100_000) == []
    alerting.see(alerting.moved("ESCALATED"), alerting.escalated())
    assert alerting.tick() == [("pager", "update")]
    assert only(alerting).acknowledged_by is None
    assert "escalated" in alerting.said()[-1].body["summary"]


def test_a_threat_that_becomes_critical_is_paged_at_once_even_when_somebody_had_acknowledged() -> None:
    alerting = Alerting()
    alerting.see(alerting.detected(severity="HIGH"))
    assert alerting.tick(10) == [("pager", "trigger")]
    alerting.service.acknowledge(only(alerting).id, "ann")
    assert alerting.tick() == [("pager", "acknowledge")]
    alerting.see(alerting.grown("HIGH", "CRITICAL"), alerting.became_critical())
    assert alerting.tick() == [("pager", "update")]
    assert (only(alerting).severity, only(alerting).acknowledged_by) == ("CRITICAL", None)
    assert alerting.said()[-1].body["severity"] == "CRITICAL"
    alerting.see(alerting.grown("CRITICAL", "CRITICAL"))
    assert alerting.tick(3600) == []
    assert only(alerting).count == 3  # the rise counts once


def test_a_rise_below_critical_is_news_after_the_interval_and_may_join_a_route() -> None:
    routes = [{"name": "high", "severities": ["HIGH"], "to": ["pager"], "group_wait": 5}]
    alerting = with_routes(*routes)
    alerting.see(alerting.detected(severity="MEDIUM"))
    assert alerting.tick(100) == []
    alerting.see(alerting.grown("MEDIUM", "MEDIUM"))
    assert alerting.tick(100) == []
    alerting.see(alerting.grown("MEDIUM", "HIGH"))
    assert alerting.tick() == [("pager", "trigger")]


def test_an_alert_closed_by_hand_fires_again_when_its_threat_gets_worse_not_when_it_grows() -> None:
    alerting = Alerting()
    alerting.see(alerting.detected(severity="MEDIUM", status="OPEN"))
    alerting.service.close(only(alerting).id, "ann")
    alerting.see(alerting.grown("MEDIUM", "MEDIUM", status="OPEN"))
    assert not only(alerting).firing
    alerting.see(alerting.grown("MEDIUM", "HIGH", status="OPEN"))
    assert only(alerting).firing
    alerting.see(alerting.moved("IGNORED"), alerting.grown("HIGH", "CRITICAL", status="IGNORED"))
    alerting.see(alerting.became_critical(status="IGNORED"))
    assert not only(alerting).firing


def test_a_threat_that_evidence_opens_again_is_acknowledged_by_nobody() -> None:
    alerting = Alerting()
    alerting.see(alerting.detected(severity="HIGH"), alerting.moved("MITIGATED"))
    alerting.see(alerting.moved("INVESTIGATING", by_evidence=True))
    assert (only(alerting).firing, only(alerting).acknowledged_by) == (True, None)
    assert alerting.tick(10) == [("pager", "trigger")]


def test_a_page_is_repeated_until_it_is_acknowledged() -> None:
    alerting = with_routes({"name": "all", "to": ["pager"], "repeat_interval": 600})
    alerting.see(alerting.detected())
    assert alerting.tick(10) == [("pager", "trigger")]
    assert alerting.tick(599) == []
    assert alerting.tick(1) == [("pager", "repeat")]
    alerting.service.acknowledge(only(alerting).id, "ann")
    assert alerting.tick() == [("pager", "acknowledge")]
    assert alerting.tick(100_000) == []
    assert alerting.service.acknowledge(only(alerting).id, "ben").acknowledged_by == "ann"
    alerting.see(alerting.moved("RESOLVED"))
    assert alerting.tick() == [("pager", "resolve")]
    with pytest.raises(Conflict):
        alerting.service.acknowledge(only(alerting).id, "ann")


def test_what_nobody_acknowledges_is_escalated_step_by_step() -> None:
    steps = [{"after": 300, "to": ["lead"]}, {"after": 900, "to": ["boss", "pager"]}]
    notifiers = {name: pager() for name in ("pager", "lead", "boss")}
    alerting = with_routes({"name": "all", "to": ["pager"], "escalate": steps}, notifiers=notifiers)
    alerting.see(alerting.detected())
    assert alerting.tick(10) == [("pager", "trigger")]
    assert alerting.tick(299) == []
    assert alerting.tick(1) == [("lead", "trigger")]
    assert alerting.tick(600) == [("boss", "trigger")]
    alerting.service.acknowledge(only(alerting).id, "boss")
    assert sorted(alerting.tick()) == [("boss", "acknowledge"), ("lead", "acknowledge"), ("pager", "acknowledge")]
    alerting.see(alerting.mitigated())
    assert sorted(alerting.tick()) == [("boss", "resolve"), ("lead", "resolve"), ("pager", "resolve")]


def test_an_acknowledgement_in_time_stops_the_escalation() -> None:
    alerting = with_routes({"name": "all", "to": ["pager"], "escalate": [{"after": 300, "to": ["chat"]}]})
    alerting.see(alerting.detected())
    alerting.tick(10)
    alerting.service.acknowledge(only(alerting).id, "ann")
    assert alerting.tick(1000) == [("pager", "acknowledge")]


def test_the_first_route_takes_an_alert_unless_it_says_to_go_on() -> None:
    alerting = with_routes(
        {"name": "log", "to": ["chat"], "continue": True, "matchers": ["kind=threat"]},
        {"name": "escalated", "events": ["threat.escalated"], "to": ["pager"]},
        {"name": "worst", "severities": ["CRITICAL"], "to": ["pager"]},
        {"name": "rest", "to": []},
    )
    alerting.see(
        alerting.detected("thr_1", severity="LOW"), alerting.detected("thr_2", severity="CRITICAL"), alerting.denied()
    )
    assert sorted(alerting.tick(10)) == [("chat", "trigger"), ("chat", "trigger"), ("pager", "trigger")]
    alerting.see(alerting.escalated("thr_1", severity="LOW"))
    assert sorted(alerting.tick(10)) == [("chat", "update"), ("pager", "trigger")]
    alerting.see(alerting.mitigated("thr_1"))
    assert sorted(alerting.tick()) == [("chat", "resolve"), ("pager", "resolve")]


def test_tags_are_labels() -> None:
    alerting = with_routes({"name": "cards", "matchers": ["tag.pci=true", "tag.team=pay"], "to": ["pager"]})
    alerting.see(alerting.detected("thr_1", metadata={"tags": ["pci", "team=pay"]}))
    alerting.see(alerting.detected("thr_2", metadata={"tags": {"pci": True}}))
    alerting.see(alerting.critical(details={"tags": {"pci": "true", "team": "pay"}}))
    assert alerting.tick(10) == [("pager", "trigger")] * 2


def test_a_resolved_alert_reopens_soon_and_is_a_new_one_later() -> None:
    alerting = with_routes({"name": "all", "to": ["pager"]}, reopen_within=600)
    alerting.see(alerting.detected())
    first = only(alerting)
    alerting.tick(10)
    alerting.see(alerting.moved("MITIGATED"))
    assert alerting.tick(1) == [("pager", "resolve")]
    alerting.see(alerting.moved("OPEN"))  # it did not hold
    assert only(alerting).id == first.id
    assert only(alerting).period == 2
    assert (
        alerting.tick(10) == []
    )  # no quicker than the group's interval, so that a flapping one does not page each time
    assert alerting.tick(50) == [("pager", "trigger")]
    alerting.see(alerting.moved("MITIGATED"))
    assert alerting.tick(1) == [("pager", "resolve")]
    alerting.tick(601)
    alerting.see(alerting.detected())
    assert len(alerting.service.alerts()) == 2
    assert alerting.tick(10) == [("pager", "trigger")]


def test_an_alert_may_end_and_begin_anew_within_one_batch() -> None:
    alerting = with_routes({"name": "all", "to": ["pager"]}, reopen_within=0)
    alerting.see(alerting.detected())
    alerting.tick(10)
    mitigated, again = alerting.mitigated(), alerting.detected()
    alerting.clock.advance(1)
    alerting.see(mitigated, alerting.detected(), again)
    states = sorted(shown.state for shown in alerting.service.alerts())
    assert states == ["firing", "resolved"]


def test_a_silence_keeps_pages_back_and_its_end_lets_them_go() -> None:
    alerting = Alerting()
    silence = alerting.service.add_silence(["agent=203.0.113.77"], "ann", "known", alerting.clock() + 1000)
    alerting.see(alerting.detected(), alerting.detected("thr_2", source="198.51.100.1"))
    assert alerting.tick(10) == [("pager", "trigger")]
    shown = {entry.key: entry.silenced_by for entry in alerting.service.alerts()}
    assert shown == {"thr_1": silence.id, "thr_2": None}
    assert alerting.tick(989) == []
    assert alerting.tick(1) == [("pager", "trigger")]
    alerting.service.add_silence(["kind=threat"], "ann", "again", alerting.clock() + 1000)
    alerting.see(alerting.mitigated())
    assert alerting.tick() == [("pager", "resolve")]  # what was paged before the silence is brought to its end


def test_a_silence_taken_away_lets_pages_go_at_once() -> None:
    alerting = Alerting()
    silence = alerting.service.add_silence(["kind=threat"], "ann", "known", alerting.clock() + 1000)
    alerting.see(alerting.detected())
    assert alerting.tick(20) == []
    alerting.service.remove_silence(silence.id)
    assert alerting.tick() == [("pager", "trigger")]
    with pytest.raises(NotFound):
        alerting.service.remove_silence(silence.id)


def test_a_silence_to_come_silences_nothing_yet() -> None:
    alerting = Alerting()
    start = alerting.clock() + 100
    alerting.service.add_silence(["kind=threat"], "ann", "night", start + 100, start)
    alerting.see(alerting.detected("thr_1"))
    assert alerting.tick(10) == [("pager", "trigger")]
    alerting.tick(90)
    alerting.see(alerting.detected("thr_2"))
    assert alerting.tick(10) == []
    assert alerting.tick(90) == [("pager", "trigger")]
    assert alerting.service.silences() == []
    assert len(alerting.service.silences(ended=True)) == 1


def test_every_fault_of_a_silence_is_listed() -> None:
    alerting = Alerting()
    with pytest.raises(InvalidInput) as caught:
        alerting.service.add_silence(["agent=~("], " ", "", alerting.clock() - 1)
    assert len(caught.value.faults) == 4


def test_a_critical_health_alert_explains_the_threats_of_its_agent() -> None:
    alerting = Alerting()
    alerting.see(alerting.critical("billing", "s1"), alerting.detected("thr_1", "s2", source="billing"))
    assert alerting.tick(10) == [("pager", "trigger")]
    assert "CRITICAL" in alerting.said()[0].body["severity"]
    assert alerting.said()[0].body["alerts"][0]["labels"]["kind"] == "health"
    inhibited = next(shown for shown in alerting.service.alerts() if shown.key == "thr_1")
    assert inhibited.inhibited_by is not None
    alerting.see(alerting.healing("healed", "billing", "s1"))
    assert sorted(alerting.tick(1)) == [("pager", "resolve"), ("pager", "trigger")]
    assert {row.body["dedup_key"]: row.body["action"] for row in alerting.said()} == {
        "health billing AGENT_FAILURE": "resolve",
        "thr_1": "trigger",
    }


def test_an_escalated_threat_explains_its_story_and_is_never_kept_back() -> None:
    alerting = Alerting()
    alerting.see(alerting.critical("billing", "s1"), alerting.detected("thr_1", "s1", source="billing"))
    alerting.see(alerting.escalated("thr_1", "s1", source="billing"))
    assert alerting.tick(10) == [("pager", "trigger")]
    assert [alert["key"] for alert in alerting.said()[0].body["alerts"]] == ["thr_1"]
    alerting.see(alerting.moved("MITIGATED", "thr_1", "s1"))
    assert alerting.tick(1) == []  # the health alert of the same story is left, and is told as news of the same page
    assert alerting.tick(60) == [("pager", "update")]


def test_a_page_waits_for_healing_and_is_released_when_that_fails() -> None:
    alerting = with_routes(healing_kinds=["AGENT_FAILURE"], routes=[{"name": "all", "to": ["pager"]}])
    alerting.see(alerting.critical(story="s1"), alerting.critical("search", "s2"), alerting.critical("mail", "s3"))
    alerting.see(alerting.critical("print", "s4", kind="ERROR_SPIKE"))
    assert alerting.tick(10) == [("pager", "trigger")]  # nothing heals an error spike
    assert only_held(alerting) == {"billing", "search", "mail"}
    alerting.see(alerting.healing("healed", "billing", "s1"), alerting.healing("failed", "search", "s2"))
    assert alerting.tick(5) == [("pager", "trigger")]
    assert only_held(alerting) == {"mail"}
    assert alerting.tick(14.9) == []
    assert alerting.tick(0.2) == [("pager", "trigger")]  # no word of its healing within 30 s
    keys = [row.body["dedup_key"] for row in alerting.said()]
    assert keys == ["health print ERROR_SPIKE", "health search AGENT_FAILURE", "health mail AGENT_FAILURE"]


def only_held(alerting: Alerting) -> set[str]:
    return {shown.labels["agent"] for shown in alerting.service.alerts() if shown.held_until is not None}


def test_healing_of_another_story_changes_nothing() -> None:
    alerting = with_routes(healing_kinds=["AGENT_FAILURE"])
    alerting.see(alerting.critical("billing", "s1"))
    alerting.see(alerting.healing("healed", "billing", "s0"), alerting.healing("healed", "search", "s1"))
    assert only(alerting).firing
    alerting.see(alerting.critical("billing", "s2"))
    alerting.see(alerting.healing("healed", "billing", "s1"))
    assert only(alerting).firing  # it failed again meanwhile
    alerting.see(alerting.healing("healed", "billing", "s2"))
    assert not only(alerting).firing
    assert alerting.tick(1000) == []


def test_what_is_quiet_for_long_resolves() -> None:
    alerting = with_routes({"name": "all", "to": ["pager"]}, quiet_after=300, health_quiet_after=3600)
    alerting.see(alerting.denied(), alerting.critical())
    assert alerting.tick(10) == [("pager", "trigger")] * 2
    alerting.tick(200)
    alerting.see(alerting.denied())
    alerting.tick(200)
    assert {shown.state for shown in alerting.service.alerts()} == {"firing"}
    assert alerting.tick(100) == [("pager", "resolve")]
    assert alerting.tick(3600) == [("pager", "resolve")]


def test_an_alert_that_nothing_resolves_can_be_closed_by_hand() -> None:
    alerting = with_routes(health_quiet_after=None)
    alerting.see(alerting.critical())
    alerting.tick(10)
    assert alerting.tick(10_000_000)[-1] != ("pager", "resolve")
    alerting.service.close(only(alerting).id, "ann")
    assert sorted(alerting.tick()) == [("chat", "resolve"), ("pager", "resolve")]
    with pytest.raises(Conflict):
        alerting.service.close(only(alerting).id, "ann")


def test_pages_wait_for_business_hours() -> None:
    office = {"time_zone": "UTC", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}  # 09:00 to 17:00
    alerting = with_routes(
        {"name": "day", "to": ["chat"], "only_during": "office", "continue": True},
        {"name": "night", "to": ["pager"], "not_during": "office", "repeat_interval": 86_400},
        hours={"office": office},
    )
    alerting.clock.now = 1_703_030_400.0 - 7200  # 22:00 UTC the day before
    alerting.see(alerting.detected("thr_1"), alerting.detected("thr_2"))
    assert alerting.tick(10) == [("pager", "trigger")] * 2
    alerting.see(alerting.mitigated("thr_2"))
    assert alerting.tick(10) == [("pager", "resolve")]
    assert alerting.tick(11 * 3600 - 21) == []  # 08:59:59
    assert alerting.tick(1) == [("chat", "trigger")]
    alerting.see(alerting.detected("thr_3"))
    assert alerting.tick(10) == [("chat", "trigger")]


def test_a_page_goes_to_who_is_on_call_and_on_to_who_takes_over() -> None:
    turns = {"time_zone": "UTC", "people": ["pager", "chat"], "start": "2023-12-19T15:00:00", "shift_days": 1}
    alerting = with_routes({"name": "all", "to": ["oncall"]}, rotations={"oncall": turns})
    alerting.clock.now = 1_702_998_000.0  # 2023-12-19T15:00:00Z
    alerting.see(alerting.detected("thr_1"), alerting.detected("thr_2"))
    assert alerting.tick(10) == [("pager", "trigger")] * 2
    acknowledged = next(shown for shown in alerting.service.alerts() if shown.key == "thr_2")
    alerting.service.acknowledge(acknowledged.id, "ann")
    alerting.tick(1)
    alerting.tick(86_400)
    assert alerting.said()[-1].channel == "chat"
    assert [row.body["dedup_key"] for row in alerting.said() if row.channel == "chat"] == ["thr_1"]
    alerting.see(alerting.mitigated("thr_1"))
    assert sorted(alerting.tick()) == [("chat", "resolve"), ("pager", "resolve")]


def test_a_handover_is_not_waited_for_until_the_next_repeat() -> None:
    turns = {"time_zone": "UTC", "people": ["pager", "chat"], "start": "2023-12-19T15:00:00", "shift_days": 1}
    route = {"name": "all", "to": ["oncall"], "repeat_interval": 31_536_000}
    alerting = with_routes(route, rotations={"oncall": turns})
    alerting.clock.now = 1_702_998_000.0  # 2023-12-19T15:00:00Z, the beginning of the first turn
    alerting.see(alerting.detected("thr_1"))
    assert alerting.tick(10) == [("pager", "trigger")]
    assert alerting.tick(86_400 - 11) == []
    assert alerting.tick(1) == [("chat", "trigger")]
    assert alerting.tick(1000) == []


def test_a_storm_is_summed_up() -> None:
    alerting = with_routes({"name": "all", "to": ["pager"]}, notifiers={"pager": pager(at_most=3, per=60)})
    alerting.see(*(alerting.detected(f"thr_{n}") for n in range(10)))
    assert alerting.tick(10) == [("pager", "trigger")] * 3
    assert alerting.tick(30) == []
    states = sorted(sent.state for shown in alerting.service.alerts() for sent in shown.notifications)
    assert states == ["held"] * 7 + ["waiting"] * 3
    assert alerting.tick(31) == [("pager", "trigger")]
    summary = alerting.said()[-1].body
    assert summary["held_back_total"] == 7
    assert "7 pages were held back" in summary["summary"]
    keys = {row.body["dedup_key"] for row in alerting.said()}
    held = next(f"thr_{n}" for n in range(10) if f"thr_{n}" not in keys)
    alerting.see(alerting.mitigated(held))
    assert alerting.tick() == []  # nobody was sent its trigger
    alerting.see(*(alerting.mitigated(f"thr_{n}") for n in range(10)))
    said = alerting.tick()
    assert said == [("pager", "resolve")] * 4  # three pages, and the summary
    assert alerting.said()[-1].body["dedup_key"] == summary["dedup_key"]


def test_what_was_summed_up_is_paged_when_it_gets_worse() -> None:
    alerting = with_routes({"name": "all", "to": ["pager"]}, notifiers={"pager": pager(at_most=1, per=60)})
    alerting.see(alerting.detected("thr_1"), alerting.detected("thr_2"))
    alerting.tick(10)
    alerting.tick(61)
    held = "thr_2" if alerting.said()[0].body["dedup_key"] == "thr_1" else "thr_1"
    alerting.see(alerting.escalated(held))
    assert alerting.tick() == [("pager", "trigger")]
    assert alerting.said()[-1].body["dedup_key"] == held
    alerting.see(alerting.mitigated(held))
    assert ("pager", "resolve") in alerting.tick()


def test_events_of_its_own_and_events_that_lack_what_they_should_tell_make_nothing() -> None:
    alerting = with_routes(also=["*"])
    alerting.see(*(alerting.event(one, "s1") for one in EVENTS if one is not CONNECTION_LOST))
    assert alerting.service.alerts() == []
    for event in (alerting.detected(), alerting.critical(), alerting.denied(), alerting.healing("healed")):
        event.payload.clear()
        assert SignalRules().signals(event) == ()


def test_further_event_types_can_make_alerts() -> None:
    alerting = with_routes({"name": "all", "to": ["pager"]}, also=["stream.*"])
    alerting.see(alerting.event(RETENTION_BLOCKED, None))
    assert only(alerting).name == "stream.retention_blocked"
    assert only(alerting).severity == "HIGH"
    assert alerting.tick(10) == [("pager", "trigger")]


def test_an_event_from_a_clock_ahead_is_not_put_off() -> None:
    alerting = Alerting()
    alerting.clock.now += 86_400
    late = alerting.detected()
    alerting.clock.now -= 86_400
    alerting.see(late)
    assert alerting.tick(10) == [("pager", "trigger")]


def test_new_routes_take_what_fires_already_and_lost_ones_are_brought_to_their_end() -> None:
    alerting = with_routes({"name": "old", "to": ["chat"]})
    alerting.see(alerting.detected())
    assert alerting.tick(10) == [("chat", "trigger")]
    notifiers = {"pager": pager(), "chat": pager()}
    alerting.start({"notifiers": notifiers, "routes": [{"name": "new", "to": ["pager"]}]})
    assert alerting.tick() == [("pager", "trigger")]
    alerting.see(alerting.mitigated())
    assert sorted(alerting.tick()) == [("chat", "resolve"), ("pager", "resolve")]


def test_who_is_added_to_a_route_is_told_of_what_fires() -> None:
    alerting = with_routes({"name": "all", "to": []})
    alerting.see(alerting.detected())
    assert alerting.tick(100) == []
    alerting.start({"notifiers": {"pager": pager()}, "routes": [{"name": "all", "to": ["pager"]}]})
    assert alerting.tick() == [("pager", "trigger")]


def test_worse_is_news_and_milder_is_not() -> None:
    alerting = Alerting({"notifiers": {"pager": pager()}, "routes": [{"name": "all", "to": ["pager"]}]})
    for severity, said in (("MEDIUM", "trigger"), ("CRITICAL", "update"), ("LOW", None), ("CRITICAL", None)):
        alerting.see(alerting.detected(severity=severity))
        assert alerting.tick(60) == ([("pager", said)] if said is not None else [])


def test_what_gets_worse_is_escalated_from_when_it_was_first_told() -> None:
    alerting = with_routes({"name": "all", "to": ["pager"], "escalate": [{"after": 300, "to": ["chat"]}]})
    alerting.see(alerting.detected(severity="MEDIUM"))
    assert alerting.tick(10) == [("pager", "trigger")]
    alerting.tick(200)
    alerting.see(alerting.detected(severity="CRITICAL"))
    assert alerting.tick() == [("pager", "update")]
    assert alerting.tick(100) == [("chat", "trigger")]


def test_by_default_a_page_waits_for_the_actions_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(healing.ACTIONS, healing.HealthKind.ERROR_SPIKE, lambda incident: "restarted")
    alerting = Alerting()
    alerting.see(alerting.critical("billing", "s1", kind="ERROR_SPIKE"), alerting.critical("search", "s2"))
    assert only_held(alerting) == {"billing"}
    assert alerting.tick(10) == [("pager", "trigger")]


def test_a_clock_set_back_puts_no_page_off() -> None:
    """What was sent and planned in a wrong year counts as of now; alerting makes every group due after a step back."""
    alerting = Alerting()
    alerting.clock.advance(365 * 86_400)
    alerting.see(alerting.detected())
    assert alerting.tick(10) == [("pager", "trigger")]
    alerting.clock.advance(-365 * 86_400)
    with alerting.engine.begin() as db:
        reroute(db, alerting.clock(), alerting.configuration)
    assert alerting.tick() == []
    (route,) = alerting.configuration.routes
    assert alerting.tick(route.repeat_interval + 1) == [("pager", "repeat")]


def test_a_clock_set_back_lets_no_alert_wait_for_healing_longer_than_the_settings_say() -> None:
    alerting = Alerting({"notifiers": {"pager": pager()}, "healing_kinds": ["AGENT_FAILURE"]})
    alerting.clock.advance(365 * 86_400)
    alerting.see(alerting.critical(kind="AGENT_FAILURE"))
    assert alerting.tick(10) == []
    alerting.clock.advance(-365 * 86_400)
    with alerting.engine.begin() as db:
        reroute(db, alerting.clock(), alerting.configuration)
    assert alerting.tick(alerting.configuration.signal_rules.healing_timeout + 1) == [("pager", "trigger")]


def test_pages_of_a_later_time_do_not_count_for_the_rate_limit() -> None:
    limited = pager(at_most=1, per=60)
    alerting = Alerting({"notifiers": {"pager": limited}})
    alerting.clock.advance(365 * 86_400)
    alerting.see(alerting.detected())
    assert alerting.tick(10) == [("pager", "trigger")]
    alerting.clock.advance(-365 * 86_400)
    alerting.see(alerting.detected("thr_2"))
    assert alerting.tick(31) == [("pager", "trigger")]
