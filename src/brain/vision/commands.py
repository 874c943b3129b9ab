"""`brain vision`: cameras, models, and videos looked at without a server."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.vision.cameras import Camera
    from brain.vision.service import VisionService

T = TypeVar("T")

app: typer.Typer = typer.Typer(
    no_args_is_help=True,
    epilog="Examples: brain vision cameras add hall --source rtsp://cam-1/main --zones hall.json · "
    "brain vision cameras list · brain vision run visit.mp4 --detector faces · "
    "brain vision models approve yard --by ann · brain vision evaluate test.txt gt.txt",
)
cameras: typer.Typer = typer.Typer(no_args_is_help=True)
models: typer.Typer = typer.Typer(no_args_is_help=True)
app.add_typer(cameras, name="cameras", help="The cameras: list, set up, remove.")
app.add_typer(models, name="models", help="Detectors of your own, as ONNX files: list, approve.")

CameraArgument = Annotated[str, typer.Argument(metavar="CAMERA", help="The camera's name.", show_default=False)]
ByOption = Annotated[str, typer.Option(help="Who does it.")]
ZonesOption = Annotated[
    Path | None,
    typer.Option(help='JSON: {"zones": [{"zone", "polygon", "robot", "dwell"}], "lines": [{"line", "start", "end"}]}.'),
]
DetectorOption = Annotated[str, typer.Option(help="faces, people, a model of the settings, or none.")]
_PERSON = "a person at the command line"


@app.callback()
def vision() -> None:
    """Cameras: what they see, and how they are."""


@cameras.command("list")
def list_all(stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Print the cameras, how each is, and how many are in its zones."""
    from brain.kit.cli.database import opened_database
    from brain.kit.cli.text import printable
    from brain.kit.database import reading
    from brain.vision.records import list_cameras
    from brain.vision.tables import make_tables

    with opened_database(stream, database) as (_, engine):
        make_tables(engine)
        with reading(engine).begin() as db:
            found = list_cameras(db)
    if as_json:
        print_json_array(found)
        return
    for one in found:
        state = f"down: {one.reason}" if not one.up else one.fault or "up"
        zones = ", ".join(f"{zone} {count}" for zone, count in one.present.items()) or "no zones"
        print_text(printable(f"{one.camera.camera}: {state}; {zones}"))
    if not found:
        print_text("there are no cameras yet: brain vision cameras add NAME --source ...", err=True)


@cameras.command()
def add(
    camera: CameraArgument,
    source: Annotated[str, typer.Option(help="rtsp://HOST/PATH, a file below [vision] folder, or posted.")],
    detector: DetectorOption = "people",
    zones: ZonesOption = None,
    by: ByOption = _PERSON,
    stream: StreamOption = None,
    database: DatabaseOption = None,
) -> None:
    """Set a camera up, or again, unless a rule on vision.enable is against it; a server that runs takes it up."""
    made = _camera(camera, source, detector, zones)
    _with_service(stream, database, lambda service: service.put(made, by), creates=True)
    print_text(f"{camera} is set up; it is up once its pictures come")


@cameras.command()
def remove(
    camera: CameraArgument, by: ByOption = _PERSON, stream: StreamOption = None, database: DatabaseOption = None
) -> None:
    """Forget a camera, unless a rule on vision.remove is against it."""
    _with_service(stream, database, lambda service: service.remove(camera, by))
    print_text(f"{camera} is removed")


