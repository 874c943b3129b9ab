"""For commands that read or change the consumers' tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from brain.settings import CoreSettings, Settings

__all__ = ["check_database", "opened_database"]


def check_database(settings: CoreSettings) -> None:
    """Raise InvalidInput where there is no database: a command that changes what is there makes none to say so."""
    from brain.kit.database import database_url
    from brain.store.ours import check_exists

    check_exists(database_url(settings))


@contextmanager
def opened_database(stream: str | None, database: str | None) -> Iterator[tuple[Settings, Engine]]:
    """The settings, and the database that `--database`, the settings or the stream's URL name, inside the block.

    Raises InvalidInput when it is a file that is not there, Unavailable when it does not answer.
    """
    from brain.kit.database import database_url, open_database, reachable
    from brain.settings import load_settings

    settings = load_settings(stream=stream, database=database)
    check_database(settings)
    engine = open_database(database_url(settings))
    try:
        with reachable(engine):
            yield settings, engine
    finally:
        engine.dispose()
