"""The one function that decides, asked over and over: what was said is never said again, nor its end."""

from __future__ import annotations

from collections.abc import Mapping

from brain.alerting.grouping import AlertGroup, GroupDecision, decide
from brain.alerting.models import Alert, AlertState, acknowledge
from brain.alerting.notification_log import AlertFingerprint, NotificationLogEntry, NotificationState
from brain.alerting.routing import Route
from brain.charter import Severity
from brain.connectors.pages import PageAction

ROUTE = Route(name="all", to=("pager",), group_wait=0.0)
NOTIFIED_AND_OVER = {"pager": NotificationLogEntry(state=NotificationState.CLOSED, at=50.0, number=2)}
OPEN = {
    "pager": NotificationLogEntry(
        state=NotificationState.OPEN, fingerprints={"a": AlertFingerprint("1.0.2", 50.0)}, at=50.0, number=1
    )
}


def alert(state: AlertState = AlertState.FIRING) -> Alert:
    return Alert(
        id="a",
        key="a",
        name="n",
        severity=Severity.HIGH,
        labels={"kind": "threat"},
        summary="",
        event="threat.detected",
        correlation_id="s",
        latest_correlation_id="s",
        state=state,
        first_at=0.0,
        fired_at=0.0,
        last_at=0.0,
    )


def asked(
    members: list[Alert], log: Mapping[str, NotificationLogEntry], *muted: str, route: Route | None = ROUTE
) -> GroupDecision:
    group = AlertGroup(members=members, muted=frozenset(muted), log=log, route=route)
    decision = decide(group, lambda name, at: name, 1000.0)
    after = AlertGroup(members=members, muted=frozenset(muted), log=decision.log, route=route)
    again = decide(after, lambda name, at: name, 1000.0)
    assert again.notifications == ()
    assert again.log == decision.log
    return decision


def actions(decision: GroupDecision) -> list[PageAction]:
    return [planned.action for planned in decision.notifications]


def test_a_page_is_said_once() -> None:
    assert actions(asked([alert()], {})) == [PageAction.TRIGGER]
    assert actions(asked([alert()], OPEN)) == []
    assert actions(asked([alert()], NOTIFIED_AND_OVER)) == [PageAction.TRIGGER]


def test_the_end_is_said_once_and_only_to_who_heard_the_beginning() -> None:
    over = alert(AlertState.RESOLVED)
    assert actions(asked([over], OPEN)) == [PageAction.RESOLVE]
    assert actions(asked([over], {})) == []
    assert actions(asked([over], NOTIFIED_AND_OVER)) == []
    assert actions(asked([alert()], NOTIFIED_AND_OVER, "a")) == []  # it fires again, and is muted
    summarised = {
        "pager": NotificationLogEntry(
            state=NotificationState.SUMMARISED, fingerprints={"a": AlertFingerprint("1.0.2", 50.0)}, at=50.0, number=1
        )
    }
    decision = asked([over], summarised)
    assert actions(decision) == []
    assert decision.log["pager"].state is NotificationState.CLOSED


def test_the_end_is_said_even_when_it_is_muted_or_its_route_is_gone() -> None:
    assert actions(asked([alert()], OPEN, "a")) == []
    assert actions(asked([alert()], OPEN, route=None)) == []
    assert actions(asked([alert(AlertState.RESOLVED)], OPEN, route=None)) == [PageAction.RESOLVE]
    assert actions(asked([], OPEN)) == [PageAction.RESOLVE]  # long forgotten


def test_an_acknowledgement_is_said_once_and_asks_for_no_page() -> None:
    taken = acknowledge(alert(), "ann", 900.0)
    assert actions(asked([taken], OPEN)) == [PageAction.ACKNOWLEDGE]
    assert actions(asked([taken], {})) == []
