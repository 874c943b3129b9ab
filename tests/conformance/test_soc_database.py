"""SOC alerting behaves alike on SQLite and PostgreSQL, and so do two processes that alert on the same tables."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from brain.alerting.evaluation import forget, tick
from brain.alerting.tables import ALERTS, GROUPS, MEMBERS, NOTICES, SILENCES, TOLD
from brain.kit.database import open_database
from support.soc import Soc, pager


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        made = open_database(f"sqlite:///{tmp_path}/consumers.db")
    else:
        made = open_database(request.getfixturevalue("postgres").url)
    yield made
    made.dispose()


def test_a_day_at_the_desk(engine: sa.Engine) -> None:
    soc = Soc({"notifiers": {"pager": pager(at_most=3)}, "healing_kinds": ["AGENT_FAILURE"]}, engine)
    soc.see(soc.detected("thr_1"), soc.denied(), soc.denied("a2"), soc.critical())
    assert soc.tick(10) == [("pager", "trigger")]
    soc.see(soc.healing("failed"), soc.denied())
    assert soc.tick(1) == [("pager", "trigger")]
    silence = soc.desk.add_silence(["threat_id=thr_2"], "ann", "known", soc.clock() + 100)
    soc.see(*(soc.detected(f"thr_{n}") for n in range(2, 6)))
    assert soc.tick(10) == [("pager", "trigger")]
    shown = {entry.alert.key: entry for entry in soc.desk.alerts()}
    assert shown["thr_2"].muted.silenced_by == silence.id
    assert Counter(notice.state for entry in shown.values() for notice in entry.notices) == {"waiting": 3, "held": 2}
    soc.desk.remove_silence(silence.id)
    assert soc.tick(60) == [("pager", "trigger")] * 2  # thr_2, and the summary of what was held back
    soc.desk.acknowledge(shown["thr_1"].alert.id, "ann")
    assert soc.tick(1) == [("pager", "acknowledge")]
    soc.see(soc.escalated("thr_1"), *(soc.moved("MITIGATED", f"thr_{n}") for n in range(2, 6)))
    said = Counter(soc.tick(1))
    assert said[("pager", "resolve")] == 3  # thr_2, the one that was paged, and the summary
    assert said[("pager", "update")] == 1
    soc.tick(4000)
    soc.see(soc.mitigated("thr_1"))
    soc.tick(60)
    assert {entry.alert.state.value for entry in soc.desk.alerts()} == {"resolved"}
    with engine.begin() as db:
        forget(db, soc.clock() + 1)
        left = {table.name: db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in _KEPT}
    assert left == dict.fromkeys(left, 0)


_KEPT = (ALERTS, GROUPS, MEMBERS, NOTICES, SILENCES, TOLD)


def test_two_that_tick_at_once_say_nothing_twice(engine: sa.Engine) -> None:
    soc = Soc({"notifiers": {"pager": pager(at_most=1000)}}, engine)
    soc.see(*(soc.detected(f"thr_{n}") for n in range(60)))
    soc.clock.advance(10)
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        start.wait(20)
        try:
            for n in range(10):
                with engine.begin() as db:
                    tick(db, soc.clock(), soc.configuration)
                soc.see(soc.detected(f"thr_{number}_{n}"))
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    soc.tick(10)
    told = Counter(row.body["dedup_key"] for row in soc.said())
    assert len(told) == 100
    assert set(told.values()) == {1}
