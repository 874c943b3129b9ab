"""Devices in the database: the last reading of each, its limits and forecasts, with the events of what changes.

Each function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from brain.errors import InvalidInput, NotFound
from brain.hardware.events import DEVICE_ADDED, DEVICE_REMOVED, FORECAST, LIMIT_CLEARED, LIMIT_CROSSED
from brain.hardware.forecasts import Forecast, forecast
from brain.hardware.models import CONSUMER
from brain.hardware.reports import exhaustion
from brain.hardware.settings import HardwareSettings, LimitSettings
from brain.hardware.tables import DEVICES, FORECASTS, LIMITS, SAMPLES
from brain.kit.limits import LimitState
from brain.kit.outbox import put_event, put_health
from brain.kit.sql import insert_missing, upsert

HOST, ROBOT = "host", "robot"
FORECAST_OF = "disk_percent"
_SAMPLES = 72
"""Readings in the window of a forecast."""


class DeviceLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of a device that is crossed, or may soon be."""

    metric: str
    crossed: Annotated[bool, Meta(description="False: the limit is reached, and its time to hold runs.")]
    since: Annotated[float | None, Meta(description="When the trouble began, in Unix seconds.")]
    value: Annotated[float, Meta(description="The value that changed it last.")]
    limit: Annotated[float, Meta(description="The level that crosses it.")]


class DeviceForecast(msgspec.Struct, frozen=True, kw_only=True):
    """When something of a device is used up, as it was announced last."""

    metric: str
    exhausted_at: Annotated[float, Meta(description="In Unix seconds.")]
    slope: Annotated[float, Meta(description="Percent an hour.")]
    r2: Annotated[float, Meta(description="How well a straight line fits, 0 to 1.")]


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A host or a robot, with its last reading."""

    id: Annotated[str, Meta(description="`host:<name>` or `robot:<name>`.")]
    kind: str
    driver: str
    model: str
    added_at: float
    seen_at: Annotated[float | None, Meta(description="Of the last reading, in Unix seconds; null: it gave none.")]
    reading: Annotated[dict[str, Any] | None, Meta(description="What it said last; null is what is not available.")]
    limits: list[DeviceLimit]
    forecasts: list[DeviceForecast]


def register(db: sa.Connection, device: str, kind: str, driver: str, model: str, now: float) -> None:
    """Know the device from now on; a new one is announced."""
    row = {"id": device, "kind": kind, "driver": driver, "model": model, "added_at": now}
    known = db.execute(sa.select(DEVICES.c.driver).where(DEVICES.c.id == device)).scalar()
    if known is None:
        insert_missing(db, DEVICES, [row])
        put_event(db, CONSUMER, DEVICE_ADDED.event({"device_id": device, "kind": kind, "driver": driver}), now)
    else:
        db.execute(DEVICES.update().where(DEVICES.c.id == device).values(driver=driver, model=model))


def forget(db: sa.Connection, device: str, now: float) -> None:
    """Know the device no more, and announce that. Raises NotFound."""
    row = db.execute(sa.select(DEVICES).where(DEVICES.c.id == device)).one_or_none()
    if row is None:
        raise _not_found(device)
    db.execute(DEVICES.delete().where(DEVICES.c.id == device))
    for table in (LIMITS, SAMPLES, FORECASTS):
        db.execute(table.delete().where(table.c.device == device))
    event = DEVICE_REMOVED.event({"device_id": device, "kind": row.kind, "driver": row.driver})
    put_event(db, CONSUMER, event, now)


def forget_host(db: sa.Connection, device: str, now: float) -> None:
    """Know a host no more. Raises NotFound, and InvalidInput for a robot, which the settings declare."""
    if device.startswith(f"{ROBOT}:"):
        raise InvalidInput(f"device_id: {device} is a robot of the settings; take it out of [hardware.robots]")
    forget(db, device, now)


def robots_known(db: sa.Connection) -> set[str]:
    """The robots among the devices, by their ids there."""
    return set(db.execute(sa.select(DEVICES.c.id).where(DEVICES.c.kind == ROBOT)).scalars())


def take_reading(
    db: sa.Connection,
    device: str,
    document: Mapping[str, Any],
    metrics: Mapping[str, float],
    settings: HardwareSettings,
    now: float,
) -> None:
    """Keep a device's reading, and announce which limits it crosses or clears, and what will be used up."""
    db.execute(DEVICES.update().where(DEVICES.c.id == device).values(seen_at=now, reading=dict(document)))
    _apply_limits(db, device, metrics, settings, now)
    disks = {name: value for name, value in metrics.items() if name.partition(":")[0] == FORECAST_OF}
    if disks:
        _apply_forecasts(db, device, disks, settings, now)


