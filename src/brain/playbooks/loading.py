"""Reads playbooks: those that come with this package, those of YAML files, and those of Python modules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from brain.errors import InvalidInput
from brain.kit.documents import read_text, yaml_in
from brain.playbooks.conditions import check_where
from brain.playbooks.models import Playbook, Step, Verify
from brain.playbooks.settings import PlaybookSettings
from brain.playbooks.shipped import shipped
from brain.playbooks.steps import KINDS
from brain.typed import ready

_NAME = re.compile(r"[a-z][a-z0-9-]{0,99}").fullmatch
_TYPE = re.compile(r"[a-z0-9_*]+(\.[a-z0-9_*]+)*").fullmatch
LARGEST = 1 << 20
"""Bytes of a file at most."""
_ABOUT_STEP = ("timeout", "idempotent", "done_if")


def configured(settings: PlaybookSettings) -> Sequence[Playbook]:
    """The playbooks that the settings name; one of a file takes the place of a shipped one of its name.

    Raises InvalidInput listing every fault.
    """
    own: list[Playbook] = []
    for source in settings.files:
        own += read_source(source)
    names = [one.name for one in own]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"playbooks: {', '.join(twice)} is there more than once; a name is given once")
    found = [*own]
    if settings.shipped:
        found += [one for one in shipped(settings.contain_seconds) if one.name not in names]
    known = {one.name for one in found}
    if missing := set(settings.disabled) - known:
        raise InvalidInput(f"playbooks: disabled names {', '.join(sorted(missing))}, which no playbook has")
    return [one for one in found if one.name not in settings.disabled]


def read_source(source: str) -> list[Playbook]:
    """The playbooks of a file in YAML or of `module:NAME`. Raises InvalidInput listing every fault."""
    if not source.endswith((".yaml", ".yml")):
        return _from_python(source)
    return read_yaml(read_text(Path(source), LARGEST), source)


def read_yaml(text: str, source: str) -> list[Playbook]:
    """The playbooks of a text in YAML; `source` names it in errors. Raises InvalidInput listing every fault."""
    document = yaml_in(text.encode(), f"playbooks: {source}")
    plain = document.get("playbooks") if isinstance(document, Mapping) else None
    if not isinstance(plain, list) or not all(isinstance(one, Mapping) for one in plain):
        raise InvalidInput(f"playbooks: {source}: needs `playbooks:` with a list of playbooks")
    faults: list[str] = []
    found = [_playbook(one, f"{source}: playbooks[{number}]", faults) for number, one in enumerate(plain)]
    if faults:
        raise InvalidInput(f"playbooks: {'; '.join(faults)}", faults)
    return [one for one in found if one is not None]


def check(playbook: Playbook, place: str) -> list[str]:
    """The faults of a playbook: each names the place."""
    faults = []
    if not _NAME(playbook.name):
        faults.append(
            f"{place}: name {playbook.name!r} needs 1 to 100 lower-case letters, digits and -, a letter first"
        )
    bad = [one for one in playbook.trigger if not isinstance(one, str) or not _TYPE(one)]
    if bad or not playbook.trigger:
        faults.append(f"{place}: trigger needs event types such as threat.escalated, not {bad!r}")
    if not playbook.steps:
        faults.append(f"{place}: steps is empty")
    for name in ("cooldown", "per_hour", "timeout"):
        least = 0 if name == "cooldown" else 1
        if not least <= getattr(playbook, name) <= 86_400 * 366:
            faults.append(f"{place}: {name} is out of bounds; {least} or more")
    faults += check_where(playbook.where, f"{place}.where")
    if playbook.verify is not None:
        faults += check_where(playbook.verify.where, f"{place}.verify.where")
        if not _TYPE(playbook.verify.event) or playbook.verify.within <= 0:
            faults.append(f"{place}.verify: needs an event type, and within above 0")
    for number, step in enumerate(playbook.steps):
        faults += _step_faults(step, f"{place}.steps[{number}]")
    return faults


def _step_faults(step: Step, place: str) -> list[str]:
    kind = KINDS.get(step.kind)
    if kind is None:
        return [f"{place}: {step.kind!r} is no kind of step; use one of {', '.join(KINDS)}"]
    known = {*kind.required, *kind.optional}
    faults = [f"{place}.{step.kind}: {name} is missing" for name in kind.required if name not in step.options]
    faults += [
        f"{place}.{step.kind}: {name} is unknown; it takes {', '.join(sorted(known))}"
        for name in step.options
        if name not in known
    ]
    if kind.one_of and not any(name in step.options for name in kind.one_of):
        faults.append(f"{place}.{step.kind}: needs one of {', '.join(kind.one_of)}")
    if "command" in step.options and not _is_command(step.options["command"]):
        faults.append(f"{place}.{step.kind}: command needs a list of words; no shell reads it")
    if "key" in step.options and not _is_named_secret(step.options["key"]):
        faults.append(f"{place}.{step.kind}: key needs {{env: NAME}} or {{file: path}}: runs and events show the steps")
    if not 0 < step.timeout <= 3600:
        faults.append(f"{place}.{step.kind}: timeout {step.timeout:g} is out of bounds; above 0 and at most 3600 s")
    return faults


def _is_command(command: object) -> bool:
    return isinstance(command, list) and bool(command) and all(isinstance(word, (str, int, float)) for word in command)


def _is_named_secret(key: object) -> bool:
    """Whether it only says where the secret is."""
    if not isinstance(key, Mapping) or len(key) != 1:
        return False
    ((name, value),) = key.items()
    return name in ("env", "file") and isinstance(value, str) and bool(value)


def _from_python(source: str) -> list[Playbook]:
    module, _, name = source.partition(":")
    try:
        found = getattr(import_module(module), name or "PLAYBOOKS")
    except Exception as error:
        raise InvalidInput(f"playbooks: {source!r} cannot be imported: {error}") from error
    if not isinstance(found, (list, tuple)) or not all(isinstance(one, Playbook) for one in found):
        raise InvalidInput(f"playbooks: {source} is no list of Playbook objects")
    faults = [fault for one in found for fault in check(one, f"{source}: {one.name}")]
    if faults:
        raise InvalidInput(f"playbooks: {'; '.join(faults)}", faults)
    return [*found]


def _playbook(plain: Mapping[str, Any], place: str, faults: list[str]) -> Playbook | None:
    known = {*Playbook.__struct_fields__}
    before = len(faults)
    faults += [
        f"{place}: {name!s} is unknown; it takes {', '.join(sorted(known))}" for name in plain if name not in known
    ]
    steps = plain.get("steps")
    if not isinstance(steps, list):
        faults.append(f"{place}: steps must be a list")
        return None
    given = {**plain, "steps": [_step(one, f"{place}.steps[{number}]", faults) for number, one in enumerate(steps)]}
    if isinstance(given.get("trigger"), str):
        given["trigger"] = [given["trigger"]]
    made = (
        _converted(lambda: msgspec.convert(given, ready(Playbook), strict=True), place, faults)
        if len(faults) == before
        else None
    )
    if made is not None:
        faults += check(made, f"{place} ({made.name})")
        unknown = set(plain.get("verify") or ()) - {*Verify.__struct_fields__}
        faults += [f"{place}.verify: {name} is unknown" for name in sorted(unknown)]
    return made


def _step(plain: object, place: str, faults: list[str]) -> Mapping[str, Any]:
    """`{restart: {...}, timeout: 20}` as a Step's fields."""
    if not isinstance(plain, Mapping):
        faults.append(f"{place}: must be a kind with what it needs, such as contain: {{agent: a1}}")
        return {}
    about = {name: plain[name] for name in _ABOUT_STEP if name in plain}
    kinds = [name for name in plain if name not in about]
    if len(kinds) != 1:
        faults.append(
            f"{place}: needs one kind of step ({', '.join(KINDS)}), not {', '.join(map(str, kinds)) or 'none'}"
        )
        return {}
    options = plain[kinds[0]]
    if kinds[0] == "ask" and isinstance(options, str):
        options = {"question": options}
    if not isinstance(options, Mapping):
        faults.append(f"{place}.{kinds[0]}: needs names with values")
        return {}
    return {"kind": kinds[0], "options": options, **about}


def _converted(make: Callable[[], Playbook], place: str, faults: list[str]) -> Playbook | None:
    try:
        return make()
    except msgspec.ValidationError as error:
        faults.append(f"{place}: {error}")
        return None
