"""`brain slam`: trajectories against the ground truth; maps: published, compared, approved."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.slam.map_service import MapService

T = TypeVar("T")

app: typer.Typer = typer.Typer(
    no_args_is_help=True,
    epilog="Examples: brain slam evaluate run.txt truth.txt --format tum · "
    "brain slam evaluate run.txt truth.csv --reference-format euroc · brain slam map diff hall.yaml new.yaml · "
    "brain slam map publish hall.yaml --map hall --by ann · brain slam map approve hall --by ann",
)
maps: typer.Typer = typer.Typer(no_args_is_help=True)
app.add_typer(maps, name="map", help="Occupancy maps (PGM with YAML).")

MapArgument = Annotated[str, typer.Argument(metavar="MAP", help="The map's name.", show_default=False)]
FormatOption = Annotated[str, typer.Option(help="tum, kitti or euroc.")]


@app.callback()
def slam() -> None:
    """Where robots are."""


@app.command()
def evaluate(
    estimate: Annotated[Path, typer.Argument(metavar="TRAJECTORY", help="The trajectory.", show_default=False)],
    reference: Annotated[Path, typer.Argument(metavar="TRUTH", help="The ground truth.", show_default=False)],
    format: FormatOption = "tum",
    reference_format: Annotated[str | None, typer.Option(help="That of the ground truth, if it is another.")] = None,
    align: Annotated[bool, typer.Option(help="Move and turn the trajectory to fit first.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Print how far a trajectory is from the ground truth: ATE and RPE."""
    from brain.slam.evaluation import evaluate as compare
    from brain.slam.trajectories import read_trajectory

    truth = read_trajectory(reference, reference_format or format)
    found = compare(read_trajectory(estimate, format), truth, align=align)
    if as_json:
        print_json(found)
        return
    print_text(f"{found.pairs:,} pairs{', aligned' if found.aligned else ''}")
    print_text(f"  ATE  rmse {found.ate_rmse:.6f} m  max {found.ate_max:.6f} m")
    print_text(f"  RPE  rmse {found.rpe_rmse:.6f} m  max {found.rpe_max:.6f} m")


@maps.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD.yaml", help="The map of before.", show_default=False)],
    new: Annotated[Path, typer.Argument(metavar="NEW.yaml", help="The map of now.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Print how many cells mean something else, and their area."""
    from brain.slam.maps import difference, read_map

    found = difference(read_map(old), read_map(new))
    if as_json:
        print_json(found)
        return
    print_text(f"{found.changed_cells:,} cells changed, {found.area_m2:.2f} m²")
    print_text(f"  {found.became_occupied:,} became occupied, {found.became_free:,} became free")


@maps.command()
def publish(
    file: Annotated[Path, typer.Argument(metavar="MAP.yaml", help="The map.", show_default=False)],
    by: Annotated[str, typer.Option(help="Who publishes it.")],
    map: Annotated[str | None, typer.Option("--map", help="Its name; none: that of the file.")] = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
) -> None:
    """Keep a version of a map, unless a rule on slam.publish_map is against it; no robot may load it yet."""
    from brain.slam.maps import read_files

    form, image = read_files(file)
    name = _checked(map or file.stem)
    found = _with_maps(stream, database, lambda service: service.publish(name, form, image, by))
    approved = "nobody approved it yet" if found.approved_by is None else f"approved by {found.approved_by}"
    print_text(f"{name}: version {found.version}, {found.sha256}, {approved}")


@maps.command("list")
def list_all(stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Print the newest version of each map."""
    from brain.kit.cli.text import printable

    found = _with_maps(stream, database, lambda service: service.maps())
    if as_json:
        print_json_array(found)
        return
    for one in found:
        approved = "not approved" if one.approved_by is None else f"approved by {one.approved_by}"
        size = f"{one.width} x {one.height} cells of {one.form.resolution:g} m"
        print_text(printable(f"{one.map}: version {one.version}, {size}, {one.sha256}, {approved}"))
    if not found:
        print_text("there are no maps yet: brain slam map publish MAP.yaml --by NAME", err=True)


@maps.command()
def approve(
    map: MapArgument,
    by: Annotated[str, typer.Option(help="Who approves it.")],
    version: Annotated[int | None, typer.Option(min=1, help="The version; none: the newest.")] = None,
    sha256: Annotated[str | None, typer.Option(help="Of the version that was looked at; none: as it is.")] = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
) -> None:
    """Let robots load a version of a map, unless a rule on slam.approve_map is against it."""

    async def work(service: MapService) -> Any:
        chosen = (await service.versions(map))[0].version if version is None else version
        return await service.approve(map, chosen, sha256, by)

    found = _with_maps(stream, database, work)
    print_text(f"{map}: version {found.version}, {found.sha256}, approved by {found.approved_by}")


def _checked(name: str) -> str:
    import re

    from brain.errors import InvalidInput
    from brain.slam.map_forms import MAP_NAME

    if not re.fullmatch(MAP_NAME, name):
        raise InvalidInput(f"--map {name[:100]!r}: take letters, digits, dots, hyphens and underscores, at most 100")
    return name


def _with_maps(stream: str | None, database: str | None, method: Callable[[MapService], Coroutine[Any, Any, T]]) -> T:
    """Run the service's method on stream, store and database, and send what it announces."""
    import time
    from contextlib import closing

    from brain import EventStream
    from brain.kit.context import plugin_context
    from brain.kit.outbox import ship_waiting
    from brain.settings import load_settings
    from brain.slam.map_service import MapService
    from brain.slam.records import CONSUMER
    from brain.store import open_store

    async def work() -> T:
        settings = load_settings(stream=stream, database=database)
        async with EventStream.open(settings.stream) as opened:
            with closing(open_store(settings.store_url)) as store, plugin_context(opened, store, settings) as context:
                service = MapService(context, time.time)
                try:
                    return await method(service)
                finally:
                    await service.close()
                    await ship_waiting(context.database, CONSUMER, opened)

    return run(work())
