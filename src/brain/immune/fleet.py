"""What other plug-ins know of the fleet, for its health score: open threats, and how many decisions were denials."""

from __future__ import annotations

from brain.errors import Unavailable
from brain.immune.health_summary import FleetState
from brain.kit.protocols import DecisionRecord, OpenThreatCounts
from brain.logs import Log
from brain.plugins import PluginContext

log: Log = Log("brain.immune")


class Fleet:
    """Asks the plug-ins that are installed."""

    def __init__(self, context: PluginContext) -> None:
        self._threats = context.find(OpenThreatCounts)
        self._decisions = context.find(DecisionRecord)

    def state(self, since: float) -> FleetState:
        """What is known since this Unix time. Blocks. Raises Unavailable when the threats cannot be read."""
        threats = self._threats.by_severity() if self._threats is not None else None
        try:
            decisions = self._decisions.since(since) if self._decisions is not None else None
        except Unavailable as error:
            log.warning("the health score is without denials: the database does not answer", error=str(error))
            decisions = None
        return FleetState(threats, decisions)
