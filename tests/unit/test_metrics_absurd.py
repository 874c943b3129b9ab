"""Times that cannot be are counted nowhere: one of them does not make a mean useless."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from brain import Event
from brain.kit.database import create_tables
from brain.metrics import series, tables
from brain.metrics.projector import count_events
from brain.threats.events import DETECTED, MITIGATED
from support.alerting import memory

T = 1_703_001_234.5


def detected(id: str, **values: Any) -> Event:
    payload = {**DETECTED.example, "threat_id": id, "detected_at": T, "metadata": {}, **values}
    made = DETECTED.event(payload, meta={"correlation_id": id})
    return Event(id=made.id, type=made.type, source=made.source, timestamp=T, payload=made.payload, meta=made.meta)


def mitigated(id: str, seconds: float) -> Event:
    made = MITIGATED.event({**MITIGATED.example, "threat_id": id, "duration_seconds": seconds})
    return Event(id=made.id, type=made.type, source=made.source, timestamp=T, payload=made.payload, meta=made.meta)


@pytest.mark.parametrize("seconds", [1.7e12, 5e8, 1e15])
def test_an_absurd_duration_is_left_out_of_the_mean(seconds: float) -> None:
    found = means(mitigated("thr_1", 60.0), mitigated("thr_2", seconds))
    assert found[series.MITIGATE] == 60.0


@pytest.mark.parametrize("first_seen", [1.0, T * 1000, T + 365 * 86_400])
def test_evidence_of_an_absurd_time_is_left_out_of_the_mean(first_seen: float) -> None:
    found = means(
        detected("thr_1", metadata={"first_seen": T - 30}), detected("thr_2", metadata={"first_seen": first_seen})
    )
    assert found[series.DETECT] == 30.0


@pytest.mark.parametrize("at", [1.0, T * 1000, T + 30 * 86_400])
def test_a_threat_of_an_absurd_time_counts_from_its_event(at: float) -> None:
    database = counted(detected("thr_1", detected_at=at))
    with database.begin() as db:
        assert db.execute(sa.select(tables.threats.c.detected_at)).scalars().all() == [T]


def counted(*events: Event) -> sa.Engine:
    database = memory()
    create_tables(database, tables.metadata)
    with database.begin() as db:
        count_events(db, [(str(number), event) for number, event in enumerate(events, 1)])
    return database


def means(*events: Event) -> dict[str, float]:
    """The mean seconds of each stage."""
    points = tables.points.c
    query = sa.select(points.label, sa.func.sum(points.count), sa.func.sum(points.sum))
    mine = query.where(points.series == series.STAGE, points.step == series.TOTAL).group_by(points.label)
    with counted(*events).begin() as db:
        return {label: total / count / series.SCALE[series.STAGE] for label, count, total in db.execute(mine)}
