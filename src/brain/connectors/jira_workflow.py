"""A way through a workflow of Jira that nobody knows beforehand: Jira names the present transitions only.

Statuses are known by name, by id, or, where a site names them in another language, by the key of their category
(`new`, `indeterminate`, `done`), which Jira has in every language. Pure: no requests.
Source: developer.atlassian.com, REST API v3, "Get transitions" (with `expand=transitions.fields`) and "Get all statuses
for project".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from brain.charter import IncidentState
from brain.connectors.templates import filled

Status = Mapping[str, Any]
Transition = Mapping[str, Any]

CATEGORY_OF: Mapping[IncidentState, str] = {
    IncidentState.NEW: "new",
    IncidentState.IN_PROGRESS: "indeterminate",
    IncidentState.RESOLVED: "done",
    IncidentState.CLOSED: "done",
}
"""The category that stands for a state. None does for ON_HOLD."""
_ON_THE_WAY: Mapping[str, Sequence[str]] = {
    "new": ("indeterminate", "new"),
    "indeterminate": ("indeterminate", "new"),
    "done": ("indeterminate", "new", "done"),
}
"""The categories that a path to each category may pass through, the best first."""
_USUAL = ("done", "fixed", "resolved")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The status that is wanted: by its name or id, or by the category of the state where it has no such status."""

    wanted: str
    state: IncidentState
    by_name: bool
    avoided: frozenset[str] = frozenset()
    """Names of statuses that mean that nothing was solved, in lower case."""

    @property
    def category(self) -> str:
        """The category of the wanted status, as far as the state says."""
        return CATEGORY_OF.get(self.state, "indeterminate")

    def is_reached(self, status: Status) -> bool:
        """Whether an issue with this status shows the state."""
        if same_status(status, self.wanted):
            return True
        fits = self.state in CATEGORY_OF and category_of(status) == self.category
        return fits and not self.by_name and not self.is_avoided(status)

    def is_avoided(self, status: Status) -> bool:
        """Whether the status would say that nothing was solved; the one that is wanted by name never is."""
        return name_of(status).casefold() in self.avoided and not same_status(status, self.wanted)


@dataclass
class Exploration:
    """The part of a workflow that was seen on the way."""

    goal: Goal
    _known: dict[str, dict[str, Transition]] = field(default_factory=dict)
    """By the id of a status: the transitions from it, by the id of the status they lead to."""

    def next_step(self, status: Status, listed: Sequence[Transition]) -> Transition | None:
        """The transition to make from this status, of those that are listed; None when no way is left."""
        here = id_of(status)
        self._known[here] = {id_of(one["to"]): one for one in reversed(listed)}
        direct = [one for one in listed if leads_to(one, self.goal.wanted)]
        direct += [one for one in listed if self.goal.is_reached(one["to"])]
        return direct[0] if direct else self._towards_the_unknown(here)

    def _towards_the_unknown(self, here: str) -> Transition | None:
        """The first step to the nearest status that was not visited, over statuses that were."""
        waiting: deque[tuple[str, Transition | None]] = deque([(here, None)])
        seen = {here}
        while waiting:
            place, first = waiting.popleft()
            for one in self._ordered(place):
                target = id_of(one["to"])
                if target not in self._known:
                    return first or one
                if target not in seen:
                    seen.add(target)
                    waiting.append((target, first or one))
        return None

    def _ordered(self, place: str) -> list[Transition]:
        passing = _ON_THE_WAY[self.goal.category]
        fit = [
            one
            for one in self._known[place].values()
            if category_of(one["to"]) in passing and not self.goal.is_avoided(one["to"])
        ]
        return sorted(fit, key=lambda one: passing.index(category_of(one["to"])))


def same_status(status: Status, wanted: str) -> bool:
    """Whether the status has this name, in whatever language Jira gives it, or this id."""
    names = (name_of(status), status.get("untranslatedName"), status.get("id"))
    return wanted.casefold() in {str(name).casefold() for name in names if name}


def leads_to(transition: Transition, wanted: str) -> bool:
    """Whether the transition, or the status that it leads to, has this name or id."""
    return same_status(transition["to"], wanted) or str(transition.get("name", "")).casefold() == wanted.casefold()


def name_of(status: Status) -> str:
    """The status's name."""
    return str(status.get("name", ""))


def id_of(status: Status) -> str:
    """What tells the status from others."""
    return str(status.get("id") or name_of(status).casefold())


def category_of(status: Status) -> str:
    """The key of the status's category; empty when Jira names none."""
    return str((status.get("statusCategory") or {}).get("key", ""))


def screen_values(
    transition: Transition, given: Mapping[str, Any], names: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """The fields to send with a transition, and the names of those that it demands and nobody has given.

    `given` are those of the settings, whose templates are filled with `names`. A resolution that is demanded is chosen.
    """
    values: dict[str, Any] = {}
    missing: list[str] = []
    for name, meta in (transition.get("fields") or {}).items():
        if name in given:
            values[name] = filled(given[name], names)
        elif meta.get("required") and not meta.get("hasDefaultValue"):
            chosen = _chosen(name, meta.get("allowedValues") or ())
            if chosen is None:
                missing.append(f"{name} ({meta.get('name', name)})")
            else:
                values[name] = chosen
    return values, missing


def _chosen(name: str, allowed: Collection[Mapping[str, Any]]) -> dict[str, Any] | None:
    options = [one for one in allowed if one.get("id") is not None]
    if name != "resolution" and len(options) != 1:
        return None
    options.sort(key=lambda one: str(one.get("name", "")).casefold() not in _USUAL)
    return {"id": options[0]["id"]} if options else None
