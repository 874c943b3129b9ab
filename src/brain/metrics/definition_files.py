"""Files of definitions, for `brain metrics define`: TOML as in brain.toml, YAML or JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from brain.errors import InvalidInput
from brain.kit.documents import json_in, read_bytes, toml_in, yaml_in
from brain.metrics.definitions import DefinitionSet, faults


def read_definitions(path: Path) -> DefinitionSet:
    """What the file defines, in tables `definitions`, `limits` and `slos`, or in those below `metrics`.

    Raises InvalidInput, naming the file and the place, and MissingExtra for YAML without its package.
    """
    parse: Callable[[bytes, str], Any] = {".yaml": yaml_in, ".yml": yaml_in, ".json": json_in}.get(path.suffix, toml_in)
    given = parse(read_bytes(path), str(path))
    if isinstance(given, dict) and given.keys() == {"metrics"}:
        given = given["metrics"]
    try:
        return DefinitionSet.model_validate(given)
    except ValidationError as error:
        raise InvalidInput(f"{path}: {faults(error)}") from error
