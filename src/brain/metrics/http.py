"""Metrics over HTTP, below /api/metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Engine

from brain.kit.database_threads import for_reading
from brain.metrics.http_models import SeriesFilters, SeriesView, SinceQuery, SummaryView, UntilQuery
from brain.metrics.query import Series, read_series
from brain.metrics.schema import reading_tables
from brain.metrics.settings import MetricsSettings
from brain.metrics.summary import MetricsSummary, summarise_range
from brain.metrics.time_range import TimeRange, time_range
from brain.times import parse_time

TOP = 20
"""Most agents and actions in a summary."""


def metrics_router(engine: Engine, settings: MetricsSettings, clock: Callable[[], float] = time.time) -> APIRouter:
    """The routes over the tables; `clock` gives the Unix time that ages are counted from."""
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
    async def summary(since: SinceQuery = None, until: UntilQuery = None) -> MetricsSummary:
        """Events, decisions, denial rates, times to detect and mitigate with the ages of what is open, health."""
        return await for_reading(engine, _read_summary, engine, parse_range(since, until, None), clock())

    return router


def _read_series(engine: Engine, filters: SeriesFilters, period: TimeRange, now: float) -> Series:
    with reading_tables(engine) as connection:
        return read_series(connection, filters.name, filters.by, period, filters.top, now)


def _read_summary(engine: Engine, period: TimeRange, now: float) -> MetricsSummary:
    with reading_tables(engine) as connection:
        return summarise_range(connection, period, now, TOP)
