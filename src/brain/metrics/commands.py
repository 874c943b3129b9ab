"""`brain metrics`: show the figures, define metrics of your own, and check all by a recount."""

from __future__ import annotations

import time
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json
from brain.kit.cli.text import print_text
from brain.metrics.definition_commands import define, slo

if TYPE_CHECKING:
    from brain.metrics.query import Series
    from brain.metrics.recount import Verdict
    from brain.metrics.summary import DenialRate, MetricsSummary
    from brain.settings import Settings

app: typer.Typer = typer.Typer(no_args_is_help=True)
app.command()(define)
app.command()(slo)

_TIME = "An age (90s, 1h, 7d), an ISO 8601 time or Unix seconds"


class SourceName(StrEnum):
    """What is recounted."""

    STREAM = "stream"
    AUDIT = "audit"


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A series, or a metric that is defined.")] = None,
    by: Annotated[str | None, typer.Option(help="The label that the series NAME is split by.")] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help=f"From: {_TIME}.")] = "24h",
    until: Annotated[str | None, typer.Option(metavar="TIME", help=f"To: {_TIME}; else now.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many agents and actions at most.")] = 10,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the figures of a range of time: events, decisions, denials, times to mitigate, open threats, health.

    With NAME, that series alone. Examples: brain metrics show --since 1h; brain metrics show task_failures --by agent
    """
    from brain.kit.context import database_context
    from brain.metrics.defined_query import find_series
    from brain.metrics.schema import reading_tables
    from brain.metrics.settings import MetricsSettings
    from brain.metrics.summary import summarise_range
    from brain.metrics.time_range import time_range
    from brain.times import parse_time

    now = time.time()
    settings = _settings(stream, database)
    with database_context(settings) as context:
        end = None if until is None else parse_time(until, now, "until")
        period = time_range(parse_time(since, now, "since"), end, None, now, settings.table(MetricsSettings))
        with reading_tables(context.database) as connection:
            if name is not None:
                _show_series(find_series(connection, (name, by), period, top, now), as_json)
                return
            summary = summarise_range(connection, period, now, top)
    if as_json:
        print_json(asdict(summary))
    else:
        _print_summary(summary)


@app.command()
def verify(
    source: Annotated[
        SourceName, typer.Option(help="What to recount: the stream, or the audit log.")
    ] = SourceName.STREAM,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recount everything and compare it with the stored series; exit code 1, with the differences, if any differ."""
    verdict = _verify(_settings(stream, database), source)
    if as_json:
        print_json({"ok": verdict.ok, **asdict(verdict)})
    else:
        _print_verdict(verdict)
    if not verdict.ok:
        raise typer.Exit(1)


def _verify(settings: Settings, source: SourceName) -> Verdict:
    from rich.console import Console

    from brain.kit.cli.backend import opened
    from brain.kit.context import database_context
    from brain.metrics.jobs import verify_announced
    from brain.metrics.recount import verify
    from brain.metrics.sources import StreamSource, audit_source

    with database_context(settings) as context, Console(stderr=True).status("recounting") as status:

        def progress(events: int) -> None:
            status.update(f"recounting: {events:,} events")

        def recount() -> Verdict:
            if source is SourceName.AUDIT:
                return verify(context.database, audit_source(context), progress)
            with opened(settings.stream) as backend:
                return verify(context.database, lambda stored: StreamSource(backend, stored), progress)

        return verify_announced(context.database, recount)


def _settings(stream: str | None, database: str | None) -> Settings:
    """The settings, with these options before them and the consumers' database named, which must exist."""
    from brain.kit.database import database_url
    from brain.settings import load_settings
    from brain.store.ours import check_exists

    settings = load_settings(stream=stream, database=database)
    url = database_url(settings)
    check_exists(url)
    return settings.model_copy(update={"database": url})


def _show_series(series: Series, as_json: bool) -> None:
    from brain.kit.cli.text import moment, printable

    if as_json:
        print_json(asdict(series))
        return
    for line in series.series:
        label = ", ".join(f"{key}={printable(value, 60)}" for key, value in line.labels.items()) or series.name
        for at, value in line.points:
            if value:
                print_text(f"{moment(at)}  {label}  {value:,.10g}")


def _print_summary(summary: MetricsSummary) -> None:
    from brain.kit.cli.text import moment

    waiting = summary.open
    lines = [
        ("from", moment(summary.since)),
        ("to", moment(summary.until)),
        ("events", f"{summary.events:,}"),
        ("decisions", _counts(summary.decisions)),
        ("denial rate", _percent(summary.denial_rate)),
        ("denied agents", _rates(summary.denial_rate_by_agent)),
        ("denied actions", _rates(summary.denial_rate_by_action)),
        ("threats detected", _counts(summary.detected)),
        ("mean time to detect", _seconds(summary.mttd_seconds)),
        ("mean time to investigate", _seconds(summary.mtti_seconds)),
        ("mean time to mitigate", _seconds(summary.mttm_seconds)),
        ("mean time to resolve", _seconds(summary.mttr_seconds)),
        ("resolved", _percent(summary.resolution_rate)),
        (
            "still open",
            f"{waiting.count}, mean age {_seconds(waiting.mean_age_seconds)}, "
            f"oldest {_seconds(waiting.oldest_age_seconds)} {waiting.oldest_id or ''}".rstrip(),
        ),
        ("healing", _counts(summary.healing)),
        ("health score", "no data" if summary.health_score is None else str(summary.health_score)),
    ]
    for name, value in lines:
        print_text(f"{name + ':':26}{value}")


def _print_verdict(verdict: Verdict) -> None:
    for difference in verdict.differences:
        key = ", ".join(f"{name} {value}" for name, value in difference.key.items())
        stored, recounted = (value or "missing" for value in (difference.stored, difference.recounted))
        print_text(f"{difference.table}: {key}: stored {stored}, recounted {recounted}")
    if verdict.differing > len(verdict.differences):
        print_text(f"... and {verdict.differing - len(verdict.differences):,} more")
    counted = f"{verdict.events:,} events recounted, {verdict.points:,} points compared"
    left_out = (
        f"; {verdict.incomplete:,} buckets left out: their events are no longer all recorded"
        if verdict.incomplete
        else ""
    )
    print_text(f"{counted}{left_out}: {'equal' if verdict.ok else f'{verdict.differing:,} differences'}")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _rates(rates: list[DenialRate]) -> str:
    from brain.kit.cli.text import printable

    denied = (f"{printable(rate.name, 40)} {rate.denials:,} of {rate.decisions:,}" for rate in rates if rate.denials)
    return ", ".join(denied) or "none"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:,.1f} s"
