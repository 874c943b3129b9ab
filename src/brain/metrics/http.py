"""Metrics over HTTP, below /api/metrics, and the work that keeps them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine

from brain import limits
from brain.errors import InvalidInput
from brain.kit.http import TIME_FORMS, TimeText
from brain.metrics import query
from brain.metrics.prometheus import families
from brain.metrics.schema import reading_tables
from brain.metrics.settings import MetricsSettings
from brain.metrics.state import open_threats_at
from brain.metrics.summary import Summary, summarise_span
from brain.metrics.tasks import count, prune_regularly
from brain.metrics.time_range import Span, span
from brain.plugins import Component, PluginContext
from brain.times import parse_time

SinceQuery = Annotated[
    TimeText | None, Query(description=f"From: {TIME_FORMS}; an hour before `until` when left out.", examples=["24h"])
]
UntilQuery = Annotated[
    TimeText | None, Query(description=f"To: {TIME_FORMS}; now when left out.", examples=["2024-12-28T09:30:00Z"])
]


class LineView(BaseModel):
    """One line of a series."""

    model_config = ConfigDict(from_attributes=True)

    labels: dict[str, str] = Field(description="What the line is about; empty when the series is not split.")
    points: list[tuple[int, float]] = Field(
        description="The start of each step, in Unix seconds, and the value. Counts have a point for every step; "
        "rates and means have none where nothing was observed; states are as of the end of the step."
    )


class OpenView(BaseModel):
    """The threats that wait to be mitigated."""

    model_config = ConfigDict(from_attributes=True)

    count: int = Field(description="How many.")
    mean_age_seconds: float | None = Field(description="How old they are in the mean; null without any.")
    oldest_age_seconds: float | None = Field(description="How old the oldest is; null without any.")
    oldest_id: str | None = Field(description="The id of the oldest; null without any.")


class SeriesView(BaseModel):
    """A series over time."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "decisions",
                    "by": "effect",
                    "since": 1703001200,
                    "until": 1703001320,
                    "step": 60,
                    "series": [{"labels": {"effect": "DENY"}, "points": [[1703001200, 4], [1703001260, 0]]}],
                    "open": None,
                }
            ]
        }
    )

    name: str = Field(description="Which series.")
    by: str = Field(description="The label it is split by; empty when it is not.")
    since: int = Field(description="Where the first step begins, in Unix seconds.")
    until: int = Field(description="Where the last step ends, in Unix seconds.")
    step: int = Field(description="Seconds between two points.")
    series: list[LineView] = Field(description="The lines, the largest first, and `other` last.")
    open: OpenView | None = Field(
        description="With a mean time: the threats that were still open at the end, and are in none yet; else null."
    )


class DenialRateView(BaseModel):
    """How often one agent, or one action, is refused."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(description="The agent or the action; `other` for all that are not listed.")
    decisions: int = Field(description="How many decisions there were.")
    denials: int = Field(description="How many of them were denials.")
    denial_rate: float = Field(description="The share of denials, from 0 to 1.")


class SummaryView(BaseModel):
    """The figures of a span of time. Mean times are null where nothing was observed."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "since": 1703001200,
                    "until": 1703004800,
                    "step": 10,
                    "events": 5120,
                    "decisions": {"ALLOW": 2290, "DENY": 170, "WARN": 30, "AUDIT": 10},
                    "denial_rate": 0.068,
                    "denial_rate_by_agent": [{"name": "agent-7", "decisions": 120, "denials": 96, "denial_rate": 0.8}],
                    "denial_rate_by_action": [{"name": "delete", "decisions": 90, "denials": 81, "denial_rate": 0.9}],
                    "detected": {"CRITICAL": 1, "HIGH": 2},
                    "mttd_seconds": 12.5,
                    "mtti_seconds": 41.0,
                    "mttm_seconds": 310.2,
                    "mttr_seconds": None,
                    "resolution_rate": 0.667,
                    "open": {
                        "count": 1,
                        "mean_age_seconds": 1800.0,
                        "oldest_age_seconds": 1800.0,
                        "oldest_id": "thr_4f1a09be27c3d815",
                    },
                    "healing": {"healed": 3},
                    "health_score": 92,
                }
            ]
        },
    )

    since: int = Field(description="The start of the span, in Unix seconds, widened to whole steps.")
    until: int = Field(description="The end of the span, likewise.")
    step: int = Field(description="The width of the stored buckets that were added up, in seconds.")
    events: int = Field(description="How many events.")
    decisions: dict[str, int] = Field(description="How many decisions, by effect.")
    denial_rate: float | None = Field(description="The share of denials among all decisions; null without any.")
    denial_rate_by_agent: list[DenialRateView] = Field(description="Those with the most denials first.")
    denial_rate_by_action: list[DenialRateView] = Field(description="Those with the most denials first.")
    detected: dict[str, int] = Field(description="How many threats were detected, by severity.")
    mttd_seconds: float | None = Field(description="Mean time from the first evidence to detection.")
    mtti_seconds: float | None = Field(description="Mean time from detection to investigation.")
    mttm_seconds: float | None = Field(description="Mean time from detection to mitigation; see `open` for the others.")
    mttr_seconds: float | None = Field(description="Mean time from detection to resolution.")
    resolution_rate: float | None = Field(
        description="Of the threats detected in the span, ignored ones left out, the share mitigated or resolved now."
    )
    open: OpenView = Field(description="The threats that were active at the end of the span.")
    healing: dict[str, int] = Field(description="How many self-healing actions, by outcome.")
    health_score: int = Field(ge=0, le=100, description="The fleet's health at the end of the span; 100 is perfect.")


