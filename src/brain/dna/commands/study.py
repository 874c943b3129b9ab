"""`brain dna study`: look for a better genome by trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.dna.commands.services import ByOption, FileArgument, change, look, read_file, report
from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json_array
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.dna.studies import NewStudy, TrialGenome
    from brain.dna.trials import Result

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The study's id, st_...")]

app: typer.Typer = typer.Typer(no_args_is_help=True)


@app.callback()
def study() -> None:
    """Look for a better genome: start a study, ask for trials, tell their results.

    Examples:

    brain dna study start study.json --by ann

    brain dna study ask st_8c0d2f5ab1e94773 --by ann

    brain dna study tell st_8c0d2f5ab1e94773 0=0.94 --by ann
    """


@app.command()
def start(
    file: FileArgument,
    by: ByOption,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a study; FILE has agent_id and genes, and objective, sampler, seed, budget, workers where they matter."""
    new = _new_study(read_file(file, stream), by)
    made = change(stream, database, lambda services: services.studies.start(new), creates=True)
    report(made, f"{made.id}: {made.sampler}, seed {made.seed}, {made.budget} trials", as_json)


@app.command()
def ask(
    id: IdArgument,
    by: ByOption,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a trial, and print its genome."""
    report_trial(change(stream, database, lambda services: services.studies.ask(id, by)), as_json)


@app.command()
def tell(
    id: IdArgument,
    result: Annotated[
        str, typer.Argument(metavar="RESULT", help="7=0.94, 7=FAILED, 7=PRUNED; 7: as counted on the stream.")
    ],
    by: ByOption,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a trial its result; a second time the first one counts."""
    number, given = read_result(result, by)
    trial = change(stream, database, lambda services: services.studies.tell(id, number, given))
    report(trial, f"trial {trial.number}: {trial.state.value}, score {trial.score}", as_json)


@app.command()
def best(
    id: IdArgument, stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Print the trial with the best score, and its genome."""
    report_trial(look(stream, database, lambda services: services.studies.best(id)), as_json)


@app.command()
def show(
    id: IdArgument, stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Print how far a study is, and the hash of its lineage."""
    found = look(stream, database, lambda services: services.studies.progress(id))
    counts = ", ".join(f"{count} {state}" for state, count in found.trials.items()) or "no trials"
    words = f"{id} is {found.study.state.value}: {counts} of {found.study.budget}; lineage {found.lineage_hash}"
    report(found, words, as_json)


@app.command("list")
def list_studies(stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Print the studies, the latest first."""
    import msgspec

    found = look(stream, database, lambda services: services.studies.list())
    if as_json:
        print_json_array(msgspec.to_builtins(found))
        return
    for one in found:
        report(one, f"{one.id}: {one.agent_id}, {one.objective.kind}, {one.state.value}", False)
    if not found:
        print_text("no studies", err=True)


@app.command()
def stop(
    id: IdArgument,
    by: ByOption,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a study; trials that run fail."""
    made = change(stream, database, lambda services: services.studies.stop(id, by))
    report(made, f"{made.id}: {made.state.value}", as_json)


def report_trial(found: TrialGenome, as_json: bool) -> None:
    """Print a trial and the values to try."""
    trial = found.trial
    score = "" if trial.score is None else f", score {trial.score:g}"
    report(found, f"trial {trial.number}: {trial.params}, snapshot {trial.snapshot_id}{score}", as_json)


def read_result(text: str, by: str) -> tuple[int, Result]:
    """The trial and its result that people type. Raises InvalidInput."""
    from brain.dna.models import TrialState
    from brain.dna.trials import Result
    from brain.errors import InvalidInput

    number, equals, value = text.partition("=")
    if not number.isdecimal():
        raise InvalidInput(f"{text!r}: write TRIAL=SCORE, such as 7=0.94")
    if not equals:
        return int(number), Result(by=by)
    if value in ("FAILED", "PRUNED"):
        return int(number), Result(by=by, state=TrialState(value))
    try:
        return int(number), Result(by=by, score=float(value))
    except ValueError as error:
        raise InvalidInput(f"{text!r}: {value!r} is neither a number nor FAILED or PRUNED") from error


def _new_study(given: dict[str, Any], by: str) -> NewStudy:
    from pydantic import ValidationError

    from brain.dna.http_models import NewStudyBody
    from brain.dna.studies import NewStudy
    from brain.errors import InvalidInput
    from brain.model_faults import model_faults

    try:
        body = NewStudyBody.model_validate({"owner": by, **given})
    except ValidationError as error:
        faults = model_faults(error, "the study")
        raise InvalidInput("; ".join(faults), faults) from error
    values = {name: getattr(body, name) for name in type(body).model_fields}
    return NewStudy(**{**values, "objective": body.objective.read()})
