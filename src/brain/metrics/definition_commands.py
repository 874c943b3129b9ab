"""`brain metrics define` and `brain metrics slo`: what users define, on the command line."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, print_json_array
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from brain.metrics.definition_store import Defined
    from brain.metrics.definition_views import Definitions
    from brain.settings import Settings


def define(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="TOML, YAML or JSON; without one, print what is defined.")
    ] = None,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="Count the recorded events, too, for what begins again.")
    ] = False,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Define metrics, limits and objectives, in the place of those of the file before; or print what is defined.

    Examples: brain metrics define metrics.toml; brain metrics define metrics.toml --backfill; brain metrics define
    """
    from brain.kit.cli.database import opened_database
    from brain.metrics.definition_files import read_definitions
    from brain.metrics.definition_store import API
    from brain.metrics.definition_store import define as define_all
    from brain.metrics.definition_views import show_definitions
    from brain.metrics.schema import changing_tables, reading_tables

    given = None if file is None else read_definitions(file)
    with opened_database(stream, database) as (settings, engine):
        if given is not None:
            with changing_tables(engine) as connection:
                found = define_all(connection, API, given, time.time())
            if backfill:
                _backfill(settings, engine, found)
        with reading_tables(engine) as connection:
            shown = show_definitions(connection, time.time())
    if as_json:
        print_json(asdict(shown))
    else:
        _print_definitions(shown)


def slo(stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Print how the service level objectives stand: burn rates by window, and what is left of each error budget."""
    from brain.kit.cli.database import opened_database
    from brain.metrics.definition_views import show_slos
    from brain.metrics.schema import reading_tables

    with opened_database(stream, database) as (_, engine), reading_tables(engine) as connection:
        found = show_slos(connection, time.time())
    if as_json:
        print_json_array(asdict(one) for one in found)
        return
    for one in found:
        rates = ", ".join(f"{_span(int(window))} {rate:.3g}" for window, rate in one.burn_rates.items())
        state = "burning" if one.burning_since is not None else "well"
        objective = one.definition["objective"]
        print_text(f"{one.name}: {state}; objective {objective:g}, {one.budget_left:.1%} of the budget left; {rates}")
    if not found:
        print_text("no objective is defined; see brain metrics define --help")


def _backfill(settings: Settings, engine: Engine, found: Defined) -> None:
    """Count recorded events for the metrics that the last change began; announces its end."""
    from brain.kit.cli.backend import opened
    from brain.metrics.epochs import active_epochs
    from brain.metrics.jobs import backfill_announced
    from brain.metrics.schema import reading_tables

    with reading_tables(engine) as connection:
        names = [epoch.name for epoch in active_epochs(connection) if epoch.began_at == found.changed_at]
    if not names:
        return
    with opened(settings.stream) as backend:
        events = backfill_announced(engine, backend, names)
    print_text(f"{events:,} recorded events counted for {', '.join(names)}", err=True)


def _print_definitions(shown: Definitions) -> None:
    from brain.kit.cli.text import moment

    print_text(f"version {shown.version}")
    for metric in shown.definitions:
        begins = f"after position {metric.counts_after}" if metric.counts_after else "from the first event on"
        definition = metric.definition
        print_text(
            f"metric {metric.name}: {definition['kind']} of {', '.join(definition['events'])}; "
            f"definition {metric.epoch} of {moment(metric.began_at)} counts {begins}"
        )
    for limit in shown.limits:
        over = ", ".join(one.label or "all" for one in limit.crossed) or "nothing"
        print_text(f"limit {limit.name}: on {limit.definition['metric']}; over it: {over}")
    for one in shown.slos:
        print_text(f"objective {one.name}: {one.definition['objective']:g}; {one.budget_left:.1%} of the budget left")


def _span(seconds: int) -> str:
    for unit, letter in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds % unit == 0:
            return f"{seconds // unit} {letter}"
    return f"{seconds} s"