def metrics_router(engine: Engine, settings: MetricsSettings, clock: Callable[[], float] = time.time) -> APIRouter:
    """The routes over the tables; `clock` gives the Unix time that ages are counted from."""
    router = APIRouter(prefix="/metrics", tags=["metrics"])

    def wanted(since: str | None, until: str | None, step: int | None) -> Span:
        now = clock()
        start, end = (
            None if text is None else parse_time(text, now, name) for text, name in ((since, "since"), (until, "until"))
        )
        return span(start, end, step, now, settings)

    @router.get("/series", summary="A series over time")
    async def series(
        name: Annotated[
            str,
            Query(
                max_length=limits.TYPE, description=f"Which series: {', '.join(query.NAMES)}.", examples=["decisions"]
            ),
        ],
        by: Annotated[
            str | None,
            Query(
                max_length=limits.TYPE,
                description="What it is split by: events by type, module or severity; decisions by effect, agent or "
                "action; denials and denial_rate by agent or action; the first of these when left out.",
                examples=["effect"],
            ),
        ] = None,
        since: SinceQuery = None,
        until: UntilQuery = None,
        step: Annotated[
            int | None,
            Query(ge=1, le=31_536_000, description="Seconds between points; made coarser where that is not kept."),
        ] = None,
        top: Annotated[int, Query(ge=1, le=200, description="Most lines; the rest are added up as `other`.")] = 20,
    ) -> SeriesView:
        """Counted in the bucket of each event's own timestamp, however late it came."""
        asked = wanted(since, until, step)

        def read() -> SeriesView:
            now = clock()
            with reading_tables(engine) as connection:
                label, lines = query.lines(connection, name, by, asked, top, now)
                waiting = None
                if name in query.STAGE_SERIES:
                    waiting = OpenView.model_validate(open_threats_at(connection, [min(float(asked.until), now)])[0])
            views = [LineView.model_validate(line) for line in lines]
            times = {"since": asked.since, "until": asked.until, "step": asked.step}
            return SeriesView(name=name, by=label, series=views, open=waiting, **times)

        return await asyncio.to_thread(read)

    @router.get("/summary", summary="The figures of a span of time")
    async def summary(since: SinceQuery = None, until: UntilQuery = None) -> SummaryView:
        """Events, decisions, denial rates, times to detect and mitigate with the ages of what is open, health."""
        return SummaryView.model_validate(
            await asyncio.to_thread(read_summary, engine, wanted(since, until, None), clock())
        )

    return router


def read_summary(engine: Engine, asked: Span, now: float, top: int = 20) -> Summary:
    """The summary of the span. Raises Unavailable."""
    with reading_tables(engine) as connection:
        return summarise_span(connection, asked, now, top)


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """The consumer on these parts: its routes, its families for `/metrics`, and its work.

    The database need not answer yet. Raises InvalidInput when metrics are to be sent by OTLP without that extra.
    """
    engine, settings = context.database, context.table(MetricsSettings)
    work: list[Callable[[], Coroutine[Any, Any, None]]] = [
        lambda: count(context),
        lambda: prune_regularly(engine, settings),
    ]
    if settings.otlp_endpoint:
        try:
            from brain.metrics import otlp
        except ImportError as error:
            raise InvalidInput(
                "metrics.otlp_endpoint: sending needs an extra: pip install 'brain-eventstream[otlp]'"
            ) from error
        work.append(lambda: otlp.export(context))
    yield Component(
        metrics_router(engine, settings),
        work,
        lambda: families(engine, settings, time.time),
    )
