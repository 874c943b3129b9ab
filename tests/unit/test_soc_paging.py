"""From events to what is said to whom, on tables and a clock that stands still until it is moved."""

from __future__ import annotations

from typing import Any

import pytest

from brain.alerting.alerts import Alert
from brain.alerting.events import EVENTS
from brain.alerting.signals import Reading
from brain.errors import Conflict, InvalidInput, NotFound
from brain.immune import healing
from brain.stream.events import RETENTION_BLOCKED
from support.soc import Soc, pager


def soc(*routes: dict[str, Any], **settings: Any) -> Soc:
    values: dict[str, Any] = {"notifiers": {"pager": pager(), "chat": pager()}, **settings}
    return Soc({**values, "routes": list(routes)} if routes else values)


def only(desk: Soc) -> Alert:
    (shown,) = desk.desk.alerts()
    return shown.alert


def test_a_threat_is_paged_once_and_its_mitigation_resolves_that() -> None:
    desk = Soc()
    desk.see(desk.detected(severity="HIGH"))
    assert desk.tick(9.9) == []
    assert desk.tick(0.2) == [("pager", "trigger")]
    assert desk.tick(3600) == []
    desk.see(desk.moved("MITIGATED"), desk.mitigated())
    assert desk.tick() == [("pager", "resolve")]
    assert desk.tick(100_000) == []
    trigger, resolve = desk.said()
    assert trigger.key == trigger.body["dedup_key"] == resolve.body["dedup_key"] == "thr_1"
    assert trigger.body["severity"] == "HIGH"


@pytest.mark.parametrize("status", ["MITIGATED", "RESOLVED", "IGNORED"])
def test_what_is_over_before_its_page_is_told_to_nobody(status: str) -> None:
    desk = Soc()
    desk.see(desk.detected(), desk.escalated())
    desk.see(desk.moved(status))
    assert desk.tick(100_000) == []
    assert not only(desk).firing


def test_without_a_notifier_alerts_are_kept_and_nothing_is_said() -> None:
    desk = Soc({})
    desk.see(desk.detected(), desk.critical(), desk.denied())
    assert desk.tick(1000) == []
    assert {shown.alert.labels["kind"] for shown in desk.desk.alerts()} == {"threat", "health", "denials"}


def test_one_story_is_one_page() -> None:
    desk = Soc()
    desk.see(desk.detected("thr_1", "s1"))
    desk.clock.advance(1)
    desk.see(desk.detected("thr_2", "s1"), desk.detected("thr_3", "s3"))
    assert desk.tick(9) == [("pager", "trigger")]
    assert desk.tick(1) == [("pager", "trigger")]
    desk.see(desk.detected("thr_4", "s1"))
    assert desk.tick(30) == []
    assert desk.tick(29) == [("pager", "update")]
    assert [row.body["dedup_key"] for row in desk.said()] == ["thr_1", "thr_3", "thr_1"]
    assert desk.said()[-1].body["alerts_total"] == 3
    desk.see(desk.moved("MITIGATED", "thr_1", "s1"))
    assert desk.tick() == []
    desk.see(desk.moved("MITIGATED", "thr_2", "s1"), desk.moved("IGNORED", "thr_4", "s1"))
    assert desk.tick() == [("pager", "resolve")]
    assert desk.said()[-1].body["dedup_key"] == "thr_1"


def test_an_escalation_is_news_at_once_even_when_somebody_had_acknowledged() -> None:
    desk = Soc()
    desk.see(desk.detected())
    assert desk.tick(10) == [("pager", "trigger")]
    desk.see(desk.moved("INVESTIGATING"))
    assert desk.tick() == [("pager", "acknowledge")]
    assert desk.tick(100_000) == []
    desk.see(desk.moved("ESCALATED"), desk.escalated())
    assert desk.tick() == [("pager", "update")]
    assert only(desk).acknowledged_by is None
    assert "escalated" in desk.said()[-1].body["summary"]


