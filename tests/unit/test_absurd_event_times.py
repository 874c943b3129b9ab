"""Events of the far future or of 1970 count as from now, in incidents and in alerts."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa

from brain.charter import Event
from brain.incidents import tables
from brain.incidents.projector import IncidentProjector
from brain.incidents.settings import IncidentSettings
from brain.kit.projection import Item
from support.alerting import Alerting, copied
from support.ticket_world import with_tables


@pytest.mark.parametrize("at", [5.0, 9_000_000_000.0])
def test_an_event_of_an_absurd_time_is_of_now(at: float) -> None:
    alerting = Alerting({})
    given = alerting.escalated(severity="CRITICAL")
    event = Event(
        id=given.id, type=given.type, source=given.source, timestamp=at, payload=given.payload, meta=given.meta
    )
    alerting.see(event)
    (alert,) = alerting.stored().values()
    assert (alert.first_at, alert.last_at) == (alerting.clock(), alerting.clock())
    engine = copied(with_tables())
    with engine.begin() as db:
        projector = IncidentProjector(IncidentSettings(), alerting.clock, dict[str, bytes]().get)
        projector.apply(db, [Item("1", msgspec.json.encode(event), event)])
        incident = db.execute(sa.select(tables.incidents)).one()
        entries = db.execute(sa.select(tables.timeline.c.at)).scalars().all()
    assert (incident.opened_at, incident.updated_at) == (alerting.clock(), alerting.clock())
    assert set(entries) == {alerting.clock()}
