"""`brain missions order` and `check`: messages of VDA 5050 for robots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brain.kit.cli.common import JsonOption, print_json
from brain.kit.cli.text import print_text

RobotOption = Annotated[str, typer.Option(metavar="SERIAL", help="The robot's serial number.")]


def order(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The path: a JSON list of [x, y, theta].", exists=True)],
    robot: RobotOption,
    map_id: Annotated[str, typer.Option("--map", help="The map that the places are on.")],
    manufacturer: Annotated[str, typer.Option(help="The robot's manufacturer.")] = "brain",
    order_id: Annotated[str, typer.Option("--order", help="The order's id.")] = "order-1",
    tolerance: Annotated[float, typer.Option(min=0, help="Metres by which the lines may leave the path.")] = 0.2,
    speed: Annotated[float | None, typer.Option(min=0, help="Highest speed, in m/s.")] = None,
) -> None:
    """Make an order of VDA 5050 3.0.0 from a path."""
    from brain.kit.documents import read_document
    from brain.missions.vda5050.messages import Headers
    from brain.missions.vda5050.orders import OrderOptions, as_poses, make_order, stops_of_path

    stops = stops_of_path(as_poses(read_document(path)), tolerance)
    options = OrderOptions(map_id=map_id, order_id=order_id, speed=speed)
    print_json(make_order(Headers(manufacturer, robot), stops, options))


def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Messages, as JSON.", exists=True)],
    topic: Annotated[str, typer.Option(help="order, state, instantActions, connection, ...")] = "order",
    schemas: Annotated[
        Path | None, typer.Option(help="Folder with the official schemas; else our checks alone.")
    ] = None,
    about: Annotated[
        Path | None,
        typer.Option("--order", help="The order that these update, or that these states are of.", exists=True),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check messages of VDA 5050 3.0.0 by the official schemas and for what these do not see; exit 1 for a fault."""
    from brain.kit.cli.text import printable
    from brain.kit.documents import read_document
    from brain.missions.vda5050.schemas import Schemas, faults_of

    official = None if schemas is None else Schemas(schemas)
    known = None if about is None else read_document(about)
    found = {str(file): faults_of(topic, read_document(file), official, known) for file in files}
    if as_json:
        print_json(found)
    else:
        for file, faults in found.items():
            print_text(printable(f"{file}: {len(faults) or 'no'} fault{'s' * (len(faults) > 1)}"))
            for fault in faults:
                print_text(printable(f"  {fault}"))
    raise typer.Exit(1 if any(found.values()) else 0)
