"""The emergency stop and the deadman in numbers, kills and faults; the full sizes are marked long."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
import msgspec
import pytest

from brain.errors import Conflict, Unavailable
from brain.hardware.http_driver import HttpDriver
from brain.hardware.models import CONSUMER, CommandResult, Movement, RobotCommand, StopReason
from brain.kit.outbox import ship_waiting
from support.robots import DRIVERS, FORWARD, Fleet, fleet, robots
from support.server import ServeProcess
from support.waiting import until

STOP_MS = 100.0
"""Within which 99 of 100 stops must reach their robot."""


def p99(seconds: list[float]) -> float:
    """The 99th percentile in milliseconds."""
    return 1000.0 * quantiles(seconds, n=100, method="inclusive")[98]


def arrival(here: Fleet, robot: str, since: int) -> float:
    """When the first stop after the first `since` things arrived, by `time.monotonic()`."""
    taken = list(here.mock(robot).received)[since:]
    return next(one.at for one in taken if one.reason is StopReason.EMERGENCY)


async def stops_while_commands_wait(folder: Path, stops: int, waiting: int) -> list[float]:
    """Stop robot B again and again while so many commands wait for robot A, at last A; the seconds each took."""
    table = {
        "a": {"driver": "mock", "options": {"seconds": 0.05}, "queue": 2 * waiting, "command_ttl": 60, "timeout": 30},
        "b": {"driver": "mock"},
    }
    async with fleet(folder, robots=table) as here:
        token = (await here.service.lease("a", "driver-1")).token
        many = [asyncio.create_task(here.service.command("a", "driver-1", token, FORWARD)) for _ in range(waiting)]
        await until(lambda: here.service.robots["a"].waiting >= waiting - 50)
        took = []
        for number in range(stops):
            robot = "a" if number == stops - 1 else "b"
            since, began = len(here.mock(robot).received), time.monotonic()
            await here.service.stop(robot, "ann", "a test")
            took.append(arrival(here, robot, since) - began)
        results = await asyncio.gather(*many, return_exceptions=True)
        assert sum(isinstance(result, Conflict) for result in results) > 0
        assert here.mock("a").movement == Movement()
        assert here.service.robots["a"].waiting == 0
    return took


@pytest.mark.alone
async def test_a_stop_waits_for_no_command(tmp_path: Path) -> None:
    took = await stops_while_commands_wait(tmp_path, 40, 100)
    assert p99(took) <= STOP_MS


@pytest.mark.long
@pytest.mark.alone
async def test_a_thousand_stops_wait_for_none_of_a_thousand_commands(tmp_path: Path) -> None:
    took = await stops_while_commands_wait(tmp_path, 1_000, 1_000)
    print(f"\n1,000 stops while 1,000 commands wait: p50 {1000 * sorted(took)[500]:.2f} ms, p99 {p99(took):.2f} ms")
    assert p99(took) <= STOP_MS


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(900)
async def test_a_thousand_stops_over_http_wait_for_none_of_a_thousand_commands(tmp_path: Path) -> None:
    """From the request to a server of its own until its robot, in this process, has it: two ways over HTTP."""
    robot, count = Robot(), 1_000
    slow = {"seconds": 0.5}
    async with served(robot) as url:
        table = {
            "a": {"driver": "mock", "options": slow, "queue": 2 * count, "command_ttl": 60, "timeout": 30},
            "b": {"driver": "http", "options": {"url": url}, "timeout": 5},
        }
        environment = {"BRAIN_CONSUMERS": "hardware", "BRAIN_HARDWARE__ROBOTS": json.dumps(table)}
        server = await asyncio.to_thread(ServeProcess(tmp_path, environment=environment).__enter__)
        limits = httpx.Limits(max_connections=None, keepalive_expiry=1.0)  # long before the server closes an idle one
        try:
            async with httpx.AsyncClient(
                base_url=f"{server.url}/api", timeout=120, limits=limits, trust_env=False
            ) as client:
                took = await stops_over_http(client, robot, count)
        finally:
            await asyncio.to_thread(server.kill)
    load = os.getloadavg()[0]
    words = f"p50 {1000 * sorted(took)[count // 2]:.2f} ms, p99 {p99(took):.2f} ms, most {1000 * max(took):.2f} ms"
    print(f"\n1,000 stops over HTTP while 1,000 commands wait: {words} (load {load:.1f})")
    assert p99(took) <= STOP_MS


async def stops_over_http(client: httpx.AsyncClient, robot: Robot, count: int) -> list[float]:
    """Have so many commands wait for robot a, and stop robot b so many times, at last a; the seconds each stop took."""
    rule = msgspec.to_builtins(DRIVERS)
    (await client.post("/policy/rules", json=rule)).raise_for_status()
    lease = (await client.post("/hardware/robots/a/lease", json={"agent_id": "driver-1"})).raise_for_status().json()
    move = {"agent_id": "driver-1", "lease_token": lease["token"], "linear_x": 0.5}
    many: list[asyncio.Task[httpx.Response]] = []

    async def waiting() -> int:
        rows = (await client.get("/hardware/robots")).json()
        return int(next(row["waiting"] for row in rows if row["robot"] == "a"))

    async def all_wait() -> bool:
        there, on_their_way = await waiting(), sum(not task.done() for task in many)
        missing = count - on_their_way
        many.extend(asyncio.create_task(client.post("/hardware/robots/a/command", json=move)) for _ in range(missing))
        return there >= count * 19 // 20

    took, least = [], count
    for number in range(count):
        if number % 100 == 0:
            await until(all_wait, 120)
        heard, began = len(robot.stops), time.monotonic()
        stop = {"robot_id": "b", "by": "ann", "reason": "a test"}
        (await client.post("/hardware/stop", json=stop)).raise_for_status()
        await until(lambda heard=heard: len(robot.stops) > heard)  # type: ignore[misc]
        took.append(robot.stops[heard] - began)
        if number % 100 == 99:
            least = min(least, await waiting())
    assert least > count // 2, f"at one time only {least} commands waited"
    (await client.post("/hardware/stop", json={"robot_id": "a", "by": "ann", "reason": "the end"})).raise_for_status()
    answers = Counter(answer.status_code for answer in await asyncio.gather(*many))
    assert answers.keys() <= {200, 409, 503}  # sent, overtaken by the stop or too old, one too many
    assert answers[409] > count // 2
    assert await waiting() == 0
    return took


async def deadmen(folder: Path, count: int) -> None:
    """Move so many robots, and then say nothing: each is stopped, and none sooner than it should be."""
    names = [f"r{number}" for number in range(count)]
    async with fleet(folder, robots=robots(*names, deadman_seconds=0.5)) as here:
        for start in range(0, count, 4):  # as many as threads write at once
            await asyncio.gather(*(here.drive(name) for name in names[start : start + 4]))
        await until(lambda: all(here.stops(name) == ["deadman"] for name in names))
        for name in names:
            moved, stopped = here.mock(name).received
            assert stopped.at - moved.at >= 0.49
            assert here.mock(name).movement == Movement()

        async def all_told() -> bool:
            return len(await here.events("hardware.deadman_stopped")) >= count

        await until(all_told)  # a stop is written down after the robot has it
        events = await here.events("hardware.deadman_stopped")
        assert sorted(event.payload["robot_id"] for event in events) == sorted(names)


async def test_a_robot_without_commands_is_stopped_by_its_deadman(tmp_path: Path) -> None:
    await deadmen(tmp_path, 20)


@pytest.mark.long
async def test_a_thousand_of_a_thousand_robots_are_stopped_by_their_deadman(tmp_path: Path) -> None:
    await deadmen(tmp_path, 1_000)


async def test_a_deadman_waits_as_long_as_commands_come_and_a_robot_that_stands_needs_none(tmp_path: Path) -> None:
    async with fleet(tmp_path, robots=robots("rover", deadman_seconds=1.5)) as here:
        token = (await here.service.lease("rover", "driver-1")).token
        began = time.monotonic()
        while time.monotonic() - began < 2.0:
            await here.service.command("rover", "driver-1", token, FORWARD)
        assert here.stops() == []
        await here.service.command("rover", "driver-1", token, Movement())
        assert here.service.records.moving() == []
    assert here.stops() == []


class Robot:
    """A robot behind HTTP that can be deaf."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Mapping[str, Any]]] = []
        self.stops: list[float] = []
        """When it was stopped, by `time.monotonic()`."""
        self.deaf = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/stop":
            self.stops.append(time.monotonic())
        body = (await receive())["body"]
        status = 503 if self.deaf else 200
        if not self.deaf and scope["method"] == "POST":
            self.taken.append((scope["path"], msgspec.json.decode(body)))
        answer = b'{"battery_percentage": 71}'
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