def test_a_page_is_repeated_until_it_is_acknowledged() -> None:
    desk = soc({"name": "all", "to": ["pager"], "repeat_interval": 600})
    desk.see(desk.detected())
    assert desk.tick(10) == [("pager", "trigger")]
    assert desk.tick(599) == []
    assert desk.tick(1) == [("pager", "repeat")]
    desk.desk.acknowledge(only(desk).id, "ann")
    assert desk.tick() == [("pager", "acknowledge")]
    assert desk.tick(100_000) == []
    assert desk.desk.acknowledge(only(desk).id, "ben").acknowledged_by == "ann"
    desk.see(desk.moved("RESOLVED"))
    assert desk.tick() == [("pager", "resolve")]
    with pytest.raises(Conflict):
        desk.desk.acknowledge(only(desk).id, "ann")


def test_what_nobody_acknowledges_is_escalated_step_by_step() -> None:
    steps = [{"after": 300, "to": ["lead"]}, {"after": 900, "to": ["boss", "pager"]}]
    notifiers = {name: pager() for name in ("pager", "lead", "boss")}
    desk = soc({"name": "all", "to": ["pager"], "escalate": steps}, notifiers=notifiers)
    desk.see(desk.detected())
    assert desk.tick(10) == [("pager", "trigger")]
    assert desk.tick(299) == []
    assert desk.tick(1) == [("lead", "trigger")]
    assert desk.tick(600) == [("boss", "trigger")]
    desk.desk.acknowledge(only(desk).id, "boss")
    assert sorted(desk.tick()) == [("boss", "acknowledge"), ("lead", "acknowledge"), ("pager", "acknowledge")]
    desk.see(desk.mitigated())
    assert sorted(desk.tick()) == [("boss", "resolve"), ("lead", "resolve"), ("pager", "resolve")]


def test_an_acknowledgement_in_time_stops_the_escalation() -> None:
    desk = soc({"name": "all", "to": ["pager"], "escalate": [{"after": 300, "to": ["chat"]}]})
    desk.see(desk.detected())
    desk.tick(10)
    desk.desk.acknowledge(only(desk).id, "ann")
    assert desk.tick(1000) == [("pager", "acknowledge")]


def test_the_first_route_takes_an_alert_unless_it_says_to_go_on() -> None:
    desk = soc(
        {"name": "log", "to": ["chat"], "continue": True, "matchers": ["kind=threat"]},
        {"name": "escalated", "events": ["threat.escalated"], "to": ["pager"]},
        {"name": "worst", "severities": ["CRITICAL"], "to": ["pager"]},
        {"name": "rest", "to": []},
    )
    desk.see(desk.detected("thr_1", severity="LOW"), desk.detected("thr_2", severity="CRITICAL"), desk.denied())
    assert sorted(desk.tick(10)) == [("chat", "trigger"), ("chat", "trigger"), ("pager", "trigger")]
    desk.see(desk.escalated("thr_1", severity="LOW"))
    assert sorted(desk.tick(10)) == [("chat", "update"), ("pager", "trigger")]
    desk.see(desk.mitigated("thr_1"))
    assert sorted(desk.tick()) == [("chat", "resolve"), ("pager", "resolve")]


def test_tags_are_labels() -> None:
    desk = soc({"name": "cards", "matchers": ["tag.pci=true", "tag.team=pay"], "to": ["pager"]})
    desk.see(desk.detected("thr_1", metadata={"tags": ["pci", "team=pay"]}))
    desk.see(desk.detected("thr_2", metadata={"tags": {"pci": True}}))
    desk.see(desk.critical(details={"tags": {"pci": "true", "team": "pay"}}))
    assert desk.tick(10) == [("pager", "trigger")] * 2


