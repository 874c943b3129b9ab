"""`brain threats`: list, show, assign, comment on, move and count threats."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from brain.kit.cli.common import JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.kit.causal_timeline import CausalTimeline
    from brain.threats import Threat, ThreatService, ThreatStats

MOST_EVENTS = 1000
"""Events of a timeline that are shown at most; `brain events trace` shows all."""
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The threat's id, thr_...")]
ByOption = Annotated[str | None, typer.Option(help="The person who does it, for the record.")]

app: typer.Typer = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_threats(
    stream: StreamOption = None,
    status: Annotated[list[str] | None, typer.Option(help="Only this status; may be repeated.")] = None,
    severity: Annotated[list[str] | None, typer.Option(help="Only this severity; may be repeated.")] = None,
    type: Annotated[str | None, typer.Option(help="Only this type.")] = None,
    source: Annotated[str | None, typer.Option(help="Only from this source.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    before: Annotated[str | None, typer.Option(metavar="ID", help="Only what comes after this threat.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print threats, the latest detected first."""

    async def fetch() -> list[Threat]:
        async with _service(stream, publish=False) as service:
            return await service.list_threats(status or None, severity or None, type, source, limit, before)

    threats = run(fetch())
    if as_json:
        print_json_array(threat.document() for threat in threats)
    else:
        _print_list(threats)


@app.command()
def show(id: IdArgument, stream: StreamOption = None, as_json: JsonOption = False) -> None:
    """Print one threat with its comments, and all that happened around it: decisions, measures, incidents."""
    from brain.kit.causal_timeline import find_causal_timeline, step_row
    from brain.kit.cli.backend import opened

    async def fetch() -> Threat:
        async with _service(stream, publish=False) as service:
            return await service.get_threat(id)

    threat = run(fetch())
    with opened(stream) as backend:
        timeline = find_causal_timeline(
            backend, threat.correlation_id, most=MOST_EVENTS, evidence=threat.evidence_events
        )
    if as_json:
        print_json({**threat.document(), "timeline": [*map(step_row, timeline.steps)]})
    else:
        _print_threat(threat)
        _print_timeline(timeline)


