"""Why nobody is paged for an alert that fires now: a silence, an inhibition, a healing action. Pure.

All three are worked out from the alerts that fire and the silences in force whenever they are needed, so that nothing
stored can be out of date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from brain.alerting.inhibition import Inhibition, Labels, inhibited
from brain.alerting.models import Alert
from brain.alerting.silences import Silence


@dataclass(frozen=True, kw_only=True)
class MutedBy:
    """What mutes an alert; all three are None for an alert that is not muted."""

    silenced_by: Annotated[str | None, Field(description="The id of the silence that mutes it.")] = None
    inhibited_by: Annotated[str | None, Field(description="The id of the alert that inhibits it.")] = None
    held_until: Annotated[
        float | None, Field(description="Until when its page waits for a healing action, in Unix seconds.")
    ] = None


NOT_MUTED = MutedBy()


def muted(
    alerts: Sequence[Alert],
    silences: Sequence[Silence],
    inhibitions: Sequence[Inhibition],
    now: float,
    inhibitors: Mapping[str, Labels] | None = None,
) -> dict[str, MutedBy]:
    """What mutes each of these alerts, which fire, by the alert's id. Alerts that are not muted are left out.

    `inhibitors` are the labels of other firing alerts that inhibit these, or those that do; None: there are no others.
    """
    active = [silence for silence in silences if silence.in_force(now)]
    by_alert = inhibited({**(inhibitors or {}), **{alert.id: alert.all_labels for alert in alerts}}, inhibitions)
    found: dict[str, MutedBy] = {}
    for alert in alerts:
        silence = next((silence.id for silence in active if silence.covers(alert)), None)
        held = alert.held_until if alert.held_until is not None and alert.held_until > now else None
        why = MutedBy(silenced_by=silence, inhibited_by=by_alert.get(alert.id), held_until=held)
        if why != NOT_MUTED:
            found[alert.id] = why
    return found
