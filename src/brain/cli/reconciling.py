"""State compared with events, for `brain doctor --reconcile`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Literal, NamedTuple

from brain.charter import Event, Pattern
from brain.immune.reconcile import HealthReconciliation
from brain.kit.reconciliation import Reconciled, Reconciliation
from brain.policy.reconcile import RuleReconciliation
from brain.store import Store, open_store
from brain.stream import query
from brain.stream.backends import Backend, open_backend
from brain.stream.outbox_rows import COLLECTION, events_of
from brain.threats.reconcile import ThreatReconciliation

SHOWN = 20
"""Differences of one kind that are named one by one."""
_REMEDY = "the events are lost, or the state is: compare with a backup; a further change of each is announced again"


class Comparison(NamedTuple):
    """The finding about one kind of state."""

    part: str
    state: Literal["ok", "bad"]
    finding: str
    remedy: str = ""


def reconcile(stream: str, store: str) -> list[Comparison]:
    """Compare what the store at one URL holds with what the stream at the other tells. Blocks. Raises Unavailable."""
    with closing(open_store(store)) as opened, closing(open_backend(stream)) as backend:
        return [_comparison(kind.subject, kind.reconciled(since)) for kind, since in _compared(opened, backend)]


def _compared(store: Store, backend: Backend) -> Iterator[tuple[Reconciliation, float]]:
    # In this order: what is stored now is in a row or in an event, even while others change things.
    kinds: Sequence[Reconciliation] = [
        RuleReconciliation(store),
        ThreatReconciliation(store),
        HealthReconciliation(store),
    ]
    waiting = [Event.decode(data) for row in store.scan(COLLECTION) for data in events_of(row.data)]
    takers = {name: kind for kind in kinds for name in kind.event_types}
    asked = query.EventQuery(pattern=Pattern(list(takers)))
    oldest = [stored.event.timestamp for stored in query.read(backend, query.EventQuery(), query.Stretch(), 1).events]
    ids = set()
    for stored in query.scan(backend, asked):
        ids.add(stored.event.id)
        takers[stored.event.type].take(stored.event)
    for event in waiting:
        if event.id not in ids and event.type in takers:
            takers[event.type].take(event)
    for kind in kinds:
        yield kind, oldest[0] if oldest else 0.0


def _comparison(subject: str, found: Reconciled) -> Comparison:
    old = f"; {found.too_old} are older than the events that are kept" if found.too_old else ""
    if not found.differences:
        return Comparison(f"reconcile {subject}", "ok", f"{found.compared} compared, none differs from its events{old}")
    named = "; ".join(found.differences[:SHOWN])
    more = len(found.differences) - SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    finding = f"{len(found.differences)} of {found.compared} differ from their events{old}: {named}{rest}"
    return Comparison(f"reconcile {subject}", "bad", finding, _REMEDY)
