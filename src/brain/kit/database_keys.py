"""What requests with a key created in the consumers' database: each once, whatever is killed.

`brain.kit.idempotency.CreatedKeys` is the same for what a `brain.store` keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from brain.kit.idempotency import content_digest, digest_of, other_content
from brain.kit.schema import versioned
from brain.kit.sql import insert_into

T = TypeVar("T")

KEPT_SECONDS = 2 * 86_400.0
"""For how long it is known what was made under a key."""
_FORGOTTEN_AT_ONCE = 20

METADATA: sa.MetaData = versioned("keys")
KEYS: sa.Table = sa.Table(
    "created_keys",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("content", sa.String(32), nullable=False),
    sa.Column("made", sa.String(250), nullable=False),
    sa.Column("at", sa.Double, nullable=False),  # in Unix seconds
    sa.Index("created_keys_by_age", "at"),
)
"""One row for each key; `create_tables(engine, METADATA)` makes the table."""


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """What tells whether a request was carried out before: the digest of its key, and that of what it asks for."""

    key: str
    content: str

    @classmethod
    def of(cls, kind: str, key: str | None, *content: Any) -> KeyedRequest | None:
        """The request for something of this kind; None for one without a key. Raises InvalidInput for a bad key."""
        return None if key is None else cls(digest_of(kind, key), content_digest(*content))

    def find(self, db: sa.Connection) -> str | None:
        """The id of what the request made before. Raises Conflict when the key stands for another request."""
        row = db.execute(sa.select(KEYS).where(KEYS.c.key == self.key)).one_or_none()
        if row is None:
            return None
        if row.content != self.content:
            raise other_content(row.made)
        return str(row.made)

    def begin(self, db: sa.Connection, now: float) -> str | None:
        """Take the key; the id of what the request made before, or None. Nobody else has it until the transaction
        ends. Raises Conflict as `find`.
        """
        values = {"key": self.key, "content": self.content, "made": "", "at": now}
        insert = insert_into(db, KEYS).on_conflict_do_nothing().returning(KEYS.c.key)
        if db.execute(insert, values).first() is None:
            return self.find(db)
        _forget(db, now - KEPT_SECONDS)
        return None

    def note(self, db: sa.Connection, made: object) -> None:
        """Keep the id of what was made."""
        db.execute(sa.update(KEYS).where(KEYS.c.key == self.key).values(made=str(made)))


def once(
    db: sa.Connection,
    now: float,
    request: KeyedRequest | None,
    make: Callable[[], T],
    find: Callable[[str], T],
    id_of: Callable[[T], object],
) -> T:
    """What `make` gives, or what `find` gives for the id of what the same request made before. Raises Conflict."""
    if request is None:
        return make()
    if (known := request.begin(db, now)) is not None:
        return find(known)
    made = make()
    request.note(db, id_of(made))
    return made


def _forget(db: sa.Connection, before: float) -> None:
    """Forget some keys that are old enough: each new one makes room."""
    old = sa.select(KEYS.c.key).where(KEYS.c.at < before).order_by(KEYS.c.at).limit(_FORGOTTEN_AT_ONCE)
    db.execute(sa.delete(KEYS).where(KEYS.c.key.in_(old.with_for_update(skip_locked=True).scalar_subquery())))
