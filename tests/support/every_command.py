"""Every command of `brain`, called in this process with texts of a test in all places that take one."""

# ruff: noqa: E501

from __future__ import annotations

import contextlib
import inspect
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import typer

from brain import cli

NEVER_ENDS = {
    "audit witness": "serves until it is stopped",
    "demo": "serves until it is stopped",
    "events tail": "follows until it is stopped; `events replay` prints the same lines",
    "hardware watch": "shows figures of this machine until it is stopped",
    "ros2 bag play": "publishes to a robot",
    "ros2 bag record": "records until it is stopped",
    "ros2 graph": "asks a robot",
    "serve": "serves until it is stopped",
    "telemetry record": "records until it is stopped",
    "telemetry tail": "follows until it is stopped",
    "telemetry replay": "sends to a server until all is sent",
    "worker": "works until it is stopped",
}
"""Commands that are not called, and why."""
SKIPPED = frozenset(
    {"stream", "database", "as_json", "url", "port", "host", "folder", "replace", "follow", "watch", "write"}
)
"""Parameters that keep their defaults: where things are, and what would go on."""


class Called(NamedTuple):
    """What a command printed, and its exit code."""

    arguments: list[str]
    code: int
    out: str
    err: str


def every_command() -> dict[str, Callable[..., Any]]:
    """The function of each command by its words."""
    found: dict[str, Callable[..., Any]] = {}
    for name, (_, imported) in cli.all_commands().items():
        found |= _leaves(imported(), name)
        for second, (_, member) in cli.members(name).items():
            found |= _leaves(member(), f"{name} {second}")
    return found


def _leaves(command: Any, words: str) -> dict[str, Callable[..., Any]]:
    if not isinstance(command, typer.Typer):
        return {words: command}
    found: dict[str, Callable[..., Any]] = {}
    for one in command.registered_commands:
        assert one.callback is not None
        found[f"{words} {one.name or one.callback.__name__.replace('_', '-')}"] = one.callback
    for group in command.registered_groups:
        assert group.typer_instance is not None
        found |= _leaves(group.typer_instance, f"{words} {group.name or group.typer_instance.info.name}")
    return found


AGENTS = frozenset({"agent", "agent_id", "allow"})
"""Parameters that name agents: measures keep them as they are, since rules decide by them."""


def calls(
    words: str, function: Callable[..., Any], known: Mapping[str, str], text: str, file: Path, agents: str
) -> list[list[str]]:
    """Arguments for a command: with what is known, as JSON too, with the text in each place, and in all names."""
    parameters = [
        (name, typer.main.get_params_from_function(function)[name])
        for name in inspect.signature(function).parameters
        if name not in SKIPPED
    ]
    json_too = "as_json" in inspect.signature(function).parameters
    plain, full, foreign, options = words.split(), words.split(), words.split(), []
    for name, parameter in parameters:
        info, kind = parameter.default, str(parameter.annotation)
        is_option = isinstance(info, typer.models.OptionInfo)
        required = getattr(info, "default", None) is ... or (parameter.default is inspect.Parameter.empty)
        value = known.get(f"{words.split()[0]} {name}", known.get(name, text))
        other = text
        if name in AGENTS:
            value, other = known.get(name, agents), agents
        elif "Path" in kind or name in ("context", "candidate", "kept"):
            value = other = str(file)
        elif "bool" in kind:
            continue
        elif "int" in kind or "float" in kind:
            value = other = "1"
        if is_option:
            flag = next(one for one in info.param_decls or [f"--{name.replace('_', '-')}"] if one.startswith("--"))
            flag = flag.split("/")[0]
            if required:
                plain, full, foreign = [*plain, flag, value], [*full, flag, other], [*foreign, flag, other]
            else:
                options.append([flag, other])
        elif required:
            plain, full, foreign = [*plain, value], [*full, value], [*foreign, other]
    made = [plain, foreign, *([*full, *option] for option in options)]
    return [*made, *([*one, "--json"] for one in made[:2] if json_too)]


def call(arguments: list[str], folder: Path) -> Called:
    """Run a command to its end in this process and that folder; raises what no command may."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="", write_through=True) for _ in range(2))
    before = os.getcwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code: Any = 0
            try:
                cli.main(arguments)
            except SystemExit as ended:
                code = ended.code or 0
    finally:
        os.chdir(before)
    return Called(arguments, code, *(_written(one) for one in (out, err)))


def _written(printed: io.TextIOWrapper) -> str:
    assert isinstance(printed.buffer, io.BytesIO)
    return printed.buffer.getvalue().decode("utf-8", "surrogateescape").replace("\r\n", "\n")


LISTS = {
    "alerts id": ("alerts list", "id"), "incidents id": ("incidents list", "id"), "missions id": ("missions list", "id"),
    "threats id": ("threats list", "id"), "dna id": ("dna study list", "id"), "event_id": ("audit search", "event_id"),
    "rule": ("policy list", "id"), "approval": ("policy approvals", "id"), "silences id": ("silences list", "id"),
    "run_id": ("playbooks runs", "id"), "camera": ("vision cameras list", "camera"), "agent": ("dna current a1", "agent_id"),
    "keys name": ("keys list", "name"), "connectors name": ("connectors list", "name"), "hold_id": ("audit hold list", "id"),
}  # fmt: skip
"""Where ids come from: by the parameter, with the group where it has one, the command that lists them and its field."""
FIXED = {
    "state": "CLOSED", "status": "MITIGATED", "severity": "HIGH", "role": "viewer", "format": "csv", "agent": "a1", "snapshot": "1",
    "a": "1", "b": "1", "version": "1", "score": "0.5", "minutes": "5", "ttl": "60", "yes": "yes",
}  # fmt: skip


def known_ids(folder: Path) -> dict[str, str]:
    """What there is in the folder, for the parameters of commands."""
    found = dict(FIXED)
    for name, (command, field) in LISTS.items():
        listed = call([*command.split(), "--json"], folder)
        if listed.code == 0 and listed.out.strip():
            rows = json.loads(listed.out)
            rows = rows if isinstance(rows, list) else [rows]
            for row in itertools.islice((row for row in rows if isinstance(row.get(field), str)), 1):
                found[name] = row[field]
    return found


def all_calls(folder: Path, text: str, file: Path, every: int, agents: str = "") -> Iterator[Called]:
    """Each command, one of so many, with all its arguments; `agents` is what agents are called, else the text."""
    known = known_ids(folder)
    for number, (words, function) in enumerate(every_command().items()):
        if words not in NEVER_ENDS and number % every == 0:
            for arguments in calls(words, function, known, text, file, agents or text):
                yield call(arguments, folder)
