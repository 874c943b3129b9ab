"""`brain slam`: trajectories against the ground truth, and what changed from one map to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brain.kit.cli.common import JsonOption, print_json

app: typer.Typer = typer.Typer(
    no_args_is_help=True,
    epilog="Examples: brain slam evaluate run.txt truth.txt --format tum · "
    "brain slam evaluate run.txt truth.csv --reference-format euroc · brain slam map diff hall.yaml new.yaml",
)
maps: typer.Typer = typer.Typer(no_args_is_help=True)
app.add_typer(maps, name="map", help="Occupancy maps (PGM with YAML).")

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
    typer.echo(f"{found.pairs:,} pairs{', aligned' if found.aligned else ''}")
    typer.echo(f"  ATE  rmse {found.ate_rmse:.6f} m  max {found.ate_max:.6f} m")
    typer.echo(f"  RPE  rmse {found.rpe_rmse:.6f} m  max {found.rpe_max:.6f} m")


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
    typer.echo(f"{found.changed_cells:,} cells changed, {found.area_m2:.2f} m²")
    typer.echo(f"  {found.became_occupied:,} became occupied, {found.became_free:,} became free")