@models.command("list")
def list_models(stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Print the models of the settings, the hash of each file now, and who approved it."""
    from brain.kit.cli.text import printable

    async def read(service: VisionService) -> Any:
        return service.models.list()

    found = _with_service(stream, database, read)
    if as_json:
        print_json_array(found)
        return
    for one in found:
        state = "its file cannot be read" if one.sha256 is None else f"{one.sha256}, {_approval(one.approved_by)}"
        print_text(printable(f"{one.model}: {one.file}: {state}"))
    if not found:
        print_text("the settings have no [vision.models.NAME]", err=True)


@models.command()
def approve(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.", show_default=False)],
    by: Annotated[str, typer.Option(help="Who approves it.")],
    sha256: Annotated[str | None, typer.Option(help="Of the file that was looked at; none: as it is now.")] = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
) -> None:
    """Let cameras use a model's file as it is now, unless a rule on vision.approve_model is against it."""
    found = _with_service(stream, database, lambda service: service.approve(model, sha256, by))
    print_text(f"{model}: {found.sha256}, {_approval(found.approved_by)}")


@app.command("run")
def run_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video.", show_default=False)],
    detector: Annotated[str, typer.Option(help="faces or people.")] = "faces",
    zones: ZonesOption = None,
    rate: Annotated[float | None, typer.Option(help="Most pictures a second; none: all of them.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Look at a video as a camera would, and print what happens: it needs no server and no database."""
    from brain.kit.cli.text import printable
    from brain.vision.offline import look_at

    report = look_at(_camera("video", str(file), detector, zones), file, rate)
    if as_json:
        print_json(report)
        return
    for one in report.happened:
        print_text(printable(f"  {one.seconds:6.2f} s  {one.words}"))
    counts = ", ".join(f"{count} with a {label}" for label, count in report.pictures_with.items()) or "nothing in any"
    print_text(f"{report.pictures} pictures, {counts}")


@app.command()
def evaluate(
    boxes: Annotated[Path, typer.Argument(metavar="BOXES", help="What a detector found.", show_default=False)],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="What people drew.", show_default=False)],
    rate: Annotated[float, typer.Option(min=0.1, max=1000, help="Pictures a second.")] = 25.0,
    as_json: JsonOption = False,
) -> None:
    """Print how good the tracks are that the tracker makes of boxes, both as files of the MOT challenge."""
    from brain.vision.evaluation import quality, read_boxes, tracked

    found = quality(tracked(read_boxes(boxes), rate), read_boxes(truth))
    if as_json:
        print_json(found)
        return
    print_text(f"MOTA {found.mota:.3f}: {found.boxes:,} boxes of {found.people} people")
    print_text(f"  {found.missed} missed, {found.wrong} wrong, {found.switches} switches")


def _approval(by: str | None) -> str:
    return "nobody approved it" if by is None else f"approved by {by}"


def _camera(name: str, source: str, detector: str, zones: Path | None) -> Camera:
    """The camera of these options. Raises InvalidInput for a file that does not say zones and lines."""

    from brain.vision.http_models import NewCamera

    given: dict[str, Any] = {}
    if zones is not None:
        given = _read_zones(zones)
    from pydantic import ValidationError

    from brain.errors import InvalidInput
    from brain.model_faults import model_faults

    try:
        new = NewCamera.model_validate({**given, "source": source, "detector": detector, "by": _PERSON})
    except ValidationError as error:
        raise InvalidInput(f"{zones or name}: {'; '.join(model_faults(error, 'the camera'))}") from error
    return new.camera(name)


def _read_zones(path: Path) -> dict[str, Any]:
    from brain.errors import InvalidInput
    from brain.kit.documents import json_in, read_bytes

    found = json_in(read_bytes(path), str(path))
    if not isinstance(found, dict) or not {*found} <= {"zones", "lines"}:
        raise InvalidInput(f'{path}: write {{"zones": [...], "lines": [...]}}, and nothing else')
    return found


def _with_service(
    stream: str | None,
    database: str | None,
    method: Callable[[VisionService], Coroutine[Any, Any, T]],
    *,
    creates: bool = False,
) -> T:
    """Run the service's method on stream, store and database, and send what it announces.

    Raises InvalidInput where there is no database, unless it `creates` a camera.
    """
    from contextlib import closing

    from brain import EventStream
    from brain.kit.cli.database import check_database
    from brain.kit.context import plugin_context
    from brain.kit.outbox import ship_waiting
    from brain.settings import load_settings
    from brain.store import open_store
    from brain.vision.records import CONSUMER
    from brain.vision.service import VisionService

    settings = load_settings(stream=stream, database=database)
    if not creates:
        check_database(settings)

    async def work() -> T:
        async with EventStream.open(settings.stream) as opened:
            with closing(open_store(settings.store_url)) as store, plugin_context(opened, store, settings) as context:
                service = VisionService(context)
                try:
                    return await method(service)
                finally:
                    await service.close()
                    await ship_waiting(context.database, CONSUMER, opened)

    return run(work())
