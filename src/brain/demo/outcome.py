"""What the consumers made of the demo, asked for over the public API, and what reached the stand-ins."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from brain.demo.fleet import Api
from brain.demo.services import received
from brain.demo.stand_ins import StandIns
from brain.logs import Log

log: Log = Log("brain.demo")

GROUPS = ("brain.audit", "brain.metrics", "brain.alerting", "brain.incidents")


@dataclass(frozen=True)
class DemoOutcome:
    """The state of the consumers at the end."""

    audit_size: int
    audit_verified: bool
    metrics_events: int
    alerts: int
    incidents: int
    stand_ins: dict[str, int]

    def report(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return asdict(self)


async def look_back(api: Api, stand_ins: StandIns, seconds: float) -> DemoOutcome:
    """The outcome, once the consumers have caught up, or `seconds` have passed."""
    try:
        async with asyncio.timeout(seconds):
            while await _behind(api):  # noqa: ASYNC110  (asked over HTTP, as anybody would)
                await asyncio.sleep(0.1)
    except TimeoutError:
        log.warning("the consumers lag behind the stream", seconds=seconds)
    summary = await api.call("GET", "metrics/summary")
    verified = await api.call("POST", "audit/verify", {})
    return DemoOutcome(
        audit_size=verified["size"],
        audit_verified=verified["ok"],
        metrics_events=summary["events"],
        alerts=len(await api.call("GET", "alerts?limit=1000")),
        incidents=len(await api.call("GET", "incidents?limit=1000")),
        stand_ins=received(stand_ins),
    )


async def _behind(api: Api) -> bool:
    lags = {group["name"]: group["lag"] for group in await api.call("GET", "groups")}
    return any(lags.get(name, 1) for name in GROUPS)
