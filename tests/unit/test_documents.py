"""Files that people write: what is in them, and what is said of those that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brain.errors import InvalidInput
from brain.kit.documents import json_in, read_bytes, read_document, read_text, toml_in, yaml_in

LONG = "1" * 5_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"a": {"b": [1, "ä"]}}'),
        ("a.toml", 'a.b = [1, "ä"]'),
        ("a.yaml", "a: {b: [1, ä]}"),
        ("a", "a: {b: [1, ä]}"),
        ("marked.json", '\ufeff{"a": {"b": [1, "ä"]}}'),
    ],
)
def test_a_document_is_read_by_the_end_of_its_name(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    assert read_document(tmp_path / name) == {"a": {"b": [1, "ä"]}}


@pytest.mark.parametrize(
    ("parse", "data", "fault"),
    [
        (json_in, b'{"a": "\xe4"}', "is not UTF-8 text: byte 0xe4 at position 7; save it as UTF-8"),
        (toml_in, b'a = "\xe4"', "is not UTF-8 text: byte 0xe4 at position 5; save it as UTF-8"),
        (yaml_in, b"\xff\xfea\0", "is not UTF-8 text: byte 0xff at position 0; save it as UTF-8"),
        (json_in, b'{"a": {"b": nul}}', "is no JSON: a.b: 'nul' is no JSON value"),
        (json_in, b"[" * 100_000, "is no JSON: .* is nested too deeply"),
        (json_in, b"", "is no JSON: Input data was truncated"),
        (toml_in, b"a = [" + b"[" * 100_000, "is no TOML: maximum recursion depth"),
        (toml_in, b"a = " + LONG.encode(), "is no TOML: Exceeds the limit"),
        (toml_in, b"a = ", "is no TOML: Invalid value"),
        (yaml_in, b"a: [", "is no YAML: while parsing a flow node"),
        (yaml_in, b"[" * 20_000, "is no YAML: "),
        (yaml_in, b"a: 2024-13-45", "is no YAML: month must be in 1..12"),
        (yaml_in, b"a: " + LONG.encode(), "is no YAML: Exceeds the limit"),
        (yaml_in, b"a: !!int ''", "is no YAML: string index out of range"),
        (yaml_in, b"a: !!timestamp x", "is no YAML: 'NoneType' object"),
        (yaml_in, b"a: !!bool x", "is no YAML: 'x'"),
    ],
)
def test_what_is_no_document_is_refused_by_its_name(
    parse: Callable[[bytes, str], Any], data: bytes, fault: str
) -> None:
    with pytest.raises(InvalidInput, match=f"^rules: {fault}"):
        parse(data, "rules")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"gone.yaml: cannot be read: No such file"):
        read_document(tmp_path / "gone.yaml")
    with pytest.raises(InvalidInput, match=r"cannot be read: Is a directory"):
        read_bytes(tmp_path)
    (tmp_path / "large").write_bytes(b"12345")
    assert read_text(tmp_path / "large", 5) == "12345"
    with pytest.raises(InvalidInput, match=r"large: is larger than 4 bytes; split it"):
        read_text(tmp_path / "large", 4)