@contextlib.asynccontextmanager
async def served(robot: Robot) -> Any:
    """Its address, while it listens."""
    import uvicorn

    from support.ports import free_port

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(robot, port=port, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


async def test_a_robot_behind_http_is_moved_stopped_and_asked_and_a_deaf_one_is_stopped_when_it_hears(
    tmp_path: Path,
) -> None:
    robot = Robot()
    async with served(robot) as url:
        table = {"rover": {"driver": "http", "options": {"url": url, "token": "t"}, "timeout": 5}}
        async with fleet(tmp_path, robots=table) as here:
            assert isinstance(here.service.robots["rover"].driver, HttpDriver)
            token = (await here.service.lease("rover", "driver-1")).token
            await here.service.command("rover", "driver-1", token, FORWARD)
            path, body = robot.taken[0]
            assert (path, body["seq"], body["lease_token"], body["linear_x"]) == ("/command", 1, token, 0.5)
            assert await here.service.state("rover") == {"battery_percentage": 71}
            await until(lambda: ("/stop", {"robot_id": "rover", "reason": "deadman"}) in robot.taken)
            robot.deaf = True
            result = await here.service.command("rover", "driver-1", token, FORWARD)
            assert (result.state, "answered 503" in result.reason) == ("TIMEOUT", True)
            report = await here.service.stop("rover", "ann", "a test")
            assert (report.robots[0].reached, report.recorded) == (False, True)
            count = len(robot.taken)
            robot.deaf = False
            await until(lambda: len(robot.taken) > count)
            assert robot.taken[-1][0] == "/stop"
            await until(lambda: here.service.records.moving() == [])
        assert [event.payload["not_reached"] for event in await _events(tmp_path)] == [["rover"]]


async def _events(folder: Path) -> list[Any]:
    from brain import EventStream

    async with EventStream.open(f"sqlite:///{folder}/brain.db") as stream:
        return [event async for event in stream.replay("hardware.emergency_stop")]


async def test_a_robot_that_is_not_there_is_an_unavailable_one(tmp_path: Path) -> None:
    table = {"rover": {"driver": "http", "options": {"url": "http://127.0.0.1:9"}}}
    async with fleet(tmp_path, robots=table) as here:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9 does not answer"):
            await here.service.state("rover")


async def test_a_stop_that_another_process_recorded_holds_here_too(tmp_path: Path) -> None:
    slow = robots("rover", deadman_seconds=60)
    async with fleet(tmp_path, robots=slow) as here:
        token = await here.drive()
        async with fleet(tmp_path, robots=slow, run=False) as other:
            other.service._serving = False  # as `brain hardware stop` opens it: a mock is in the server alone
            report = await other.service.stop(None, "ann", "from the shell")
            assert (report.robots[0].reached, report.recorded) == (False, True)
            await ship_waiting(other.context.database, CONSUMER, other.context.stream)
            await until(lambda: here.stops() == ["emergency"])
            with pytest.raises(Conflict, match="an emergency stop holds"):
                await here.service.command("rover", "driver-1", token, FORWARD)
            await other.service.clear("rover", "ann", "over")
        await here.drive()
    assert here.moved() == ["driver-1", "driver-1"]


async def test_what_a_process_that_ended_left_moving_is_stopped_at_the_next_start(tmp_path: Path) -> None:
    slow = robots("rover", deadman_seconds=60)
    async with fleet(tmp_path, robots=slow, lease_seconds=0.5, run=False) as here:
        await here.drive()
        control = here.service.robots["rover"]
        control._disarm()  # as a process that is killed: nothing of it stops the robot
    async with fleet(tmp_path, robots=slow, interval=0.1) as here:
        await until(lambda: "restart" in here.stops() or "lease_ended" in here.stops())
        await until(lambda: here.service.records.moving() == [])
        assert list(here.service.records.held().values()) == []


async def test_what_this_process_drove_was_not_left_by_one_that_ended(tmp_path: Path) -> None:
    slow = robots("rover", deadman_seconds=60)
    async with fleet(tmp_path, robots=slow, run=False) as here:
        await here.drive()
        assert here.service.records.revoke(["driver-1"]) == ["rover"]
        await here.service.stop_left_moving()  # the look at the start comes late, between the lease's end and the stop
        assert here.stops() == []


async def test_the_kill_switch_stops_whom_it_does_not_let_through(tmp_path: Path) -> None:
    slow = robots("one", "two", deadman_seconds=60)
    async with fleet(tmp_path, robots=slow) as here:
        await here.drive("one", "driver-1")
        await here.drive("two", "driver-2")
        await asyncio.to_thread(here.engine.kill_switch, reason="an attack", allow=["driver-2"])
        await until(lambda: here.stops("one") == ["lease_ended"])
        assert here.service.records.held().keys() == {"two"}
        assert here.stops("two") == []


async def test_a_command_that_waits_too_long_is_too_old(tmp_path: Path) -> None:
    slow = robots("rover", options={"seconds": 1.6}, command_ttl=0.8, deadman_seconds=60, timeout=5)
    async with fleet(tmp_path, robots=slow) as here:
        token = (await here.service.lease("rover", "driver-1")).token
        many = [here.service.command("rover", "driver-1", token, FORWARD) for _ in range(3)]
        results = await asyncio.gather(*many, return_exceptions=True)
        assert [type(result) for result in results] == [CommandResult, Conflict, Conflict]
        assert "and may not for more than 0.8 s" in str(results[1])
        assert len(here.moved()) == 1


async def test_a_queue_takes_no_more_than_its_bound(tmp_path: Path) -> None:
    slow = robots("rover", options={"seconds": 30}, queue=2, deadman_seconds=60, timeout=60)
    async with fleet(tmp_path, robots=slow) as here:
        token = (await here.service.lease("rover", "driver-1")).token
        many = [asyncio.create_task(here.service.command("rover", "driver-1", token, FORWARD)) for _ in range(5)]
        await until(lambda: sum(task.done() for task in many) == 2)
        assert [str(task.exception())[:28] for task in many if task.done()] == ["robot rover: 2 commands wait"] * 2
        await here.service.stop(None, "ann", "enough")
        await asyncio.gather(*many, return_exceptions=True)


async def test_a_key_gives_back_what_it_made_and_moves_nothing_twice(tmp_path: Path) -> None:
    async with fleet(tmp_path) as here:
        token = (await here.service.lease("rover", "driver-1")).token
        first = await here.service.command("rover", "driver-1", token, FORWARD, key="k")
        assert await here.service.command("rover", "driver-1", token, FORWARD, key="k") == first
        with pytest.raises(Conflict, match="other content"):
            await here.service.command("rover", "driver-1", token, Movement(linear_x=0.1), key="k")
        assert len(here.moved()) == 1


async def test_wheels_on_pins_turn_and_a_stop_takes_their_power() -> None:
    gpiozero = pytest.importorskip("gpiozero")
    from gpiozero.pins.mock import MockFactory, MockPWMPin

    from brain.hardware.drivers import make_driver

    gpiozero.Device.pin_factory = MockFactory(pin_class=MockPWMPin)
    try:
        driver = make_driver("rover", "gpio", {"left": [4, 17], "right": [22, 23], "power": 5})
        pin = gpiozero.Device.pin_factory.pin
        command = RobotCommand(
            id="c", robot="rover", agent="a", token=1, movement=Movement(linear_x=0.5, angular_z=1.0), asked_at=0.0
        )
        await driver.send(command, 1)
        assert (pin(4).state, pin(22).state, bool(pin(5).state)) == (pytest.approx(0.25), pytest.approx(0.75), True)
        await driver.stop(StopReason.EMERGENCY)
        assert (pin(4).state, pin(22).state, bool(pin(5).state)) == (0, 0, False)
        await driver.send(command, 2)
        await driver.close()  # without power, whatever was driven last; the pins are inputs then
        assert (bool(pin(5).state), pin(5).function, pin(4).function) == (False, "input", "input")
    finally:
        gpiozero.Device.pin_factory = None