def test_a_resolved_alert_reopens_soon_and_is_a_new_one_later() -> None:
    desk = soc({"name": "all", "to": ["pager"]}, reopen_within=600)
    desk.see(desk.detected())
    first = only(desk)
    desk.tick(10)
    desk.see(desk.moved("MITIGATED"))
    assert desk.tick(1) == [("pager", "resolve")]
    desk.see(desk.moved("OPEN"))  # it did not hold
    assert only(desk).id == first.id
    assert only(desk).period == 2
    assert desk.tick(10) == []  # no quicker than the group's interval, so that a flapping one does not page each time
    assert desk.tick(50) == [("pager", "trigger")]
    desk.see(desk.moved("MITIGATED"))
    assert desk.tick(1) == [("pager", "resolve")]
    desk.tick(601)
    desk.see(desk.detected())
    assert len(desk.desk.alerts()) == 2
    assert desk.tick(10) == [("pager", "trigger")]


def test_an_alert_may_end_and_begin_anew_within_one_batch() -> None:
    desk = soc({"name": "all", "to": ["pager"]}, reopen_within=0)
    desk.see(desk.detected())
    desk.tick(10)
    mitigated, again = desk.mitigated(), desk.detected()
    desk.clock.advance(1)
    desk.see(mitigated, desk.detected(), again)
    states = sorted(shown.alert.state for shown in desk.desk.alerts())
    assert states == ["firing", "resolved"]


def test_a_silence_keeps_pages_back_and_its_end_lets_them_go() -> None:
    desk = Soc()
    silence = desk.desk.add_silence(["agent=203.0.113.77"], "ann", "known", desk.clock() + 1000)
    desk.see(desk.detected(), desk.detected("thr_2", source="198.51.100.1"))
    assert desk.tick(10) == [("pager", "trigger")]
    shown = {entry.alert.key: entry.muted.silenced_by for entry in desk.desk.alerts()}
    assert shown == {"thr_1": silence.id, "thr_2": None}
    assert desk.tick(989) == []
    assert desk.tick(1) == [("pager", "trigger")]
    desk.desk.add_silence(["kind=threat"], "ann", "again", desk.clock() + 1000)
    desk.see(desk.mitigated())
    assert desk.tick() == [("pager", "resolve")]  # what was paged before the silence is brought to its end


def test_a_silence_taken_away_lets_pages_go_at_once() -> None:
    desk = Soc()
    silence = desk.desk.add_silence(["kind=threat"], "ann", "known", desk.clock() + 1000)
    desk.see(desk.detected())
    assert desk.tick(20) == []
    desk.desk.remove_silence(silence.id)
    assert desk.tick() == [("pager", "trigger")]
    with pytest.raises(NotFound):
        desk.desk.remove_silence(silence.id)


def test_a_silence_to_come_silences_nothing_yet() -> None:
    desk = Soc()
    start = desk.clock() + 100
    desk.desk.add_silence(["kind=threat"], "ann", "night", start + 100, start)
    desk.see(desk.detected("thr_1"))
    assert desk.tick(10) == [("pager", "trigger")]
    desk.tick(90)
    desk.see(desk.detected("thr_2"))
    assert desk.tick(10) == []
    assert desk.tick(90) == [("pager", "trigger")]
    assert desk.desk.silences() == []
    assert len(desk.desk.silences(ended=True)) == 1


def test_every_fault_of_a_silence_is_listed() -> None:
    desk = Soc()
    with pytest.raises(InvalidInput) as caught:
        desk.desk.add_silence(["agent=~("], " ", "", desk.clock() - 1)
    assert len(caught.value.faults) == 4


