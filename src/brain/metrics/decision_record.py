"""How many decisions there were, for other plug-ins: they find it as DecisionRecord and do not import this one."""

from __future__ import annotations

from sqlalchemy import Engine

from brain.kit.database import reachable, reading
from brain.kit.health_score import DecisionCounts
from brain.kit.protocols import DecisionRecord
from brain.metrics.schema import make_tables
from brain.metrics.state import decision_counts, first_counted, summed
from brain.plugins import PluginContext

_EVER = 2.0**53


class CountedDecisions:
    """The DecisionRecord of one database."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    def since(self, at: float) -> DecisionCounts | None:
        """Those since this Unix time; None when nothing was ever counted. Blocks. Raises Unavailable."""
        with reachable(self._database):
            make_tables(self._database)
            with reading(self._database).begin() as connection:
                if first_counted(connection) is None:
                    return None
                return summed(found for _, found in decision_counts(connection, at, _EVER))


def decision_record(context: PluginContext) -> DecisionRecord:
    """The decisions in the consumers' database."""
    return CountedDecisions(context.database)
