"""Hardware over HTTP, below /api/hardware, and the plug-in opened: its routes and its tasks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Path, Query

import brain
from brain import limits
from brain.hardware import devices
from brain.hardware.drivers import driver_kinds
from brain.hardware.host import HostSensors
from brain.hardware.http_models import (
    Cleared,
    CommandView,
    DeviceView,
    HardwareInfo,
    HeldLease,
    HostView,
    LeaseView,
    NewCommand,
    NewLease,
    NewStop,
    RobotState,
    RobotView,
    StopView,
)
from brain.hardware.service import HardwareService
from brain.hardware.tables import make_tables
from brain.kit.database import reachable, reading
from brain.kit.database_threads import for_reading, for_writing
from brain.kit.doer import doer
from brain.kit.http import PROBLEM_TYPE, creates_nothing
from brain.kit.idempotency import request_key
from brain.kit.views import list_of
from brain.stream.threads import run_alone

RobotPath = Annotated[str, Path(max_length=limits.ID, description="The robot's name.", examples=["rover"])]
DevicePath = Annotated[str, Path(max_length=limits.NAME, description="The device's id.", examples=["host:node-1"])]

_AGAIN = creates_nothing("the same request again only does the same again")
_NO_ROBOT: dict[int | str, dict[str, Any]] = {
    404: {
        "description": "No robot has this id",
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


def hardware_router(service: HardwareService, sensors: HostSensors) -> APIRouter:
    """The routes over this service."""
    router = APIRouter(prefix="/hardware", tags=["hardware"])
    _add_host(router, service, sensors)
    _add_devices(router, service.parts.database, time.time)
    _add_robots(router, service)
    _add_leases(router, service)
    _add_stops(router, service)
    return router


def _add_host(router: APIRouter, service: HardwareService, sensors: HostSensors) -> None:
    @router.get("/host", summary="Read this host now", response_model=HostView)
    async def host() -> Any:
        """Processors, memory, disks, network, sensors, battery, graphics cards, pressure, control group.

        Null is what is not available, and `unavailable` says why.
        """
        return await run_alone(sensors.read)

    @router.get("/info", summary="What this server knows of hardware")
    async def info() -> HardwareInfo:
        """The drivers that are installed, and the robots of the settings."""
        return HardwareInfo(
            version=brain.__version__, host=sensors.host, drivers=driver_kinds(), robots=sorted(service.robots)
        )


def _add_devices(router: APIRouter, database: sa.Engine, clock: Callable[[], float]) -> None:
    def read(query: Callable[[sa.Connection], Any]) -> Any:
        make_tables(database)
        with reachable(database), reading(database).begin() as db:
            return query(db)

    def change(statement: Callable[[sa.Connection], None]) -> None:
        make_tables(database)
        with reachable(database), database.begin() as db:
            statement(db)

    @router.get("/devices", summary="List hosts and robots", response_model=list_of(DeviceView))
    async def listing() -> Any:
        """Each with its last reading, the limits that it crosses, and what will be used up."""
        return await for_reading(database, read, devices.list_devices)

    @router.get("/devices/{device_id}", summary="Get a device", response_model=DeviceView)
    async def get(device_id: DevicePath) -> Any:
        """A host or a robot with its last reading."""
        return await for_reading(database, read, lambda db: devices.find_device(db, device_id))

    @router.delete("/devices/{device_id}", status_code=204, summary="Forget a host")
    async def forget(device_id: DevicePath) -> None:
        """Publishes `hardware.device_removed`. A host that still runs the tasks comes back when they start again."""
        await for_writing(database, change, lambda db: devices.forget_host(db, device_id, clock()))


def _add_robots(router: APIRouter, service: HardwareService) -> None:
    @router.get("/robots", summary="List robots", response_model=list_of(RobotView))
    async def listing() -> Any:
        """Each with its bounds, who drives it, and whether it is stopped."""
        return await service.list_robots()

    @router.get("/robots/{robot_id}/state", summary="Ask a robot how it is")
    async def state(robot_id: RobotPath) -> RobotState:
        """What it says of itself now, such as its battery and motors."""
        return RobotState(robot_id=robot_id, state=await service.state(robot_id))

    @router.get("/robots/{robot_id}/commands", summary="List commands", response_model=list_of(CommandView))
    async def commands(
        robot_id: RobotPath, limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100
    ) -> Any:
        """The last ones to this robot, with what became of each; the latest first."""
        return await service.list_commands(robot_id, limit)

    @router.post("/robots/{robot_id}/command", summary="Move a robot", response_model=CommandView)
    async def command(robot_id: RobotPath, new: NewCommand) -> Any:
        """Sent when lease, bounds and rules (`hardware.move`) let it through; answers once the robot took it.

        Answers 409 without the lease and during an emergency stop, 403 when the rules deny it, 422 beyond the bounds.
        """
        return await service.command(robot_id, new.agent_id, new.lease_token, new.movement(), key=request_key())


def _add_leases(router: APIRouter, service: HardwareService) -> None:
    @router.post(
        "/robots/{robot_id}/lease", summary="Take a robot's lease", response_model=LeaseView, openapi_extra=_AGAIN
    )
    async def lease(robot_id: RobotPath, new: NewLease) -> Any:
        """Let one agent drive, if the rules let it (`hardware.lease`). Whoever has the lease gets a new token.

        Answers 409 while another agent has it.
        """
        return await service.lease(robot_id, new.agent_id)

    @router.post(
        "/robots/{robot_id}/lease/renew", summary="Prolong a lease", response_model=LeaseView, openapi_extra=_AGAIN
    )
    async def renew(robot_id: RobotPath, held: HeldLease) -> Any:
        """Each command prolongs it, too."""
        return await service.renew(robot_id, held.agent_id, held.lease_token)

    @router.post("/robots/{robot_id}/lease/release", status_code=204, summary="Give a lease back", openapi_extra=_AGAIN)
    async def release(robot_id: RobotPath, held: HeldLease) -> None:
        """The robot is stopped."""
        await service.release(robot_id, held.agent_id, held.lease_token)


def _add_stops(router: APIRouter, service: HardwareService) -> None:
    @router.post(
        "/stop", summary="Stop robots at once", response_model=StopView, responses=_NO_ROBOT, openapi_extra=_AGAIN
    )
    async def stop(new: NewStop) -> Any:
        """Nobody is asked, and it waits for nothing. The robots take no command until the stop is cleared."""
        return await service.stop(new.robot_id, doer(new.by), new.reason)

    @router.post("/clear", summary="Clear an emergency stop", responses=_NO_ROBOT, openapi_extra=_AGAIN)
    async def clear(new: NewStop) -> Cleared:
        """If the rules let `by` do so (`hardware.clear_stop`), perhaps with an approval."""
        return Cleared(robots=await service.clear(new.robot_id, doer(new.by), new.reason))
