"""`brain dna`: make, change, judge, list and compare genomes; promote them and take them back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.dna.commands.services import AgentArgument, ByOption, FileArgument, change, look, read_file, report, typed
from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json_array
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.dna.models import Snapshot
    from brain.dna.service import Mutation, NewSnapshot

app: typer.Typer = typer.Typer(no_args_is_help=True)


@app.callback()
def dna() -> None:
    """Genomes: the configurations of agents, with their lineage.

    Examples:

    brain dna snapshot agent-7 genome.json --by ann

    brain dna mutate agent-7 temperature=0.4 traits.caution+=0.1 --by ann

    brain dna promote 2 --share 0.1 --by ann

    brain dna rollback agent-7 --by ann --reason "too many refusals"
    """


@app.command()
def snapshot(
    agent: AgentArgument,
    file: FileArgument,
    by: ByOption,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep a genome as the agent's next version; FILE has dna, and traits, genes, reason where there are any."""
    new = _new_snapshot(agent, read_file(file, stream), by)
    made = change(stream, database, lambda services: services.genomes.snapshot(new), creates=True)
    report(made, _line(made), as_json)


@app.command()
def mutate(
    agent: AgentArgument,
    changes: Annotated[
        list[str], typer.Argument(metavar="CHANGE...", help="temperature=0.4 puts in; traits.caution+=0.1 adds.")
    ],
    by: ByOption,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the agent's last version into a new one; it runs once it is promoted."""
    wanted = read_changes(changes, by)
    made = change(stream, database, lambda services: services.genomes.mutate(agent, wanted))
    report(made, _line(made), as_json)


@app.command()
def karma(
    agent: AgentArgument,
    score: Annotated[float, typer.Argument(metavar="SCORE", help="From 0 to 1.")],
    by: ByOption,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the agent's last version."""
    made = change(stream, database, lambda services: services.genomes.set_karma(agent, score, by=by))
    report(made, _line(made), as_json)


@app.command()
def history(
    agent: AgentArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most versions to print.")] = 100,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the agent's versions, the latest first."""
    import msgspec

    found = look(stream, database, lambda services: services.genomes.history(agent, limit))
    if as_json:
        print_json_array(msgspec.to_builtins(found))
        return
    for one in found:
        report(one, _line(one), False)
    if not found:
        print_text(f"agent {agent} has no genome", err=True)


@app.command()
def lineage(
    agent: AgentArgument, stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Print what was made from what, and the hash of the lineage."""
    found = look(stream, database, lambda services: services.genomes.lineage(agent, 10_000))
    parents = {edge.child: edge.parent for edge in found.edges}
    lines = [
        f"  {one.snapshot_id} (version {one.version}, {one.source}) from {parents.get(one.snapshot_id, 'nothing')}"
        f"{' runs' if one.runs else ''}"
        for one in found.nodes
    ]
    if as_json:
        report(found, "", True)
        return
    print_text(f"{found.versions} versions, lineage {found.lineage_hash}")
    for line in lines:
        print_text(line)


@app.command()
def diff(
    a: Annotated[int, typer.Argument(metavar="A", help="A snapshot's number.")],
    b: Annotated[int, typer.Argument(metavar="B", help="Another one.")],
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what differs between two snapshots."""
    found = look(stream, database, lambda services: services.genomes.diff(a, b))
    if as_json:
        report(found, "", True)
        return
    for name, values in found.changes.items():
        report(found, f"{name}: {values['old']!r} -> {values['new']!r}", False)
    if found.same:
        print_text("no difference", err=True)


@app.command()
def current(
    agent: AgentArgument,
    instance: Annotated[str | None, typer.Option("--instance", help="The instance that runs it.")] = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the genome that the agent runs."""
    found = look(stream, database, lambda services: services.rollouts.current(agent, instance))
    words = f"{found.snapshot_id} (version {found.version}{', a canary' if found.candidate else ''}): {found.dna}"
    report(found, words, as_json)


@app.command()
def promote(
    snapshot: Annotated[int, typer.Argument(metavar="SNAPSHOT", help="The snapshot's number.")],
    by: ByOption,
    share: Annotated[float, typer.Option("--share", help="The share of the agent's instances.")] = 1.0,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a genome run, for a share of its agent's instances or for all; the rules decide on dna.apply first."""
    from brain.dna.promotion import NewPromotion

    async def work(services: Any) -> Any:
        agent_id = (await services.genomes.get(snapshot)).agent_id
        return await services.rollouts.promote(agent_id, NewPromotion(snapshot_id=snapshot, by=by, share=share))

    made = change(stream, database, work)
    report(made, f"{made.id}: {made.agent_id} runs snapshot {made.snapshot_id}, share {made.share:g}", as_json)


@app.command()
def rollback(
    agent: AgentArgument,
    by: ByOption,
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the promoted genome back; the rules decide on dna.rollback first."""
    made = change(stream, database, lambda services: services.rollouts.roll_back(agent, by, reason=reason))
    report(made, f"{made.id}: {made.agent_id} runs snapshot {made.snapshot_id}", as_json)


def read_changes(changes: list[str], by: str) -> Mutation:
    """The mutation that people type. Raises InvalidInput for what is neither NAME=VALUE nor traits.NAME+=AMOUNT."""
    from brain.dna.service import Mutation
    from brain.errors import InvalidInput

    put: dict[str, Any] = {}
    added: dict[str, Any] = {}
    for text in changes:
        name, equals, value = text.partition("=")
        if not equals or not name.strip("+"):
            raise InvalidInput(f"{text!r}: write NAME=VALUE, or traits.NAME+=AMOUNT")
        trait = name.removeprefix("traits.").removesuffix("+")
        if name.startswith("traits.") and name.endswith("+"):
            added[trait] = typed(value)
        elif name.startswith("traits.") or name.endswith("+"):
            raise InvalidInput(f"{text!r}: amounts are added to traits alone: traits.{trait}+=AMOUNT")
        else:
            put[name] = typed(value)
    return Mutation(mutation=put, traits_delta=added, by=by)


def _new_snapshot(agent: str, given: dict[str, Any], by: str) -> NewSnapshot:
    from brain.dna.service import NewSnapshot
    from brain.errors import InvalidInput

    known = {"dna", "traits", "genes", "reason"}
    if (unknown := given.keys() - known) or not isinstance(given.get("dna"), dict):
        raise InvalidInput(
            f"the file needs dna, and may have traits, genes, reason; unknown: {sorted(unknown) or 'none'}"
        )
    return NewSnapshot(agent_id=agent, by=by, **given)


def _line(one: Snapshot) -> str:
    made = f"from {one.parent_snapshot_id}" if one.parent_snapshot_id is not None else "the first"
    karma = "" if one.karma_score is None else f", karma {one.karma_score:g}"
    return f"{one.id}: version {one.version} of {one.agent_id}, {one.source}, {made}, {one.genome_hash[:12]}{karma}"
