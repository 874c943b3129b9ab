"""The notification log: which state of which alert each notifier was notified of, as in Alertmanager. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from brain.alerting.models import Alert
from brain.connectors.pages import PageAction

CLOSING_SECONDS = 14_400.0
"""How long an acknowledgement or a resolution that a service refuses is tried again, in seconds."""


class NotificationState(StrEnum):
    """What a notifier knows of a group."""

    OPEN = "open"
    """It was sent the trigger."""
    SUMMARISED = "summarised"
    """The rate limit held its page back; a summary mentions it."""
    CLOSED = "closed"
    """It was sent the resolution, or nothing at all."""


@dataclass(frozen=True)
class AlertFingerprint:
    """The fingerprint of an alert that a notifier was notified of, and when (Unix seconds).

    `refused`: the service did not take the page, so that the notifier does not know of it.
    """

    value: str
    at: float
    refused: bool = False


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The last message that the service refused, while none was accepted since. Times are in Unix seconds."""

    at: float
    since: float
    """When the first one in a row was refused."""
    times: int
    """How many in a row were refused."""
    action: str
    """What it asked or said; see PageAction."""
    error: str

    @property
    def closing(self) -> bool:
        """Whether it was an acknowledgement or a resolution, and not a page."""
        return not PageAction(self.action).is_paging


@dataclass(frozen=True, kw_only=True)
class NotificationLogEntry:
    """What one notifier was notified of in one group."""

    state: NotificationState = NotificationState.CLOSED
    fingerprints: Mapping[str, AlertFingerprint] = field(default_factory=dict)
    """By the alert's id."""
    at: float = 0.0
    """When the last notification was decided, in Unix seconds."""
    acknowledged: bool = False
    number: int = 0
    """How many notifications there were so far."""
    paged: int = 0
    """The number of the last page that was put into the outbox."""
    settled: int = 0
    """The number of the last page whose outcome is known."""
    accepted_at: float = 0.0
    """When the service accepted the last page, in Unix seconds."""
    refusal: Refusal | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a page is on its way."""
        return self.paged > self.settled

    @property
    def is_accepted(self) -> bool:
        """Whether the service took a page of what is open, or may still take it."""
        return self.is_waiting or any(not known.refused for known in self.open_fingerprints.values())

    @property
    def open_fingerprints(self) -> Mapping[str, AlertFingerprint]:
        """The fingerprints of what is not closed."""
        return self.fingerprints if self.state is not NotificationState.CLOSED else {}


def logged(
    before: NotificationLogEntry, action: PageAction, audible: Sequence[Alert], now: float
) -> NotificationLogEntry:
    """The entry after a notification at `now`; `audible` are the alerts that a page is about."""
    entry = replace(before, at=now, number=before.number + 1)
    if action is PageAction.RESOLVE:
        # What was open stays known until the resolution is accepted, for it may be refused.
        return replace(entry, state=NotificationState.CLOSED, acknowledged=False)
    if action is PageAction.ACKNOWLEDGE:
        return replace(entry, acknowledged=True)
    fingerprints = dict(before.open_fingerprints)
    for alert in audible:
        known = fingerprints.get(alert.id)
        if is_news(alert, known):
            # An alert that got worse has been waiting for somebody since its first notification.
            since = known.at if known is not None and is_same_demand(alert, known) else now
            fingerprints[alert.id] = AlertFingerprint(alert.fingerprint, since)
    return replace(
        entry, state=NotificationState.OPEN, fingerprints=fingerprints, acknowledged=False, paged=entry.number
    )


def accepted(
    before: NotificationLogEntry, action: PageAction, number: int, alerts: Iterable[str], now: float
) -> NotificationLogEntry:
    """The entry after the service accepted the message of that number, which was about these alerts (by id)."""
    if action is PageAction.RESOLVE:
        is_over = before.state is NotificationState.CLOSED
        return replace(before, fingerprints={}, refusal=None) if is_over else before
    if action is PageAction.ACKNOWLEDGE:
        return replace(before, refusal=None)
    reached = set(alerts)
    known = {id: replace(one, refused=one.refused and id not in reached) for id, one in before.fingerprints.items()}
    return replace(before, fingerprints=known, settled=max(before.settled, number), accepted_at=now, refusal=None)


def refused(
    before: NotificationLogEntry, action: PageAction, number: int, news: Iterable[str], refusal: Refusal
) -> NotificationLogEntry:
    """The entry after the service refused the message of that number; `news` are the alerts that it began to tell of.

    A page, and the end of one, are due again. An end that was refused for CLOSING_SECONDS is given up.
    """
    entry = replace(before, refusal=refusal)
    if action.is_paging:
        missed = set(news)
        known = {id: replace(one, refused=one.refused or id in missed) for id, one in before.fingerprints.items()}
        return replace(entry, fingerprints=known, settled=max(before.settled, number))
    if before.state is NotificationState.CLOSED:
        if refusal.at - refusal.since >= CLOSING_SECONDS:
            return replace(entry, fingerprints={}, refusal=None)
        return replace(entry, state=NotificationState.OPEN)
    return replace(entry, acknowledged=before.acknowledged and action is not PageAction.ACKNOWLEDGE)


def next_refusal(before: Refusal | None, action: PageAction, error: str, now: float) -> Refusal:
    """The refusal after another message was refused at `now`."""
    if before is None or before.closing is action.is_paging:
        return Refusal(at=now, since=now, times=1, action=action.value, error=error)
    return replace(before, at=now, times=before.times + 1, action=action.value, error=error)


def is_news(alert: Alert, known: AlertFingerprint | None) -> bool:
    """Whether the alert fires again, asks again, or is worse than the notifier knows. A milder alert is no news.

    So is what the service refused.
    """
    return known is None or known.refused or _parts(alert.fingerprint) > _parts(known.value)


def demands_more(alert: Alert, known: AlertFingerprint | None) -> bool:
    """Whether somebody has asked for a person since the notifier was notified."""
    period, demand = _parts(known.value)[:2] if known is not None else (0, 0)
    return alert.demand > (demand if period == alert.period else 0)


def is_same_demand(alert: Alert, known: AlertFingerprint) -> bool:
    """Whether the notifier was notified of this very demand for a person, whatever the severity was then."""
    return _parts(known.value)[:2] == (alert.period, alert.demand)


def leading_first(alerts: Sequence[Alert]) -> list[Alert]:
    """Threats first, then the oldest. The first one's key names the page in outside services."""
    return sorted(alerts, key=lambda alert: (alert.labels.get("kind") != "threat", alert.first_at, alert.id))


def _parts(fingerprint: str) -> tuple[int, ...]:
    return tuple(map(int, fingerprint.split(".")))