@app.command()
def move(
    id: IdArgument,
    status: Annotated[str, typer.Argument(metavar="STATUS", help="The status to move to, such as INVESTIGATING.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    by: ByOption = None,
    stream: StreamOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move a threat to another status, and publish that."""
    threat = _change(stream, by, lambda service: service.update_threat_status(id, status, reason))
    last = threat.history[-1]
    _print_noted(threat, as_json, f"{last.old} -> {last.new}; may move to {_names(threat)}")


@app.command()
def assign(
    id: IdArgument,
    assignee: Annotated[str, typer.Argument(metavar="NAME", help="Who works on it from now on; empty for nobody.")],
    by: ByOption = None,
    stream: StreamOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a threat to somebody, and publish that."""
    threat = _change(stream, by, lambda service: service.assign(id, assignee))
    _print_noted(threat, as_json, f"assigned to {threat.assignee or 'nobody'}")


@app.command()
def comment(
    id: IdArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The words.")],
    by: ByOption = None,
    stream: StreamOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a comment to a threat, and publish that."""
    threat = _change(stream, by, lambda service: service.comment(id, text))
    _print_noted(threat, as_json, f"commented, {len(threat.comments)} in all")


@app.command()
def stats(stream: StreamOption = None, as_json: JsonOption = False) -> None:
    """Print counts, the mean times to detect, investigate and mitigate, and the ages of the active ones."""

    async def fetch() -> ThreatStats:
        async with _service(stream, publish=False) as service:
            return await service.get_stats()

    figures = run(fetch())
    if as_json:
        print_json(asdict(figures))
    else:
        _print_stats(figures)


@asynccontextmanager
async def _service(url: str | None, *, publish: bool) -> AsyncIterator[ThreatService]:
    """A service on the state that the options and settings name; with a stream only when it will publish."""
    from brain.settings import load_settings
    from brain.store import open_store
    from brain.store.ours import check_exists
    from brain.threats import ThreatService

    settings = load_settings(stream=url, store=url)
    check_exists(settings.store_url)  # somebody in the wrong folder would look for a threat in a new, empty store
    store = open_store(settings.store_url)
    try:
        if not publish:
            yield ThreatService(store=store)
            return
        from brain.stream import EventStream

        async with EventStream.open(settings.stream) as stream:
            yield ThreatService(stream, store)
    finally:
        store.close()


def _change(stream: str | None, by: str | None, change: Callable[[ThreatService], Awaitable[Threat]]) -> Threat:
    """Have the change made, by this person where one is named, and published."""
    from brain.charter import Principal, acting

    async def made() -> Threat:
        async with _service(stream, publish=True) as service:
            return await change(service)

    with acting(Principal(name=by, kind="person")) if by else nullcontext():
        return run(made())


def _print_noted(threat: Threat, as_json: bool, done: str) -> None:
    from brain.kit.cli.text import printable

    if as_json:
        print_json(threat.document())
    else:
        print_text(printable(f"{threat.id}: {done}"))


def _print_timeline(timeline: CausalTimeline) -> None:
    from brain.kit.cli.timeline import print_steps

    count = len(timeline.steps)
    left_out = "" if timeline.whole else f"; the middle is left out, {count} events of both ends are shown"
    print_text(f"  timeline: {count} events{left_out}" if count else "  timeline: no event is in the stream")
    print_steps(timeline.steps, "    ")


def _print_list(threats: list[Threat]) -> None:
    from rich.table import Table

    from brain.kit.cli.tables import cell, print_table

    table = Table("Threat", "Severity", "Status", "Type", "Source", "Detected", "Description")
    for threat in threats:
        values = (threat.id, threat.severity, threat.status, threat.type, threat.source, _time(threat.detected_at))
        table.add_row(*(cell(value) for value in (*values, threat.description)))
    if threats:
        print_table(table)
    else:
        print_text("no threats", err=True)


def _print_threat(threat: Threat) -> None:
    from brain.kit.cli.text import printable
    from brain.threats.models import EVIDENCE_EVENTS  # the timeline shows these

    lines = [
        ("type", threat.type),
        ("source", threat.source),
        ("severity", threat.severity),
        ("status", f"{threat.status}; may move to {_names(threat)}"),
        ("assignee", threat.assignee or "nobody"),
        ("description", threat.description),
        ("detected", _time(threat.detected_at)),
        ("last seen", _time(threat.last_seen)),
        ("mitigated", _time(threat.mitigated_at) if threat.mitigated_at is not None else "no"),
        ("time to detect, investigate, mitigate", ", ".join(map(_seconds, _stages(threat)))),
        ("correlation id", threat.correlation_id),
        *((name, str(value)) for name, value in threat.metadata.items() if name != EVIDENCE_EVENTS),
    ]
    lines += [
        (_time(step.at), f"{step.old} -> {step.new}  {step.reason}".rstrip() + _by(step.by)) for step in threat.history
    ]
    lines += [(_time(comment.at), f"comment: {comment.text}{_by(comment.by)}") for comment in threat.comments]
    print_text(threat.id)
    for name, value in lines:
        print_text(f"  {printable(name)}: {printable(value)}")


def _print_stats(figures: ThreatStats) -> None:
    for name, value in asdict(figures).items():
        if isinstance(value, dict):
            shown = ", ".join(f"{key} {number}" for key, number in value.items()) or "none"
        elif name == "resolution_rate" and value is not None:
            shown = f"{value:.0%}"
        else:
            shown = "none" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)
        print_text(f"{name.replace('_', ' ')}: {shown}")


def _names(threat: Threat) -> str:
    return ", ".join(threat.allowed_moves) or "nothing: the status is final"


def _stages(threat: Threat) -> tuple[float | None, ...]:
    return threat.detect_seconds, threat.investigate_seconds, threat.mitigate_seconds


def _seconds(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1f} s"


def _by(name: str | None) -> str:
    return f" (by {name})" if name else ""


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"
