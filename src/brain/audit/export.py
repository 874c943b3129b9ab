"""Exports of the log: JSON Lines, CSV, Parquet, OCSF and CEF."""

from __future__ import annotations

import csv
import io
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Annotated, Any, BinaryIO

import msgspec
from msgspec import Meta

from brain.audit.cef import cef
from brain.audit.models import AuditEntry
from brain.audit.ocsf import ocsf
from brain.charter import Event
from brain.errors import InvalidInput
from brain.extras import needs
from brain.neutral import csv_cell, json_bytes

COLUMNS: Mapping[str, Callable[[AuditEntry], Any]] = {
    "index": lambda entry: entry.index,
    "leaf_hash": lambda entry: entry.leaf_hash.hex(),
    "appended_at": lambda entry: entry.appended_at,
    "timestamp": lambda entry: entry.at,
    "type": lambda entry: entry.type,
    "event_id": lambda entry: entry.event_id,
    "source": lambda entry: entry.event.source if entry.event else None,
    "target": lambda entry: entry.event.target if entry.event else None,
    "agent": lambda entry: entry.agent,
    "threat": lambda entry: entry.threat,
    "correlation_id": lambda entry: entry.correlation_id,
    "payload": lambda entry: msgspec.json.encode(entry.event.payload).decode() if entry.event else None,
}
"""Of CSV and Parquet; `payload` is the event's payload as JSON, times are Unix seconds."""

EXAMPLE_HASH = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
_GROUP = 10_000

Writer = Callable[[Iterable[AuditEntry], BinaryIO], int]
"""Writes the entries; returns how many."""


class EntryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the log."""

    index: Annotated[int, Meta(description="Its number, from 0.")]
    leaf_hash: Annotated[
        str, Meta(description="The RFC 6962 hash over the event's exact bytes.", examples=[EXAMPLE_HASH])
    ]
    appended_at: Annotated[float, Meta(description="When it was logged, in Unix seconds.")]
    event_id: Annotated[str | None, Meta(description="The event's id; null for bytes that are no event.")]
    type: Annotated[str, Meta(description="The event's type; empty for bytes that are no event.")]
    event: Annotated[Event | None, Meta(description="The event; null when its bytes are deleted or no event.")]
    data_base64: Annotated[str | msgspec.UnsetType, Meta(description="The bytes, where they are no event.")] = (
        msgspec.UNSET
    )


def write_jsonl(entries: Iterable[AuditEntry], out: BinaryIO) -> int:
    """One EntryDocument a line."""
    return _lines((msgspec.json.encode(document(entry)) for entry in entries), out)


def write_ocsf(entries: Iterable[AuditEntry], out: BinaryIO) -> int:
    """One OCSF event a line."""
    return _lines((msgspec.json.encode(ocsf(entry)) for entry in entries), out)


def write_cef(entries: Iterable[AuditEntry], out: BinaryIO) -> int:
    """One CEF line an entry."""
    count = 0
    for entry in entries:
        out.write(cef(entry).encode() + b"\n")
        count += 1
    return count


def write_csv(entries: Iterable[AuditEntry], out: BinaryIO) -> int:
    """RFC 4180, with a header line.

    A text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP ASVS 1.2.10).
    """
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    count = 0
    for entry in entries:
        writer.writerow([csv_cell(value) for value in row(entry).values()])
        count += 1
    text.detach()
    return count


def write_parquet(entries: Iterable[AuditEntry], out: BinaryIO) -> int:
    """Apache Parquet, through pyarrow (the extra `parquet`). Raises MissingExtra without it."""
    with needs("format: parquet", "parquet"):
        import pyarrow as pa
        from pyarrow import parquet
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


def document(entry: AuditEntry) -> EntryDocument:
    """The entry as JSON shows it."""
    no_event = entry.data is not None and entry.event is None
    return EntryDocument(
        index=entry.index,
        leaf_hash=entry.leaf_hash.hex(),
        appended_at=entry.appended_at,
        event_id=entry.event_id,
        type=entry.type,
        event=entry.event,
        data_base64=b64encode(entry.data).decode() if no_event and entry.data is not None else msgspec.UNSET,
    )


def row(entry: AuditEntry) -> dict[str, Any]:
    """The entry by COLUMNS."""
    return {name: value(entry) for name, value in COLUMNS.items()}


def _lines(lines: Iterable[bytes], out: BinaryIO) -> int:
    count = 0
    for line in lines:
        out.write(json_bytes(line) + b"\n")
        count += 1
    return count
