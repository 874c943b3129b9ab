"""Files of definitions, for `brain metrics define`: TOML as in brain.toml, YAML or JSON."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from brain import limits
from brain.errors import InvalidInput
from brain.extras import needs
from brain.metrics.definitions import DefinitionSet, faults


def read_definitions(path: Path) -> DefinitionSet:
    """What the file defines, in tables `definitions`, `limits` and `slos`, or in those below `metrics`.

    Raises InvalidInput, naming the file and the place, and MissingExtra for YAML without its package.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > limits.FILE_BYTES:
        raise InvalidInput(f"{path}: {len(data):,} bytes are more than the {limits.FILE_BYTES:,} allowed")
    given = _parsed(path, data)
    if isinstance(given, dict) and given.keys() == {"metrics"}:
        given = given["metrics"]
    try:
        return DefinitionSet.model_validate(given)
    except ValidationError as error:
        raise InvalidInput(f"{path}: {faults(error)}") from error


def _parsed(path: Path, data: bytes) -> Any:
    try:
        if path.suffix in (".yaml", ".yml"):
            with needs(f"{path}", "yaml"):
                import yaml
            try:
                return yaml.safe_load(data)
            except yaml.YAMLError as error:
                raise InvalidInput(f"{path}: is no YAML: {error}") from error
        if path.suffix == ".json":
            return json.loads(data)
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}: cannot be read: {error}") from error
