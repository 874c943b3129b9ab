"""The names of settings, in the environment and in `brain.toml`; a misspelt one is refused with the nearest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from brain.nearest import nearest
from brain.secret import Secret

_SERVICE_LINK = re.compile(r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
"""Variables that Kubernetes sets in each container for each Service of its namespace, so also for `brain-redis`."""
_SURE = 0.85
"""How alike the rest of a name must be to one of ours where its first word is not ours."""


def unknown_variables(environment: Mapping[str, str], prefix: str, model: type[BaseModel]) -> dict[str, str]:
    """A fault for each variable that begins with `prefix` and sets nothing, by its name.

    Inside a table (after `__`) the model itself refuses unknown names. Names are the same in either case, as pydantic
    takes them.
    """
    tops = {f"{prefix}{name.upper()}": name for name in model.model_fields}
    tables = {variable for variable, name in tops.items() if _table(model, name) is not None}
    every = [*tops, *(f"{prefix}{'__'.join(path).upper()}" for path in _nested(model))]
    found = {}
    for given in environment:
        name = given.upper()
        if not name.startswith(prefix) or name in tops or name.partition("__")[0] in tables:
            continue
        if "KUBERNETES_SERVICE_HOST" in environment and _SERVICE_LINK.fullmatch(name):
            continue
        near = nearest(name, every)
        hint = remedy(name, tops) if near is None else f"did you mean {near}?"
        found[given] = f"{given} in the environment: no such setting; {hint}"
    return found


def with_misspelt_prefix(environment: Iterable[str], prefix: str) -> dict[str, str]:
    """The variables whose first word is one slip off `prefix`, or runs into the name, and what follows that word.

    Other programs may own them. The first letter counts as right, or swapped: TRAIN_ and DRAIN_ are words of others.
    """
    ours = prefix.rstrip("_")
    slips = re.compile("|".join(_slips(ours)))
    found = {}
    for name in environment:
        word, _, rest = name.upper().partition("_")
        if word.startswith(ours) and word != ours:
            found[name] = name[len(ours) :]
        if word != ours and slips.fullmatch(word) and rest:
            found[name] = rest
    return found


def meant_variable(rest: str, prefix: str, model: type[BaseModel]) -> str | None:
    """The variable of ours that ends in `rest`, give or take a letter; None where none does."""
    known = {"__".join(path).upper() for path in _nested(model)} | {name.upper() for name in model.model_fields}
    near = nearest(rest, known, _SURE)
    return None if near is None else f"{prefix}{near}"


def _slips(word: str) -> Iterator[str]:
    """Patterns of a word with two letters swapped, or one left out, wrong or too many."""
    for at in range(len(word)):
        yield f"{word[:at]}{word[at + 1 : at + 2]}{word[at]}{word[at + 2 :]}"
        yield f"{word[: at + 1]}[A-Z]{word[at + 1 :]}"
        if at:
            yield f"{word[:at]}[A-Z]?{word[at + 1 :]}"


def remedy(name: str, known: Iterable[str]) -> str:
    """A hint at the right name, for a name that is not known."""
    known = sorted(known)
    near = nearest(name, known)
    return f"did you mean {near}?" if near is not None else f"there are {', '.join(known)}"


def names_at(model: type[BaseModel], path: Iterable[object]) -> list[str]:
    """The names that a table of the settings has; none where the path leads to no table."""
    table: type[BaseModel] | None = model
    for name in path:
        if not isinstance(name, int):  # the place in a list: each of its tables has the same names
            table = None if table is None else _table(table, str(name))
    return [] if table is None else list(table.model_fields)


def secret_variables(value: object) -> Iterator[str]:
    """The environment variables that secrets inside these settings are read from."""
    if isinstance(value, Secret):
        if value.env is not None:
            yield value.env
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secret_variables(getattr(value, name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from secret_variables(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from secret_variables(inner)


def _nested(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in model.model_fields:
        table = _table(model, name)
        if above:
            yield (*above, name)
        if table is not None:
            yield from _nested(table, (*above, name))


def _table(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The model of a field that is a table, or may be one."""
    field = model.model_fields.get(name)
    kinds: tuple[Any, ...] = () if field is None else (field.annotation, *_inner(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _inner(annotation: Any) -> Iterator[Any]:
    """The types inside of an annotation, such as that of the members of a list."""
    for inner in get_args(annotation):
        yield inner
        yield from _inner(inner)
