"""Settings as a `brain.toml`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def toml(values: Mapping[str, Any], table: str = "") -> str:
    """The values as TOML; enough of it for settings. What is None is left out."""
    lines: list[str] = []
    tables: list[str] = []
    for name, value in values.items():
        path = f"{table}.{name}".strip(".")
        if isinstance(value, Mapping):
            tables += [f"[{path}]", toml(value, path)]
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            tables += [line for one in value for line in (f"[[{path}]]", toml(one, path))]
        elif value is not None:
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join([*lines, *tables])
