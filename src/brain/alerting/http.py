"""Alerting over HTTP: alerts, silences and notifiers; and the plug-in opened, with its routes and tasks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from brain import limits
from brain.alerting.http_models import Actor, NewSilence
from brain.alerting.pages import related_events, timeline
from brain.alerting.service import AlertService
from brain.alerting.views import ALERT_ID, SILENCE_ID, AlertView, NotifierView, SilenceView, silence_view
from brain.connectors.pages import TimelineStep
from brain.kit.database_threads import for_reading, for_writing
from brain.kit.doer import doer
from brain.kit.idempotency import request_key
from brain.stream import EventStream

AlertIdPath = Annotated[str, Path(max_length=limits.ID, description="The alert's id.", examples=[ALERT_ID])]
SilenceIdPath = Annotated[str, Path(max_length=limits.ID, description="The silence's id.", examples=[SILENCE_ID])]


def alerting_router(service: AlertService, stream: EventStream, clock: Callable[[], float] = time.time) -> APIRouter:
    """The routes over this service; `clock` gives Unix seconds."""
    router = APIRouter(tags=["alerts"])
    _add_alerts(router, service, stream)
    _add_changes(router, service)
    _add_silences(router, service, clock)
    return router


def _add_alerts(router: APIRouter, service: AlertService, stream: EventStream) -> None:
    @router.get("/alerts", summary="List alerts")
    async def alerts(
        state: Annotated[Literal["firing", "resolved"] | None, Query(description="Only in this state.")] = None,
        limit: Annotated[int, Query(ge=1, le=1_000, description="The most alerts to list.")] = 100,
        before: Annotated[
            str | None,
            Query(max_length=limits.ID, description="Only what comes after this alert.", examples=[ALERT_ID]),
        ] = None,
    ) -> list[AlertView]:
        """The alert with the latest event comes first. Each has what mutes it and its notifications.

        For what follows, give the id of the last one as `before`. If events came to that alert meanwhile, it is at
        another place, and what follows it there is listed: some alerts again, but none is passed over.
        """
        return await for_reading(service.database, service.alerts, state, limit, before)

    @router.get("/alerts/{alert_id}", summary="Get an alert")
    async def alert(alert_id: AlertIdPath) -> AlertView:
        """One alert, with what mutes it and its notifications."""
        return await for_reading(service.database, service.alert, alert_id)

    @router.get("/alerts/{alert_id}/timeline", summary="Get an alert's timeline")
    async def alert_timeline(alert_id: AlertIdPath) -> list[TimelineStep]:
        """The events with its correlation id, its notifications and who acknowledged it; the earliest first."""
        shown = await for_reading(service.database, service.alert, alert_id)
        events = await stream.call_reader(related_events, stream, shown.correlation_id, shown.first_at)
        return sorted([*timeline(events), *_own_steps(shown)], key=lambda step: step.at)


def _add_changes(router: APIRouter, service: AlertService) -> None:
    @router.post("/alerts/{alert_id}/acknowledge", summary="Acknowledge an alert")
    async def acknowledge(alert_id: AlertIdPath, who: Actor) -> AlertView:
        """Its page is no longer repeated or escalated. Whoever was first stays. Answers 409 for a resolved alert."""
        await for_writing(service.database, service.acknowledge, alert_id, doer(who.by))
        return await for_reading(service.database, service.alert, alert_id)

    @router.post("/alerts/{alert_id}/close", summary="Close an alert")
    async def close(alert_id: AlertIdPath, who: Actor) -> AlertView:
        """Resolves an alert that no event would resolve. Answers 409 for an alert that is resolved already."""
        await for_writing(service.database, service.close, alert_id, doer(who.by))
        return await for_reading(service.database, service.alert, alert_id)

    @router.get("/notifiers", summary="List notifiers")
    async def notifiers() -> list[NotifierView]:
        """Each notifier, with how many messages were sent, wait or were refused."""
        return await for_reading(service.database, service.notifiers)


def _add_silences(router: APIRouter, service: AlertService, clock: Callable[[], float]) -> None:
    @router.get("/silences", summary="List silences")
    async def silences(
        ended: Annotated[bool, Query(description="Whether silences that are over are listed as well.")] = False,
    ) -> list[SilenceView]:
        """The silences in force and those to come, the latest first."""
        found = await for_reading(service.database, lambda: service.silences(ended=ended))
        return [silence_view(silence, clock()) for silence in found]

    @router.post("/silences", status_code=201, summary="Add a silence")
    async def add_silence(new: NewSilence, response: Response) -> SilenceView:
        """Nobody is paged for the alerts that all matchers fit. They are kept and shown all the same."""
        silence = await for_writing(
            service.database,
            service.add_silence,
            new.matchers,
            doer(new.by),
            new.reason,
            new.ends_at,
            new.starts_at,
            key=request_key(),
        )
        response.headers["Location"] = f"/api/silences/{silence.id}"
        return silence_view(silence, clock())

    @router.delete("/silences/{silence_id}", status_code=204, summary="Remove a silence")
    async def remove_silence(silence_id: SilenceIdPath) -> None:
        """Alerts that it muted and that still fire are paged."""
        await for_writing(service.database, service.remove_silence, silence_id)


def _own_steps(alert: AlertView) -> list[TimelineStep]:
    steps = [
        TimelineStep(sent.at, "notification", f"{sent.action} to {sent.notifier}: {sent.state}", None)
        for sent in alert.notifications
    ]
    if alert.acknowledged_at is not None:
        words = f"acknowledged by {alert.acknowledged_by}"
        steps.append(TimelineStep(alert.acknowledged_at, "acknowledged", words, None))
    if alert.resolved_at is not None:
        steps.append(TimelineStep(alert.resolved_at, "resolved", f"resolved: {alert.resolved_by}", None))
    return steps