def test_a_critical_health_alert_explains_the_threats_of_its_agent() -> None:
    desk = Soc()
    desk.see(desk.critical("billing", "s1"), desk.detected("thr_1", "s2", source="billing"))
    assert desk.tick(10) == [("pager", "trigger")]
    assert "CRITICAL" in desk.said()[0].body["severity"]
    assert desk.said()[0].body["alerts"][0]["labels"]["kind"] == "health"
    inhibited = next(shown for shown in desk.desk.alerts() if shown.alert.key == "thr_1")
    assert inhibited.muted.inhibited_by is not None
    desk.see(desk.healing("healed", "billing", "s1"))
    assert sorted(desk.tick(1)) == [("pager", "resolve"), ("pager", "trigger")]
    assert {row.body["dedup_key"]: row.body["action"] for row in desk.said()} == {
        "health billing AGENT_FAILURE": "resolve",
        "thr_1": "trigger",
    }


def test_an_escalated_threat_explains_its_story_and_is_never_kept_back() -> None:
    desk = Soc()
    desk.see(desk.critical("billing", "s1"), desk.detected("thr_1", "s1", source="billing"))
    desk.see(desk.escalated("thr_1", "s1", source="billing"))
    assert desk.tick(10) == [("pager", "trigger")]
    assert [alert["key"] for alert in desk.said()[0].body["alerts"]] == ["thr_1"]
    desk.see(desk.moved("MITIGATED", "thr_1", "s1"))
    assert desk.tick(1) == []  # the health alert of the same story is left, and is told as news of the same page
    assert desk.tick(60) == [("pager", "update")]


def test_a_page_waits_for_healing_and_is_released_when_that_fails() -> None:
    desk = soc(healing_kinds=["AGENT_FAILURE"], routes=[{"name": "all", "to": ["pager"]}])
    desk.see(desk.critical(story="s1"), desk.critical("search", "s2"), desk.critical("mail", "s3"))
    desk.see(desk.critical("print", "s4", kind="ERROR_SPIKE"))
    assert desk.tick(10) == [("pager", "trigger")]  # nothing heals an error spike
    assert only_held(desk) == {"billing", "search", "mail"}
    desk.see(desk.healing("healed", "billing", "s1"), desk.healing("failed", "search", "s2"))
    assert desk.tick(5) == [("pager", "trigger")]
    assert only_held(desk) == {"mail"}
    assert desk.tick(14.9) == []
    assert desk.tick(0.2) == [("pager", "trigger")]  # no word of its healing within 30 s
    keys = [row.body["dedup_key"] for row in desk.said()]
    assert keys == ["health print ERROR_SPIKE", "health search AGENT_FAILURE", "health mail AGENT_FAILURE"]


def only_held(desk: Soc) -> set[str]:
    return {shown.alert.labels["agent"] for shown in desk.desk.alerts() if shown.muted.held_until is not None}


def test_healing_of_another_story_changes_nothing() -> None:
    desk = soc(healing_kinds=["AGENT_FAILURE"])
    desk.see(desk.critical("billing", "s1"))
    desk.see(desk.healing("healed", "billing", "s0"), desk.healing("healed", "search", "s1"))
    assert only(desk).firing
    desk.see(desk.critical("billing", "s2"))
    desk.see(desk.healing("healed", "billing", "s1"))
    assert only(desk).firing  # it failed again meanwhile
    desk.see(desk.healing("healed", "billing", "s2"))
    assert not only(desk).firing
    assert desk.tick(1000) == []


def test_what_is_quiet_for_long_resolves() -> None:
    desk = soc({"name": "all", "to": ["pager"]}, quiet_after=300, health_quiet_after=3600)
    desk.see(desk.denied(), desk.critical())
    assert desk.tick(10) == [("pager", "trigger")] * 2
    desk.tick(200)
    desk.see(desk.denied())
    desk.tick(200)
    assert {shown.alert.state for shown in desk.desk.alerts()} == {"firing"}
    assert desk.tick(100) == [("pager", "resolve")]
    assert desk.tick(3600) == [("pager", "resolve")]


