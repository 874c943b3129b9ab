"""Whatever happens in whatever order: no end without a beginning, no beginning twice, no page about what is muted."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from brain.alerting.views import AlertView
from support.alerting import Alerting, pager

THREATS = st.sampled_from(["thr_1", "thr_2", "thr_3"])
STORIES = st.sampled_from(["s1", "s2"])
AGENTS = st.sampled_from(["billing", "search"])
PAGES = ("trigger", "update", "repeat")
SETTINGS: dict[str, Any] = {
    "notifiers": {name: pager() for name in ("pager", "chat", "lead")},
    "healing_kinds": ["AGENT_FAILURE"],
    "reopen_within": 200,
    "routes": [
        {"name": "log", "to": ["chat"], "continue": True, "matchers": ["kind=threat"], "group_by": ["agent"]},
        {
            "name": "page",
            "severities": ["HIGH", "CRITICAL"],
            "to": ["pager"],
            "repeat_interval": 300,
            "escalate": [{"after": 120, "to": ["lead"]}],
        },
    ],
}


def is_muted(alert: AlertView) -> bool:
    return any(why is not None for why in (alert.silenced_by, alert.inhibited_by, alert.held_until))


class AlertingMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.alerting = Alerting(SETTINGS)
        self.read = 0
        self.open: set[tuple[str, str]] = set()
        self.begun: dict[tuple[str, str, int], int] = defaultdict(int)

    @rule(id=THREATS, story=STORIES, agent=AGENTS, severity=st.sampled_from(["LOW", "HIGH", "CRITICAL"]))
    def a_threat_is_detected(self, id: str, story: str, agent: str, severity: str) -> None:
        self.alerting.see(self.alerting.detected(id, story, source=agent, severity=severity))

    @rule(id=THREATS, story=STORIES, agent=AGENTS)
    def a_threat_is_escalated(self, id: str, story: str, agent: str) -> None:
        self.alerting.see(self.alerting.moved("ESCALATED", id, story), self.alerting.escalated(id, story, source=agent))

    @rule(id=THREATS, status=st.sampled_from(["INVESTIGATING", "MITIGATED", "RESOLVED", "IGNORED", "OPEN"]))
    def a_threat_is_moved(self, id: str, status: str) -> None:
        self.alerting.see(self.alerting.moved(status, id))

    @rule(agent=AGENTS, story=STORIES)
    def an_agent_fails(self, agent: str, story: str) -> None:
        self.alerting.see(self.alerting.critical(agent, story))

    @rule(agent=AGENTS, story=STORIES, outcome=st.sampled_from(["healed", "failed"]))
    def healing_ends(self, agent: str, story: str, outcome: str) -> None:
        self.alerting.see(self.alerting.healing(outcome, agent, story))

    @rule(number=st.integers(0, 5))
    def somebody_acknowledges(self, number: int) -> None:
        firing = self.alerting.service.alerts("firing")
        if firing:
            self.alerting.service.acknowledge(firing[number % len(firing)].id, "ann")

    @rule(matcher=st.sampled_from(["kind=threat", "agent=billing", "severity=CRITICAL"]), seconds=st.integers(1, 400))
    def somebody_silences(self, matcher: str, seconds: int) -> None:
        self.alerting.service.add_silence([matcher], "ann", "why not", self.alerting.clock() + seconds)

    @rule()
    def a_silence_is_removed(self) -> None:
        for silence in self.alerting.service.silences()[:1]:
            self.alerting.service.remove_silence(silence.id)

    @rule()
    def it_starts_anew(self) -> None:
        self.alerting.start(SETTINGS)

    @rule(seconds=st.sampled_from([0, 1, 9, 30, 61, 130, 301, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.alerting.clock.advance(seconds)
        self.alerting.tick()
        assert self.alerting.tick() == []  # what was decided is not decided again

    @invariant()
    def what_is_said_makes_sense(self) -> None:
        said = self.alerting.said()[self.read :]
        self.read += len(said)
        if not said:
            return
        now = self.alerting.clock()
        shown = {entry.id: entry for entry in self.alerting.service.alerts(limit=1000)}
        stored = self.alerting.stored()
        for row in said:
            body, known_as = row.body, (row.channel, row.body["group"])
            if body["action"] == "trigger":
                assert known_as not in self.open, "triggered twice"
                self.open.add(known_as)
            else:
                assert known_as in self.open, f"{body['action']} of what was never triggered"
            if body["action"] == "resolve":
                self.open.remove(known_as)
                assert all(alert["state"] == "resolved" for alert in body["alerts"])
            if body["action"] not in PAGES:
                continue
            assert any(alert["acknowledged_by"] is None for alert in body["alerts"])
            for alert in body["alerts"]:
                assert alert["state"] == "firing"
                assert not is_muted(shown[alert["id"]])
                for silence in self.alerting.service.silences():
                    assert not (silence.in_force(now) and silence.covers(stored[alert["id"]]))
                if body["action"] == "trigger":
                    period = stored[alert["id"]].period
                    self.begun[row.channel, f"{body['group']} {alert['id']}", period] += 1
        assert all(count == 1 for count in self.begun.values()), "at most one trigger a period"

    def teardown(self) -> None:
        for silence in self.alerting.service.silences():
            self.alerting.service.remove_silence(silence.id)
        self.alerting.tick(61)
        self.alerting.tick(61)
        self.what_is_said_makes_sense()
        told = {
            alert["id"] for row in self.alerting.said() if row.body["action"] in PAGES for alert in row.body["alerts"]
        }
        for shown in self.alerting.service.alerts("firing"):
            asks = shown.severity != "LOW" and shown.acknowledged_by is None
            assert not asks or is_muted(shown) or shown.id in told, "nobody was told"
        for id in ("thr_1", "thr_2", "thr_3"):
            self.alerting.see(self.alerting.moved("RESOLVED", id))
        self.alerting.tick(4000)  # health is quiet for long enough
        self.alerting.tick(61)
        self.what_is_said_makes_sense()
        assert self.open == set(), "left open"


TestAlerting = AlertingMachine.TestCase
TestAlerting.settings = settings(
    max_examples=max(15, settings().max_examples // 6),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
