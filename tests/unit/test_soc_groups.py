"""The one function that decides, asked over and over: what was said is never said again, nor its end."""

from __future__ import annotations

from collections.abc import Mapping

from brain.alerting.alerts import Alert, AlertState, acknowledged
from brain.alerting.grouping import Action, Decision, Mark, Standing, Told, decide
from brain.alerting.routing import Route

ROUTE = Route(name="all", to=("pager",), group_wait=0.0)
SAID_AND_OVER = {"pager": Told(standing=Standing.CLOSED, at=50.0, number=2)}
OPEN = {"pager": Told(standing=Standing.OPEN, marks={"a": Mark("1.0.2", 50.0)}, at=50.0, number=1)}


def alert(state: AlertState = AlertState.FIRING) -> Alert:
    return Alert(
        id="a",
        key="a",
        name="n",
        severity="HIGH",
        labels={"kind": "threat"},
        summary="",
        event="threat.detected",
        correlation_id="s",
        latest_story="s",
        state=state,
        first_at=0.0,
        fired_at=0.0,
        last_at=0.0,
    )


def asked(members: list[Alert], told: Mapping[str, Told], *quiet: str, route: Route | None = ROUTE) -> Decision:
    decision = decide(members, frozenset(quiet), told, route, lambda name, at: name, 1000.0)
    again = decide(members, frozenset(quiet), decision.told, route, lambda name, at: name, 1000.0)
    assert again.notices == ()
    assert again.told == decision.told
    return decision


def actions(decision: Decision) -> list[Action]:
    return [notice.action for notice in decision.notices]


def test_a_page_is_said_once() -> None:
    assert actions(asked([alert()], {})) == [Action.TRIGGER]
    assert actions(asked([alert()], OPEN)) == []
    assert actions(asked([alert()], SAID_AND_OVER)) == [Action.TRIGGER]


def test_the_end_is_said_once_and_only_to_who_heard_the_beginning() -> None:
    over = alert(AlertState.RESOLVED)
    assert actions(asked([over], OPEN)) == [Action.RESOLVE]
    assert actions(asked([over], {})) == []
    assert actions(asked([over], SAID_AND_OVER)) == []
    assert actions(asked([alert()], SAID_AND_OVER, "a")) == []  # it fires again, and is muted
    summarised = {"pager": Told(standing=Standing.SUMMARISED, marks={"a": Mark("1.0.2", 50.0)}, at=50.0, number=1)}
    decision = asked([over], summarised)
    assert actions(decision) == []
    assert decision.told["pager"].standing is Standing.CLOSED


def test_the_end_is_said_even_when_it_is_muted_or_its_route_is_gone() -> None:
    assert actions(asked([alert()], OPEN, "a")) == []
    assert actions(asked([alert()], OPEN, route=None)) == []
    assert actions(asked([alert(AlertState.RESOLVED)], OPEN, route=None)) == [Action.RESOLVE]
    assert actions(asked([], OPEN)) == [Action.RESOLVE]  # long forgotten


def test_an_acknowledgement_is_said_once_and_asks_for_no_page() -> None:
    taken = acknowledged(alert(), "ann", 900.0)
    assert actions(asked([taken], OPEN)) == [Action.ACKNOWLEDGE]
    assert actions(asked([taken], {})) == []
