"""Alerting behaves alike on SQLite and PostgreSQL, and so do two processes that alert on the same tables."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from brain.alerting.evaluation import delete_old, evaluate
from brain.alerting.tables import ALERTS, GROUPS, MEMBERS, NOTIFICATION_LOG, NOTIFICATIONS, SILENCES
from brain.kit.database import open_database
from support.alerting import Alerting, pager
from support.retrying import until_committed


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        made = open_database(f"sqlite:///{tmp_path}/consumers.db")
    else:
        made = open_database(request.getfixturevalue("postgres").url)
    yield made
    made.dispose()


def test_a_day_at_the_desk(engine: sa.Engine) -> None:
    alerting = Alerting({"notifiers": {"pager": pager(at_most=3)}, "healing_kinds": ["AGENT_FAILURE"]}, engine)
    alerting.see(alerting.detected("thr_1"), alerting.denied(), alerting.denied("a2"), alerting.critical())
    assert alerting.tick(10) == [("pager", "trigger")]
    alerting.see(alerting.healing("failed"), alerting.denied())
    assert alerting.tick(1) == [("pager", "trigger")]
    silence = alerting.service.add_silence(["threat_id=thr_2"], "ann", "known", alerting.clock() + 100)
    alerting.see(*(alerting.detected(f"thr_{n}") for n in range(2, 6)))
    assert alerting.tick(10) == [("pager", "trigger")]
    shown = {entry.key: entry for entry in alerting.service.alerts()}
    assert shown["thr_2"].silenced_by == silence.id
    assert Counter(sent.state for entry in shown.values() for sent in entry.notifications) == {"waiting": 3, "held": 2}
    alerting.service.remove_silence(silence.id)
    assert alerting.tick(60) == [("pager", "trigger")] * 2  # thr_2, and the summary of what was held back
    alerting.service.acknowledge(shown["thr_1"].id, "ann")
    assert alerting.tick(1) == [("pager", "acknowledge")]
    alerting.see(alerting.escalated("thr_1"), *(alerting.moved("MITIGATED", f"thr_{n}") for n in range(2, 6)))
    said = Counter(alerting.tick(1))
    assert said[("pager", "resolve")] == 3  # thr_2, the one that was paged, and the summary
    assert said[("pager", "update")] == 1
    alerting.tick(4000)
    alerting.see(alerting.mitigated("thr_1"))
    alerting.tick(60)
    assert {entry.state.value for entry in alerting.service.alerts()} == {"resolved"}
    with engine.begin() as db:
        delete_old(db, alerting.clock() + 1)
        left = {table.name: db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in _KEPT}
    assert left == dict.fromkeys(left, 0)


_KEPT = (ALERTS, GROUPS, MEMBERS, NOTIFICATIONS, SILENCES, NOTIFICATION_LOG)


def test_two_that_tick_at_once_say_nothing_twice(engine: sa.Engine) -> None:
    alerting = Alerting({"notifiers": {"pager": pager(at_most=1000)}}, engine)
    alerting.see(*(alerting.detected(f"thr_{n}") for n in range(60)))
    alerting.clock.advance(10)
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def evaluated() -> None:
        with engine.begin() as db:
            evaluate(db, alerting.clock(), alerting.configuration)

    def work(number: int) -> None:
        start.wait(20)
        try:
            for n in range(10):  # on a busy machine one waits for its lock for too long, and tries again
                until_committed(evaluated)
                until_committed(partial(alerting.see, alerting.detected(f"thr_{number}_{n}")))
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    alerting.tick(10)
    told = Counter(row.body["dedup_key"] for row in alerting.said())
    assert len(told) == 100
    assert set(told.values()) == {1}
