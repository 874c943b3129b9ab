"""Metrics over HTTP, below /api/metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Engine

from brain.kit.database_threads import for_reading, for_writing
from brain.kit.views import list_of
from brain.metrics.defined_query import find_series
from brain.metrics.definition_store import API, define
from brain.metrics.definition_views import DefinedSlo, Definitions, show_definitions, show_slos
from brain.metrics.http_models import (
    DefinitionsView,
    NewDefinitions,
    SeriesFilters,
    SeriesView,
    SinceQuery,
    SloView,
    SummaryView,
    UntilQuery,
)
from brain.metrics.query import Series
from brain.metrics.schema import changing_tables, reading_tables
from brain.metrics.settings import MetricsSettings
from brain.metrics.summary import MetricsSummary, summarise_range
from brain.metrics.time_range import TimeRange, time_range
from brain.times import parse_time

TOP = 20
"""Most agents and actions in a summary."""


def metrics_router(
    engine: Engine,
    settings: MetricsSettings,
    clock: Callable[[], float] = time.time,
) -> APIRouter:
    """The routes over the tables; `clock` gives the Unix time that ages are counted from.

    `changed` is called after a change: there are events to ship.
    """
    router = APIRouter(prefix="/metrics", tags=["metrics"])

    def parse_range(since: str | None, until: str | None, step: int | None) -> TimeRange:
        now = clock()
        start, end = (
            None if text is None else parse_time(text, now, name) for text, name in ((since, "since"), (until, "until"))
        )
        return time_range(start, end, step, now, settings)

    @router.get("/series", response_model=SeriesView, summary="A series over time")
    async def series(filters: Annotated[SeriesFilters, Query()]) -> Series:
        """Counted in the bucket of each event's own timestamp, however late it came."""
        period = parse_range(filters.since, filters.until, filters.step)
        return await for_reading(engine, _read_series, engine, filters, period, clock())

    @router.get("/summary", response_model=SummaryView, summary="The figures of a span of time")
    async def summary(
        since: SinceQuery = None,
        until: UntilQuery = None,
        top: Annotated[int, Query(ge=1, le=200, description="Most agents and actions.")] = TOP,
    ) -> MetricsSummary:
        """Events, decisions, denial rates, times to detect and mitigate with the ages of what is open, health."""
        return await for_reading(engine, _read_summary, engine, parse_range(since, until, None), clock(), top)

    _add_definitions(router, engine, clock)
    return router


def _add_definitions(router: APIRouter, engine: Engine, clock: Callable[[], float]) -> None:
    @router.get("/definitions", response_model=DefinitionsView, summary="What is defined, and how it stands")
    async def definitions() -> Definitions:
        """Metrics, limits and service level objectives, by brain.toml and by this API."""
        return await for_reading(engine, _read_definitions, engine, clock())

    @router.put("/definitions", response_model=DefinitionsView, summary="Define metrics, limits and objectives")
    async def define_all(given: NewDefinitions) -> Definitions:
        """In the place of all that was defined by this API before. Publishes `metrics.definitions_changed`.

        A metric that is new or changed begins a new series: it counts the events that come from now on; `brain metrics
        define --backfill` counts what is recorded as well. Answers 409 when `version` is not the present one.
        """
        await for_writing(engine, _write_definitions, engine, given, clock())
        return await for_reading(engine, _read_definitions, engine, clock())

    @router.get("/slos", response_model=list_of(SloView), summary="How the service level objectives stand")
    async def slos() -> list[DefinedSlo]:
        """Burn rates by window, and what is left of each error budget."""
        return await for_reading(engine, _read_slos, engine, clock())


def _read_definitions(engine: Engine, now: float) -> Definitions:
    with reading_tables(engine) as connection:
        return show_definitions(connection, now)


def _write_definitions(engine: Engine, given: NewDefinitions, now: float) -> None:
    with changing_tables(engine) as connection:
        define(connection, API, given.defined(), now, given.version)


def _read_slos(engine: Engine, now: float) -> list[DefinedSlo]:
    with reading_tables(engine) as connection:
        return show_slos(connection, now)


def _read_series(engine: Engine, filters: SeriesFilters, period: TimeRange, now: float) -> Series:
    with reading_tables(engine) as connection:
        return find_series(connection, (filters.name, filters.by), period, filters.top, now, filters.statistic)


def _read_summary(engine: Engine, period: TimeRange, now: float, top: int) -> MetricsSummary:
    with reading_tables(engine) as connection:
        return summarise_range(connection, period, now, top)