def test_an_alert_that_nothing_resolves_can_be_closed_by_hand() -> None:
    desk = soc(health_quiet_after=None)
    desk.see(desk.critical())
    desk.tick(10)
    assert desk.tick(10_000_000)[-1] != ("pager", "resolve")
    desk.desk.close(only(desk).id, "ann")
    assert sorted(desk.tick()) == [("chat", "resolve"), ("pager", "resolve")]
    with pytest.raises(Conflict):
        desk.desk.close(only(desk).id, "ann")


def test_pages_wait_for_business_hours() -> None:
    office = {"time_zone": "UTC", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}  # 09:00 to 17:00
    desk = soc(
        {"name": "day", "to": ["chat"], "only_during": "office", "continue": True},
        {"name": "night", "to": ["pager"], "not_during": "office", "repeat_interval": 86_400},
        hours={"office": office},
    )
    desk.clock.now = 1_703_030_400.0 - 7200  # 22:00 UTC the day before
    desk.see(desk.detected("thr_1"), desk.detected("thr_2"))
    assert desk.tick(10) == [("pager", "trigger")] * 2
    desk.see(desk.mitigated("thr_2"))
    assert desk.tick(10) == [("pager", "resolve")]
    assert desk.tick(11 * 3600 - 21) == []  # 08:59:59
    assert desk.tick(1) == [("chat", "trigger")]
    desk.see(desk.detected("thr_3"))
    assert desk.tick(10) == [("chat", "trigger")]


def test_a_page_goes_to_who_is_on_call_and_on_to_who_takes_over() -> None:
    turns = {"time_zone": "UTC", "people": ["pager", "chat"], "start": "2023-12-19T15:00:00", "shift_days": 1}
    desk = soc({"name": "all", "to": ["oncall"]}, rotations={"oncall": turns})
    desk.clock.now = 1_702_998_000.0  # 2023-12-19T15:00:00Z
    desk.see(desk.detected("thr_1"), desk.detected("thr_2"))
    assert desk.tick(10) == [("pager", "trigger")] * 2
    acknowledged = next(shown.alert for shown in desk.desk.alerts() if shown.alert.key == "thr_2")
    desk.desk.acknowledge(acknowledged.id, "ann")
    desk.tick(1)
    desk.tick(86_400)
    assert desk.said()[-1].channel == "chat"
    assert [row.body["dedup_key"] for row in desk.said() if row.channel == "chat"] == ["thr_1"]
    desk.see(desk.mitigated("thr_1"))
    assert sorted(desk.tick()) == [("chat", "resolve"), ("pager", "resolve")]


def test_a_storm_is_summed_up() -> None:
    desk = soc({"name": "all", "to": ["pager"]}, notifiers={"pager": pager(at_most=3, per=60)})
    desk.see(*(desk.detected(f"thr_{n}") for n in range(10)))
    assert desk.tick(10) == [("pager", "trigger")] * 3
    assert desk.tick(30) == []
    states = sorted(notice.state for shown in desk.desk.alerts() for notice in shown.notices)
    assert states == ["held"] * 7 + ["waiting"] * 3
    assert desk.tick(31) == [("pager", "trigger")]
    summary = desk.said()[-1].body
    assert summary["held_back_total"] == 7
    assert "7 pages were held back" in summary["summary"]
    keys = {row.body["dedup_key"] for row in desk.said()}
    held = next(f"thr_{n}" for n in range(10) if f"thr_{n}" not in keys)
    desk.see(desk.mitigated(held))
    assert desk.tick() == []  # nobody was sent its trigger
    desk.see(*(desk.mitigated(f"thr_{n}") for n in range(10)))
    said = desk.tick()
    assert said == [("pager", "resolve")] * 4  # three pages, and the summary
    assert desk.said()[-1].body["dedup_key"] == summary["dedup_key"]