def _apply_limits(
    db: sa.Connection, device: str, metrics: Mapping[str, float], settings: HardwareSettings, now: float
) -> None:
    rows = {row.metric: row for row in db.execute(sa.select(LIMITS).where(LIMITS.c.device == device))}
    for metric, value in metrics.items():
        row, limit = rows.get(metric), settings.limit_for(metric)
        before = LimitState() if row is None else LimitState(row.crossed, row.since, row.pending_since)
        if limit is None:  # no longer in the settings
            after, change = LimitState(), None
        else:
            after, change = limit.rule().apply(before, value, now)
        if after != before:
            _keep_limit(db, device, metric, after, value, limit)
        if limit is not None and change is not None:
            level = limit.limit if change.crossed else limit.rule().clear_level
            payload = {"device_id": device, "metric": metric, "value": value, "limit": level}
            payload["for_seconds"] = change.for_seconds
            kind = LIMIT_CROSSED if change.crossed else LIMIT_CLEARED
            put_event(db, CONSUMER, kind.event(payload), now)
            if change.crossed:
                put_health(db, CONSUMER, exhaustion(payload, limit.severity), now)


def _keep_limit(
    db: sa.Connection, device: str, metric: str, state: LimitState, value: float, limit: LimitSettings | None
) -> None:
    if state == LimitState() or limit is None:
        db.execute(LIMITS.delete().where(LIMITS.c.device == device, LIMITS.c.metric == metric))
        return
    row = {
        "device": device,
        "metric": metric,
        "crossed": state.crossed,
        "since": state.since,
        "pending_since": state.pending_since,
        "value": value,
        "level": limit.limit,
    }
    upsert(db, LIMITS, [row])


def _apply_forecasts(
    db: sa.Connection, device: str, disks: Mapping[str, float], settings: HardwareSettings, now: float
) -> None:
    window = settings.forecast_window
    latest = db.execute(sa.select(sa.func.max(SAMPLES.c.at)).where(SAMPLES.c.device == device)).scalar()
    if latest is not None and 0 <= now - latest < window / _SAMPLES:
        return
    db.execute(SAMPLES.delete().where(SAMPLES.c.device == device, SAMPLES.c.at < now - window))
    rows = [{"device": device, "metric": metric, "at": now, "value": value} for metric, value in disks.items()]
    insert_missing(db, SAMPLES, rows)
    for metric in disks:
        mine = sa.and_(SAMPLES.c.device == device, SAMPLES.c.metric == metric, SAMPLES.c.at <= now)
        points = db.execute(sa.select(SAMPLES.c.at, SAMPLES.c.value).where(mine).order_by(SAMPLES.c.at)).all()
        _apply_forecast(db, device, metric, forecast([(at, value) for at, value in points]), settings, now)


def _apply_forecast(
    db: sa.Connection, device: str, metric: str, found: Forecast | None, settings: HardwareSettings, now: float
) -> None:
    mine = sa.and_(FORECASTS.c.device == device, FORECASTS.c.metric == metric)
    announced = db.execute(sa.select(FORECASTS.c.exhausted_at, FORECASTS.c.made_at).where(mine)).one_or_none()
    if found is None or found.hours > settings.forecast_hours:
        if announced is not None and now - announced.made_at > settings.forecast_window:  # it does not hold any more
            db.execute(FORECASTS.delete().where(mine))
        return
    if announced is not None and not found.is_news_after(announced.exhausted_at):
        return
    row = {"exhausted_at": found.exhausted_at, "slope": found.slope, "r2": found.r2}
    upsert(db, FORECASTS, [{"device": device, "metric": metric, "made_at": now, **row}])
    payload = {"device_id": device, "metric": metric, "hours": found.hours, **row}
    put_event(db, CONSUMER, FORECAST.event(payload), now)


def list_devices(db: sa.Connection, ids: Iterable[str] | None = None) -> list[Device]:
    """All devices, or those of these ids, by id."""
    query = sa.select(DEVICES).order_by(DEVICES.c.id)
    if ids is not None:
        query = query.where(DEVICES.c.id.in_(list(ids)))
    limits: dict[str, list[DeviceLimit]] = {}
    for row in db.execute(sa.select(LIMITS).order_by(LIMITS.c.metric)):
        since = row.since if row.crossed else row.pending_since
        found = DeviceLimit(metric=row.metric, crossed=row.crossed, since=since, value=row.value, limit=row.level)
        limits.setdefault(row.device, []).append(found)
    forecasts: dict[str, list[DeviceForecast]] = {}
    for row in db.execute(sa.select(FORECASTS).order_by(FORECASTS.c.metric)):
        made = DeviceForecast(metric=row.metric, exhausted_at=row.exhausted_at, slope=row.slope, r2=row.r2)
        forecasts.setdefault(row.device, []).append(made)
    return [
        Device(**row._mapping, limits=limits.get(row.id, []), forecasts=forecasts.get(row.id, []))
        for row in db.execute(query)
    ]


def find_device(db: sa.Connection, device: str) -> Device:
    """One device. Raises NotFound."""
    found = list_devices(db, [device])
    if not found:
        raise _not_found(device)
    return found[0]


def _not_found(device: str) -> NotFound:
    return NotFound(f"no device has the id {device[:100]!r}; `brain hardware devices` lists them")
