"""Stores as commit 6c6e67b wrote them: without tokens and logs of changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import redis

from brain.store.sqlite import sqlite_path

Contents = Mapping[str, Mapping[str, tuple[int, bytes]]]
"""Version and data by collection and key."""

_SCHEMA = """
CREATE TABLE documents (
    collection TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (collection, key)
);
CREATE TABLE document_revisions (collection TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
"""


def fill_old_store(url: str, contents: Contents) -> None:
    """Write the contents as that version did."""
    if url.startswith("sqlite"):
        _fill_sqlite(url, contents)
    else:
        _fill_redis(url, contents)


def _fill_sqlite(url: str, contents: Contents) -> None:
    connection = sqlite3.connect(sqlite_path(url))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(_SCHEMA)
    for collection, documents in contents.items():
        for key, (version, data) in documents.items():
            connection.execute("INSERT INTO documents VALUES (?, ?, ?, ?)", (collection, key, version, data))
        connection.execute("INSERT INTO document_revisions VALUES (?, ?)", (collection, len(documents)))
    connection.commit()
    connection.close()


def _fill_redis(url: str, contents: Contents) -> None:
    with redis.Redis.from_url(url) as client:
        for collection, documents in contents.items():
            for key, (version, data) in documents.items():
                client.hset(f"{{brain}}:store:data:{collection}", key, b"%d:" % version + data)
                client.zadd(f"{{brain}}:store:keys:{collection}", {key: 0})
            client.hset("{brain}:store:revisions", collection, 1_703_001_234_567_000 + len(documents))
