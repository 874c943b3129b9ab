"""`brain hardware`: watch this host, list devices and robots, stop robots, clear a stop."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    import sqlalchemy as sa

    from brain.hardware.devices import Device
    from brain.hardware.readings import HostReading
    from brain.hardware.service import HardwareService, Robot, StopReport

T = TypeVar("T")

RobotArgument = Annotated[str | None, typer.Argument(metavar="[ROBOT]", help="The robot's name; none: all of them.")]
ByOption = Annotated[str, typer.Option(help="The person who does it.")]
ReasonOption = Annotated[str, typer.Option(help="Why.")]

app: typer.Typer = typer.Typer(
    no_args_is_help=True,
    epilog="Examples: brain hardware watch --once · brain hardware devices --json · "
    "brain hardware stop --by ann --reason smoke · brain hardware clear rover --by ann --reason 'it was steam'",
)


@app.command()
def watch(
    seconds: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between two readings.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Read once, and end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print how this host is, until Ctrl-C: it needs no server and no database."""
    import msgspec

    from brain.hardware.host import HostSensors
    from brain.hardware.settings import HardwareSettings
    from brain.settings import load_settings

    settings = load_settings().table(HardwareSettings)
    sensors = HostSensors(settings.paths, smart=settings.smart)
    sensors.read()  # how busy the processors are shows from the second reading on
    try:
        time.sleep(min(seconds, 0.5))
        while True:
            reading = sensors.read()
            if as_json:
                print_json_array([msgspec.to_builtins(reading)])
            else:
                _print_reading(reading)
            if once:
                return
            time.sleep(seconds)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def devices(stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Print hosts and robots with their last readings, the limits they cross, and what will be used up."""
    from brain.hardware.devices import list_devices

    found: list[Device] = _read(stream, database, list_devices)
    if as_json:
        print_json_array(found)
        return
    _print_table(
        ("Device", "Driver", "Last reading", "Limits crossed", "Forecasts"),
        [
            (
                device.id,
                device.driver,
                _moment(device.seen_at),
                ", ".join(f"{limit.metric} {limit.value:.1f}" for limit in device.limits if limit.crossed),
                ", ".join(f"{one.metric} full {_moment(one.exhausted_at)}" for one in device.forecasts),
            )
            for device in found
        ],
        "there are no devices yet: `brain serve` and `brain worker hardware` add their host",
    )


@app.command()
def robots(stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Print the robots of the settings, who drives each, and whether it is stopped."""
    from brain.kit.cli.database import check_database
    from brain.settings import load_settings

    check_database(load_settings(stream=stream, database=database))
    found: list[Robot] = _with_service(stream, database, lambda service: service.list_robots())
    if as_json:
        print_json_array(found)
        return
    rows = [
        (
            one.robot,
            one.driver,
            one.holder or "nobody",
            f"{one.stopped_by}: {one.stop_reason}" if one.stopped_at else "",
        )
        for one in found
    ]
    _print_table(("Robot", "Driver", "Driven by", "Stopped by"), rows, "the settings have no [hardware.robots.NAME]")


@app.command()
def stop(
    robot: RobotArgument = None,
    by: ByOption = "a person at the command line",
    reason: ReasonOption = "no reason given",
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop one robot or all at once, past the server; ends with exit code 1 when one did not take it."""
    from brain.errors import InvalidInput
    from brain.hardware.settings import HardwareSettings
    from brain.settings import load_settings

    if not load_settings(stream=stream, database=database).table(HardwareSettings).robots:
        raise InvalidInput("no robot is stopped: no [hardware.robots.NAME] is set here; use the folder of the server")
    report: StopReport = _with_service(stream, database, lambda service: service.stop(robot, by, reason))
    if as_json:
        print_json(report)
    for one in () if as_json else report.robots:
        words = f"stopped within {one.seconds * 1000:.0f} ms" if one.reached else "did not answer here"
        print_text(f"{one.robot}: {words}; it takes no command until `brain hardware clear {one.robot}`")
    if report.recorded:
        run(_announce(stream, database))
    else:
        print_text("the database does not answer: a server may go on until it has the stop; stop it too", err=True)
    if not report.recorded or not all(one.reached for one in report.robots):
        print_text("a server that runs is asked to stop what was not reached, and tries on and on", err=True)
        raise typer.Exit(1)


@app.command()
def clear(
    robot: RobotArgument = None,
    by: ByOption = "a person at the command line",
    reason: ReasonOption = "no reason given",
    stream: StreamOption = None,
    database: DatabaseOption = None,
) -> None:
    """End an emergency stop, if the rules let `--by` do so (hardware.clear_stop)."""

    async def clear_it() -> list[str]:
        from brain.hardware.models import CONSUMER
        from brain.kit.outbox import send_waiting

        async with _serving_parts(stream, database) as (service, context):
            cleared = await service.clear(robot, by, reason)
            await send_waiting(context, CONSUMER)
            return cleared

    cleared = run(clear_it())
    print_text(f"cleared: {', '.join(cleared)}" if cleared else "no robot was stopped")


@app.command()
def forget(
    device: Annotated[str, typer.Argument(metavar="ID", help="The device, host:NAME.")],
    stream: StreamOption = None,
    database: DatabaseOption = None,
) -> None:
    """Forget a host that is gone, with its limits and forecasts."""
    from brain.hardware.devices import forget_host
    from brain.hardware.tables import make_tables
    from brain.kit.cli.database import opened_database

    with opened_database(stream, database) as (_, engine):
        make_tables(engine)
        with engine.begin() as db:
            forget_host(db, device, time.time())
    print_text(f"{device} is forgotten")


def _read(stream: str | None, database: str | None, query: Callable[[sa.Connection], T]) -> T:
    from brain.hardware.tables import make_tables
    from brain.kit.cli.database import opened_database
    from brain.kit.database import reading

    with opened_database(stream, database) as (_, engine):
        make_tables(engine)
        with reading(engine).begin() as db:
            return query(db)


def _with_service(
    stream: str | None, database: str | None, method: Callable[[HardwareService], Coroutine[Any, Any, T]]
) -> T:
    """Run the service's method beside a server that may run; stream and store are not opened."""
    from brain.hardware.service import HardwareService
    from brain.kit.context import database_context
    from brain.settings import load_settings

    async def work() -> T:
        with database_context(load_settings(stream=stream, database=database)) as context:
            async with HardwareService.open(context, serving=False) as service:
                return await method(service)

    return run(work())


async def _announce(stream: str | None, database: str | None) -> None:
    """Take the recorded stop to the stream: a server follows it, and looks seldom for what others recorded."""
    from brain import EventStream
    from brain.errors import Unavailable
    from brain.hardware.models import CONSUMER
    from brain.kit.context import database_context
    from brain.kit.outbox import ship_waiting
    from brain.settings import load_settings

    settings = load_settings(stream=stream, database=database)
    with database_context(settings) as context:
        try:
            async with EventStream.open(settings.stream) as opened:
                await ship_waiting(context.database, CONSUMER, opened)
        except Unavailable as error:
            print_text(f"the stream is away: a server that runs stops what was not reached later: {error}", err=True)


@asynccontextmanager
async def _serving_parts(stream: str | None, database: str | None) -> AsyncIterator[tuple[HardwareService, Any]]:
    """The service on stream, store and database: for what the rules decide."""
    from brain import EventStream
    from brain.hardware.service import HardwareService
    from brain.kit.cli.database import check_database
    from brain.settings import load_settings

    settings = load_settings(stream=stream, database=database)
    check_database(settings)
    async with EventStream.open(settings.stream) as opened:
        with _context(opened, settings) as context:
            async with HardwareService.open(context, serving=False) as service:
                yield service, context


@contextmanager
def _context(stream: Any, settings: Any) -> Iterator[Any]:
    from contextlib import closing

    from brain.kit.context import plugin_context
    from brain.store import open_store

    with closing(open_store(settings.store_url)) as store, plugin_context(stream, store, settings) as context:
        yield context


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], none: str) -> None:
    from rich.table import Table

    from brain.kit.cli.tables import cell, print_table

    if not rows:
        print_text(none, err=True)
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    print_table(table)


def _print_reading(reading: HostReading) -> None:
    from brain.hardware.readings import metrics_of
    from brain.kit.cli.text import printable

    print_text(f"{printable(reading.host)}  {_moment(reading.at)}")
    for name, value in metrics_of(reading).items():
        print_text(f"  {printable(name)}: {value:.1f}")
    for name, why in reading.unavailable.items():
        print_text(f"  {printable(name)}: not available: {printable(why)}")


def _moment(at: float | None) -> str:
    from brain.kit.cli.text import moment

    return "never" if at is None else moment(at)
