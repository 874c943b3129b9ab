"""SOC alerting opened: alerts and silences over HTTP, and its work: projection, ticks, sending."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from brain import limits
from brain.alerting.announce import announce_acknowledged, announce_closed, announce_silence
from brain.alerting.configuration import configuration
from brain.alerting.events import SILENCE_ADDED, SILENCE_REMOVED
from brain.alerting.http_models import (
    ALERT_ID,
    SILENCE_ID,
    AlertView,
    By,
    NewSilence,
    NotifierView,
    SilenceView,
    StepView,
    alert_values,
    notifier_values,
    silence_values,
    step_values,
)
from brain.alerting.operations import Desk, Shown
from brain.alerting.pages import Step, story_of, timeline
from brain.alerting.settings import SocSettings
from brain.alerting.tasks import Work
from brain.plugins import Component, PluginContext
from brain.stream import EventStream

AlertIdPath = Annotated[str, Path(max_length=limits.ID, description="The alert's id.", examples=[ALERT_ID])]
SilenceIdPath = Annotated[str, Path(max_length=limits.ID, description="The silence's id.", examples=[SILENCE_ID])]


def soc_router(desk: Desk, stream: EventStream, clock: Callable[[], float] = time.time) -> APIRouter:
    """The routes over this desk."""
    router = APIRouter(tags=["alerts"])

    @router.get("/alerts", summary="List alerts")
    async def alerts(
        state: Annotated[Literal["firing", "resolved"] | None, Query(description="Only in this state.")] = None,
        limit: Annotated[int, Query(ge=1, le=1_000, description="At most so many.")] = 100,
    ) -> list[AlertView]:
        """The last heard of first, each with why it is muted and what was said of it."""
        return [_view(shown) for shown in await asyncio.to_thread(desk.alerts, state, limit)]

    @router.get("/alerts/{alert_id}", summary="Get an alert")
    async def alert(alert_id: AlertIdPath) -> AlertView:
        """With why it is muted and what was said of it."""
        return _view(await asyncio.to_thread(desk.alert, alert_id))

    @router.get("/alerts/{alert_id}/timeline", summary="Get an alert's timeline")
    async def alert_timeline(alert_id: AlertIdPath) -> list[StepView]:
        """What happened in its story, who was told of it and who took it on; the earliest first."""
        shown = await asyncio.to_thread(desk.alert, alert_id)
        events = await stream.call(story_of, stream, shown.alert.correlation_id, shown.alert.first_at)
        steps = sorted([*timeline(events), *_own_steps(shown)], key=lambda step: step.at)
        return [StepView(**step_values(step)) for step in steps]

    @router.post("/alerts/{alert_id}/acknowledge", summary="Take an alert on")
    async def acknowledge(alert_id: AlertIdPath, who: By) -> AlertView:
        """It is neither repeated nor escalated any more; who was first stays. Answers 409 for one that is resolved."""
        announce_acknowledged(stream, await asyncio.to_thread(desk.acknowledge, alert_id, who.by))
        return _view(await asyncio.to_thread(desk.alert, alert_id))

    @router.post("/alerts/{alert_id}/close", summary="Declare an alert over")
    async def close(alert_id: AlertIdPath, who: By) -> AlertView:
        """For what nothing else would resolve. Answers 409 for one that is resolved already."""
        announce_closed(stream, await asyncio.to_thread(desk.close, alert_id, who.by))
        return _view(await asyncio.to_thread(desk.alert, alert_id))

    @router.get("/notifiers", summary="List notifiers")
    async def notifiers() -> list[NotifierView]:
        """Each with what it was sent, what waits and what its service refused."""
        return [NotifierView(**notifier_values(*entry)) for entry in await asyncio.to_thread(desk.notifiers)]

    @router.get("/silences", summary="List silences")
    async def silences(
        ended: Annotated[bool, Query(description="Whether those that are over are listed as well.")] = False,
    ) -> list[SilenceView]:
        """Those in force and those to come, the latest added first."""
        found = await asyncio.to_thread(lambda: desk.silences(ended=ended))
        return [SilenceView(**silence_values(silence, clock())) for silence in found]

    @router.post("/silences", status_code=201, summary="Add a silence")
    async def add_silence(new: NewSilence, response: Response) -> SilenceView:
        """Nobody is told of the alerts that all matchers fit; they are kept and shown all the same."""
        silence = await asyncio.to_thread(
            desk.add_silence, new.matchers, new.by, new.reason, new.ends_at, new.starts_at
        )
        announce_silence(stream, SILENCE_ADDED, silence)
        response.headers["Location"] = f"/api/silences/{silence.id}"
        return SilenceView(**silence_values(silence, clock()))

    @router.delete("/silences/{silence_id}", status_code=204, summary="Remove a silence")
    async def remove_silence(silence_id: SilenceIdPath) -> None:
        """Alerts that it kept back and that still fire are told."""
        announce_silence(stream, SILENCE_REMOVED, await asyncio.to_thread(desk.remove_silence, silence_id))

    return router


def _view(shown: Shown) -> AlertView:
    return AlertView(**alert_values(shown))


def _own_steps(shown: Shown) -> list[Step]:
    alert = shown.alert
    steps = [
        Step(notice.at, "notification", f"{notice.action} to {notice.notifier}: {notice.state}", None)
        for notice in shown.notices
    ]
    if alert.acknowledged_at is not None:
        steps.append(Step(alert.acknowledged_at, "acknowledged", f"taken on by {alert.acknowledged_by}", None))
    if alert.resolved_at is not None:
        steps.append(Step(alert.resolved_at, "resolved", f"resolved: {alert.resolved_by}", None))
    return steps


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """SOC alerting on these parts."""
    config = configuration(context.table(SocSettings))
    desk = Desk(context.database, config)
    async with Work.open(context, config) as work:
        yield Component(soc_router(desk, context.stream), work.loops, work.families)