def test_what_was_summed_up_is_paged_when_it_gets_worse() -> None:
    desk = soc({"name": "all", "to": ["pager"]}, notifiers={"pager": pager(at_most=1, per=60)})
    desk.see(desk.detected("thr_1"), desk.detected("thr_2"))
    desk.tick(10)
    desk.tick(61)
    held = "thr_2" if desk.said()[0].body["dedup_key"] == "thr_1" else "thr_1"
    desk.see(desk.escalated(held))
    assert desk.tick() == [("pager", "trigger")]
    assert desk.said()[-1].body["dedup_key"] == held
    desk.see(desk.mitigated(held))
    assert ("pager", "resolve") in desk.tick()


def test_events_of_its_own_and_events_that_lack_what_they_should_tell_make_nothing() -> None:
    desk = soc(also=["*"])
    desk.see(*(desk.event(declared, "s1") for declared in EVENTS))
    assert desk.desk.alerts() == []
    for event in (desk.detected(), desk.critical(), desk.denied(), desk.healing("healed")):
        event.payload.clear()
        assert Reading().signals(event) == ()


def test_further_event_types_can_make_alerts() -> None:
    desk = soc({"name": "all", "to": ["pager"]}, also=["stream.*"])
    desk.see(desk.event(RETENTION_BLOCKED, None))
    assert only(desk).name == "stream.retention_blocked"
    assert only(desk).severity == "HIGH"
    assert desk.tick(10) == [("pager", "trigger")]


def test_an_event_from_a_clock_ahead_is_not_put_off() -> None:
    desk = Soc()
    desk.clock.now += 86_400
    late = desk.detected()
    desk.clock.now -= 86_400
    desk.see(late)
    assert desk.tick(10) == [("pager", "trigger")]


def test_new_routes_take_what_fires_already_and_lost_ones_are_brought_to_their_end() -> None:
    desk = soc({"name": "old", "to": ["chat"]})
    desk.see(desk.detected())
    assert desk.tick(10) == [("chat", "trigger")]
    notifiers = {"pager": pager(), "chat": pager()}
    desk.start({"notifiers": notifiers, "routes": [{"name": "new", "to": ["pager"]}]})
    assert desk.tick() == [("pager", "trigger")]
    desk.see(desk.mitigated())
    assert sorted(desk.tick()) == [("chat", "resolve"), ("pager", "resolve")]


def test_who_is_added_to_a_route_is_told_of_what_fires() -> None:
    desk = soc({"name": "all", "to": []})
    desk.see(desk.detected())
    assert desk.tick(100) == []
    desk.start({"notifiers": {"pager": pager()}, "routes": [{"name": "all", "to": ["pager"]}]})
    assert desk.tick() == [("pager", "trigger")]


def test_worse_is_news_and_milder_is_not() -> None:
    desk = Soc({"notifiers": {"pager": pager()}, "routes": [{"name": "all", "to": ["pager"]}]})
    for severity, said in (("MEDIUM", "trigger"), ("CRITICAL", "update"), ("LOW", None), ("CRITICAL", None)):
        desk.see(desk.detected(severity=severity))
        assert desk.tick(60) == ([("pager", said)] if said is not None else [])


def test_what_gets_worse_is_escalated_from_when_it_was_first_told() -> None:
    desk = soc({"name": "all", "to": ["pager"], "escalate": [{"after": 300, "to": ["chat"]}]})
    desk.see(desk.detected(severity="MEDIUM"))
    assert desk.tick(10) == [("pager", "trigger")]
    desk.tick(200)
    desk.see(desk.detected(severity="CRITICAL"))
    assert desk.tick() == [("pager", "update")]
    assert desk.tick(100) == [("chat", "trigger")]


def test_by_default_a_page_waits_for_the_actions_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(healing.ACTIONS, healing.HealthKind.ERROR_SPIKE, lambda incident: "restarted")
    desk = Soc()
    desk.see(desk.critical("billing", "s1", kind="ERROR_SPIKE"), desk.critical("search", "s2"))
    assert only_held(desk) == {"billing"}
    assert desk.tick(10) == [("pager", "trigger")]
