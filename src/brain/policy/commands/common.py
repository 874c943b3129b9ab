"""What the policy commands share: the engine over the stored rules, and how rules are shown."""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from brain.errors import InvalidInput
from brain.kit.cli.common import run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.policy import PolicyEngine, Rule
    from brain.policy.measures import Measures
    from brain.policy.rule_import import ImportResult
    from brain.store import Store
    from brain.stream import EventStream

T = TypeVar("T")

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Rules as YAML or JSON.")]
RulesOption = Annotated[
    Path | None, typer.Option("--rules", metavar="FILE", help="Decide by this file instead of the stored rules.")
]
ByOption = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who does it; else the user logged in.")]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)").fullmatch


@asynccontextmanager
async def opened(url: str | None, *, publishing: bool = True, makes: bool = False) -> AsyncIterator[PolicyEngine]:
    """The engine over the stored rules; its events go to the stream when `publishing`. `makes` a store if need be."""
    from brain.policy import PolicyEngine

    async with _opened_parts(url, publishing, makes) as (stream, store):
        yield PolicyEngine(stream, store=store, follow_interval=None)


def with_engine(url: str | None, act: Callable[[PolicyEngine], T], *, publishing: bool = True) -> T:
    """The result of `act` on the engine over the stored rules."""

    async def work() -> T:
        async with opened(url, publishing=publishing) as engine:
            return act(engine)

    return run(work())


@asynccontextmanager
async def _opened_parts(
    url: str | None, publishing: bool, makes: bool = False
) -> AsyncIterator[tuple[EventStream | None, Store]]:
    """The stream, None unless `publishing`, and the store.

    It must be there unless `makes`: somebody in the wrong folder would contain an agent, or look for requests, in a new
    store that nobody reads.
    """
    from brain.settings import load_settings
    from brain.store import open_store
    from brain.store.ours import check_exists
    from brain.stream import EventStream

    settings = load_settings(stream=url, store=url)
    if not makes:
        check_exists(settings.store_url)
    store = open_store(settings.store_url)
    try:
        if not publishing:
            yield None, store
            return
        async with EventStream.open(settings.stream) as stream:
            yield stream, store
    finally:
        store.close()


@contextmanager
def opened_store(url: str | None) -> Iterator[Store]:
    """The store of the rules, without an engine: for what must work though a stored rule cannot be read."""
    from brain.settings import load_settings
    from brain.store import open_store
    from brain.store.ours import check_exists

    settings = load_settings(stream=url, store=url)
    check_exists(settings.store_url)
    store = open_store(settings.store_url)
    try:
        yield store
    finally:
        store.close()


def stored_rules(url: str | None) -> list[Rule]:
    """The stored rules that can be read; the others are named on standard error, each with its remedy."""
    from brain.policy.stored_rules import read_rules

    with opened_store(url) as store:
        rules, faults = read_rules(store)
    for fault in faults.values():
        print_text(f"left out: {fault}", err=True)
    return rules


def with_measures(url: str | None, act: Callable[[Measures], T], *, publishing: bool = True) -> T:
    """The result of `act` on containments and the kill switch, without the rules: no rule can stop a stop order."""
    from brain.policy.measures import Measures

    async def work() -> T:
        async with _opened_parts(url, publishing) as (stream, store):
            return act(Measures(stream, store))

    return run(work())


def engine_of(file: Path) -> PolicyEngine:
    """An engine of the rules in a file alone."""
    from brain.policy import PolicyEngine
    from brain.policy.files import read_policy

    engine = PolicyEngine()
    engine.import_rules(read_policy(file).rules)
    return engine


def read_context(text: str) -> dict[str, Any]:
    """The object written in `text`; `-` reads standard input. Raises InvalidInput, naming the field out of bounds."""
    from brain import limits
    from brain.json_text import json_fault

    data = sys.stdin.buffer.read(limits.BODY_BYTES + 1) if text == "-" else os.fsencode(text)
    if len(data) > limits.BODY_BYTES:
        raise InvalidInput(f"CONTEXT: is larger than {limits.BODY_BYTES} bytes; shorten it")
    if (fault := json_fault(data, limits.BODY_DEPTH)) is not None:
        raise InvalidInput(f"CONTEXT: not valid JSON: {fault}")
    context = json.loads(data)
    if not isinstance(context, dict):
        raise InvalidInput('CONTEXT: must be an object such as {"agent_id": "a1", "action": "read"}')
    faults = [f"{name}: {fault}" for name, fault in limits.context_faults(context)]
    if faults:
        raise InvalidInput(f"CONTEXT: {'; '.join(faults)}", faults)
    return context


def user(by: str | None) -> str | None:
    """Who runs the command."""
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        return None


def duration(text: str, name: str) -> float:
    """The seconds that `90`, `90s`, `15m`, `2h` or `1d` mean. Raises InvalidInput."""
    found = _DURATION(text.strip())
    if not found:
        raise InvalidInput(f"{name}: {text!r} is not a duration; give one such as 30s, 5m, 1h or 1d")
    return float(found[1]) * _UNITS[found[2] or "s"]


def readable_duration(seconds: float) -> str:
    """The duration in its largest whole unit, as `duration` reads it: `15m`, `90s`."""
    whole = round(seconds)
    unit = next(name for name in ("d", "h", "m", "s") if whole % _UNITS[name] == 0)
    return f"{whole // _UNITS[unit]}{unit}"


def print_rules(rules: Iterable[Rule]) -> None:
    """A table of rules, for people."""
    from rich.table import Table

    from brain.kit.cli.tables import cell, print_table

    table = Table("Priority", "Effect", "Id", "Name", "Conditions", "State")
    for rule in rules:
        state = ("enabled" if rule.enabled else "disabled") + (", shadow" if rule.mode == "shadow" else "")
        if rule.is_temporary:
            state = f"measure until {moment(rule.expires_at)}" if rule.expires_at else "measure"
        conditions = "\n".join(cell(condition) for condition in rule.conditions)
        table.add_row(str(rule.priority), rule.effect, cell(rule.id), cell(rule.name), conditions, state)
    if table.row_count:
        print_table(table)
    else:
        print_text("no rules", err=True)


def counts(done: ImportResult) -> str:
    """What an import did, in words."""
    made = (len(done.created), len(done.updated), len(done.deleted), done.unchanged)
    return "{} created, {} updated, {} deleted, {} unchanged".format(*made)


def moment(seconds: float | None) -> str:
    """A time for people, UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") if seconds is not None else "-"
