"""For commands that read or change the consumers' tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from brain.settings import Settings

__all__ = ["opened_database"]


@contextmanager
def opened_database(stream: str | None, database: str | None) -> Iterator[tuple[Settings, Engine]]:
    """The settings, and the database that `--database`, the settings or the stream's URL name, inside the block.

    Raises InvalidInput when it is a file that is not there, Unavailable when it does not answer.
    """
    from brain.kit.database import database_url, open_database, reachable
    from brain.settings import load_settings
    from brain.store.ours import check_exists

    settings = load_settings(stream=stream, database=database)
    url = database_url(settings)
    check_exists(url)
    engine = open_database(url)
    try:
        with reachable(engine):
            yield settings, engine
    finally:
        engine.dispose()
