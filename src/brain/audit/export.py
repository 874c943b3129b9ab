"""The log in other forms: JSON Lines, CSV, Parquet, OCSF and CEF."""

from __future__ import annotations

import csv
import io
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, BinaryIO

import msgspec

from brain.audit.cef import cef
from brain.audit.ocsf import ocsf
from brain.audit.search import Entry
from brain.errors import InvalidInput

COLUMNS = (
    "index",
    "leaf_hash",
    "appended_at",
    "timestamp",
    "type",
    "event_id",
    "source",
    "target",
    "agent",
    "threat",
    "correlation_id",
    "payload",
)
"""Of CSV and Parquet; `payload` is the event's payload as JSON, times are Unix seconds."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")
_GROUP = 10_000

Writer = Callable[[Iterable[Entry], BinaryIO], int]
"""Writes the entries; how many there were."""


def write_jsonl(entries: Iterable[Entry], out: BinaryIO) -> int:
    """One JSON object a line: the entry, with the event's exact bytes in base64 where they are no event."""
    return _lines((msgspec.json.encode(document(entry)) for entry in entries), out)


def write_ocsf(entries: Iterable[Entry], out: BinaryIO) -> int:
    """One OCSF event a line."""
    return _lines((msgspec.json.encode(ocsf(entry)) for entry in entries), out)


def write_cef(entries: Iterable[Entry], out: BinaryIO) -> int:
    """One CEF line an entry."""
    return _lines((cef(entry).encode() for entry in entries), out)


def write_csv(entries: Iterable[Entry], out: BinaryIO) -> int:
    """RFC 4180, with a header line.

    A text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP ASVS 1.2.10).
    """
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    count = 0
    for entry in entries:
        writer.writerow([_cell(value) for value in row(entry).values()])
        count += 1
    text.detach()
    return count


def write_parquet(entries: Iterable[Entry], out: BinaryIO) -> int:
    """Apache Parquet, through pyarrow (the extra `parquet`). Raises InvalidInput without it."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise InvalidInput("format: parquet needs pyarrow: pip install 'brain-eventstream[parquet]'") from error
    kinds = {"index": pa.int64(), "appended_at": pa.float64(), "timestamp": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    rows = map(row, entries)
    count = 0
    with parquet.ParquetWriter(out, schema) as writer:
        while group := list(islice(rows, _GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count


FORMATS: Mapping[str, Writer] = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": write_parquet,
    "ocsf": write_ocsf,
    "cef": write_cef,
}


def writer_of(name: str) -> Writer:
    """The writer of a format. Raises InvalidInput."""
    if name not in FORMATS:
        raise InvalidInput(f"format: {name!r} is not one of {', '.join(FORMATS)}")
    return FORMATS[name]


def document(entry: Entry) -> dict[str, Any]:
    """The entry as JSON shows it. `event` is null when the bytes are deleted or, with `data_base64`, no event."""
    found: dict[str, Any] = {
        "index": entry.index,
        "leaf_hash": entry.leaf_hash.hex(),
        "appended_at": entry.appended_at,
        "event_id": entry.event_id,
        "type": entry.type,
        "event": entry.event,
    }
    if entry.data is not None and entry.event is None:
        found["data_base64"] = b64encode(entry.data).decode()
    return found


def row(entry: Entry) -> dict[str, Any]:
    """The entry by COLUMNS."""
    event = entry.event
    values = (
        entry.index,
        entry.leaf_hash.hex(),
        entry.appended_at,
        entry.at,
        entry.type,
        entry.event_id,
        event.source if event else None,
        event.target if event else None,
        entry.agent,
        entry.threat,
        entry.correlation_id,
        msgspec.json.encode(event.payload).decode() if event else None,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _lines(lines: Iterable[bytes], out: BinaryIO) -> int:
    count = 0
    for line in lines:
        out.write(line + b"\n")
        count += 1
    return count


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
