"""Reports to threats and immune: written with a change, delivered at once, each in effect once, refused ones kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from brain import EventStream
from brain.charter import HealthKind, HealthSeverity, Severity
from brain.errors import InvalidInput, Unavailable
from brain.immune.service import ImmuneService
from brain.kit.context import plugin_context
from brain.kit.database import create_tables
from brain.kit.outbox import ReportDelivery, metadata, put_health, put_threat, reporting
from brain.kit.outbox.reports import reports
from brain.kit.protocols import HealthReport, HealthReports, ThreatReport
from brain.plugins import PluginContext
from brain.redaction import redacted_text
from brain.settings import Settings
from brain.store import open_store
from brain.threats.service import ThreatService
from support.waiting import until

ILL = HealthReport(HealthSeverity.WARNING, HealthKind.ERROR_SPIKE, "disk", "90 % full", {"part": "/var"}, "corr-1")
ATTACK = ThreatReport("hijack", "r1", Severity.HIGH, "Moved without a lease", "command-1", {"robot": "r1"})


@asynccontextmanager
async def opened(folder: Path, database: str | None = None) -> AsyncIterator[PluginContext]:
    url = f"sqlite:///{folder}/brain.db"
    settings = Settings(stream=url, database=database or f"sqlite:///{folder}/consumers.db")
    async with EventStream.open(url) as stream:
        with closing(open_store(url)) as store, plugin_context(stream, store, settings) as context:
            create_tables(context.database, metadata)
            yield context


def put(context: PluginContext, ill: HealthReport = ILL, key: str | None = "test disk") -> None:
    with context.database.begin() as db:
        put_health(db, "test", ill, 5.0, key=key)
        put_threat(db, "test", ATTACK, 5.0)


def put_and_fail(context: PluginContext) -> None:
    """A transaction that is rolled back."""
    with context.database.begin() as db:
        put_health(db, "test", replace(ILL, message="rolled back"), 5.0)
        raise ZeroDivisionError


def kept(context: PluginContext) -> Sequence[Any]:
    with context.database.begin() as db:
        return db.execute(sa.select(reports).order_by(reports.c.id)).all()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_write_wakes_the_delivery_and_a_key_counts_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "LOOK", 3600.0)
    url = request.getfixturevalue("postgres").url if kind == "postgresql" else None
    async with opened(tmp_path, url) as context:
        delivery = ReportDelivery(context)
        running = asyncio.create_task(delivery.run())
        immune = ImmuneService(None, context.store)
        for _ in range(3):
            await asyncio.to_thread(put, context)
            await until(lambda: kept(context) == [])
            with pytest.raises(ZeroDivisionError):
                put_and_fail(context)
        await asyncio.to_thread(put, context, replace(ILL, message="95 % full"))  # the key says otherwise
        await until(lambda: kept(context) == [])
        running.cancel()
        await asyncio.wait([running])
        (event,) = immune.get_recent_events()
        assert (event.message, event.correlation_id, event.details) == ("90 % full", "corr-1", {"part": "/var"})
        (threat,) = await ThreatService(None, context.store).list_threats()
        assert threat.metadata == {"robot": "r1", "evidence": {"reports": 1}}
        assert delivery.counts == {
            ("health", "delivered"): 3,
            ("health", "known"): 1,
            ("threats", "delivered"): 4,
        }


class Ill(PluginContext):
    """Its HealthReports raise what the test says."""

    def find(self, protocol: type[Any]) -> Any:
        return _Raising() if protocol is HealthReports else super().find(protocol)


class _Raising:
    error: Exception | None = None

    async def report(self, report: HealthReport, *, key: str | None = None) -> int:
        if _Raising.error is not None:
            raise _Raising.error
        return 1


async def test_what_fails_is_tried_again_and_refused_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "ATTEMPTS", 3)
    async with opened(tmp_path) as real:
        context = Ill(real.stream, real.store, real.database, real.settings, real.plugins)
        delivery = ReportDelivery(context)
        put(context)
        monkeypatch.setattr(_Raising, "error", Unavailable("the store does not answer"))
        with pytest.raises(Unavailable):
            await delivery.deliver()
        assert [(row.channel, row.attempts) for row in kept(context)] == [("health", 0), ("threats", 0)]
        monkeypatch.setattr(_Raising, "error", KeyError("a fault"))
        assert [await delivery.deliver() for _ in range(3)] == [False, False, True]
        (row,) = kept(context)
        assert (row.state, row.attempts, row.last_error) == ("refused", 3, "KeyError: 'a fault'")
        monkeypatch.setattr(_Raising, "error", InvalidInput("message: is empty"))
        put(context, key=None)
        assert await delivery.deliver()
        assert [row.attempts for row in kept(context)] == [3, 1]
        assert delivery.counts["health", "failed"] == 2
        assert delivery.counts["health", "refused"] == 2
        shown = [sample for family in delivery.metrics() for sample in family.samples]
        assert {(one.name, *one.labels.values(), one.value) for one in shown} >= {
            ("brain_reports_kept", "health", "refused", 2.0),
            ("brain_reports_deliveries_total", "health", "refused", 2.0),
            ("brain_reports_outages_total", 0.0),
        }


async def test_without_threats_and_immune_reports_are_dropped(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        put(context)
        delivery = ReportDelivery(replace(context, plugins={}))
        assert await delivery.deliver()
        assert kept(context) == []
        assert delivery.counts == {("health", "dropped"): 1, ("threats", "dropped"): 1}


async def test_a_kill_before_they_are_deleted_delivers_them_again_to_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    async with opened(tmp_path) as context:
        put(context)
        with monkeypatch.context() as patched:
            patched.setattr(reporting, "delete_reports", killed)
            with pytest.raises(ZeroDivisionError):
                await ReportDelivery(context).deliver()
        assert len(kept(context)) == 2
        assert await ReportDelivery(context).deliver()
        assert len(ImmuneService(None, context.store).get_recent_events()) == 1
        (threat,) = await ThreatService(None, context.store).list_threats()
        assert threat.metadata["evidence"] == {"reports": 1}


async def test_reports_about_names_that_others_chose_are_delivered(tmp_path: Path) -> None:
    """Blank, too long or with a secret: no such name keeps a report from those who take it."""
    secret = "ghp_" + "x" * 36
    async with opened(tmp_path) as context:
        with context.database.begin() as db:
            for number, name in enumerate((" ", "a" * 600, secret)):
                message = f"{name} is ill " * 300
                put_health(db, "test", replace(ILL, module=name, message=message, details={"by": name}), 5.0)
                attack = replace(ATTACK, source=name, description=message, reading=f"{number} {name}")
                put_threat(db, "test", attack, 5.0)
        assert not [row for row in kept(context) if secret in str(row)]
        delivery = ReportDelivery(context)
        assert await delivery.deliver()
        assert kept(context) == []
        modules = {event.module for event in ImmuneService(None, context.store).get_recent_events()}
        sources = {threat.source for threat in await ThreatService(None, context.store).list_threats()}
        assert modules == {"test: nameless", "a" * 199 + "…", redacted_text(secret)}
        assert sources == {"test: nameless", "a" * 499 + "…", redacted_text(secret)}
