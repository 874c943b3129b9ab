"""Files that people write, read whole: their bytes, their text, or the JSON, YAML or TOML in them.

Each function raises InvalidInput, which names the file, for one that is not there, too large, no UTF-8, or no document
of its form. A reader of YAML lets more out than its own errors: a ValueError for the 45th of a month, a RecursionError
for a list in too many lists.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from brain import limits
from brain.errors import InvalidInput
from brain.extras import needs
from brain.json_text import JSON_FAULTS, json_fault

FAULTS = (ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""What readers of YAML raise for a text that is at fault, besides YAMLError."""


def read_bytes(path: Path, most: int = limits.FILE_BYTES) -> bytes:
    """What is in the file, of at most so many bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > most:
        raise InvalidInput(f"{path}: is larger than {most:,} bytes; split it")
    return data


def read_text(path: Path, most: int = limits.FILE_BYTES) -> str:
    """The file's text, in UTF-8 with or without a mark at its beginning."""
    return text_in(read_bytes(path, most), str(path))


def read_document(path: Path) -> Any:
    """What is written in a file: JSON or TOML by the end of its name, else YAML."""
    parse = {".json": json_in, ".toml": toml_in}.get(path.suffix, yaml_in)
    return parse(read_bytes(path), str(path))


def text_in(data: bytes, name: str) -> str:
    """The text; `name` is what errors call it by, here and below."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fault = f"byte {data[error.start]:#x} at position {error.start}"
        raise InvalidInput(f"{name}: is not UTF-8 text: {fault}; save it as UTF-8") from error


def json_in(data: bytes, name: str) -> Any:
    """The value that is written in JSON."""
    text = text_in(data, name)
    try:
        return msgspec.json.decode(text)
    except JSON_FAULTS as error:
        raise InvalidInput(f"{name}: is no JSON: {json_fault(text.encode(), limits.BODY_DEPTH) or error}") from error


def toml_in(data: bytes, name: str) -> dict[str, Any]:
    """The tables that are written in TOML."""
    try:
        return tomllib.loads(text_in(data, name))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{name}: is no TOML: {error}") from error


def yaml_in(data: bytes, name: str) -> Any:
    """The value that is written in YAML."""
    with needs(f"{name}: YAML", "yaml"):
        import yaml
    text = text_in(data, name)
    try:
        return yaml.load(text, Loader=yaml_loader())
    except (yaml.YAMLError, *FAULTS) as error:
        raise InvalidInput(f"{name}: is no YAML: {' '.join(str(error).split())}") from error


def yaml_loader() -> Any:
    """PyYAML's safe loader in C, ten times as fast, from LibYAML 0.2.6 on; else that in Python.

    Earlier ones have no bound on nesting: a text of 100,000 brackets ends the process.
    """
    import yaml

    in_c: Any = getattr(yaml, "_yaml", None)
    return yaml.CSafeLoader if in_c is not None and in_c.get_version() >= (0, 2, 6) else yaml.SafeLoader
