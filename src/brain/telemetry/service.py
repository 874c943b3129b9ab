"""Telemetry opened: its parts, the tasks that run once there is something to do, and its metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client.core import Metric

from brain.extras import require_extras
from brain.kit.outbox import EventShipping
from brain.logs import Log
from brain.plugins import PluginContext
from brain.store.deletion_clock import deletion_clock
from brain.telemetry.agenda import Agenda
from brain.telemetry.committer import Committer
from brain.telemetry.connection import Sources
from brain.telemetry.crossings import Limits
from brain.telemetry.followers import Followers
from brain.telemetry.ingest import Ingest
from brain.telemetry.plugin import PLUGIN
from brain.telemetry.prometheus import telemetry_metrics
from brain.telemetry.query import TelemetryQuery
from brain.telemetry.samples import SampleWriter
from brain.telemetry.settings import Forward, TelemetrySettings
from brain.telemetry.usage import UsageBook

if TYPE_CHECKING:
    from brain.telemetry.forward import Forwarding

log: Log = Log("brain.telemetry")


class Telemetry:
    """Everything that runs for telemetry in one process; `clock` gives Unix seconds."""

    def __init__(self, context: PluginContext, clock: Callable[[], float] = time.time) -> None:
        settings = context.table(TelemetrySettings)
        self.context: PluginContext = context
        self.settings: TelemetrySettings = settings
        self.book: UsageBook = UsageBook(settings)
        self.committer: Committer = Committer(context.database, settings.waiting_bytes, clock)
        self.ingest: Ingest = Ingest(self.committer, self.book, settings.body_bytes)
        self.sources: Sources = Sources(
            self.committer, SampleWriter(settings, Limits(settings.limits)), settings.credit
        )
        self.followers: Followers = Followers()
        self.query: TelemetryQuery = TelemetryQuery(context.database)
        self._agenda = Agenda(self.committer, self.book, settings, clock)
        self._shipping = EventShipping(context.database, PLUGIN.name, context.stream)
        self.forwarding: Forwarding | None = None
        if settings.forward is not None:
            self.forwarding = _forwarding(settings.forward, settings.body_bytes)
        self._connect()

    def _connect(self) -> None:
        """Let each part know what the others did."""
        context, sources, ingest, committer = self.context, self.sources, self.ingest, self.committer
        committer.committed = self._agenda.note
        sources.stored = self.followers.hand_on
        if self.forwarding is not None:
            ingest.stored = self.forwarding.add
        self._agenda.deletion_clock = deletion_clock(context.store)

    @property
    def tasks(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """The coroutine functions of the tasks. Without anything to do they only look now and then."""
        forwarding = () if self.forwarding is None else (self.forwarding.run,)
        return (lambda: self._agenda.run(self.context.database), self._shipping.run, *forwarding)

    def metrics(self) -> Sequence[Metric]:
        """The metrics of telemetry for `/metrics`."""
        return telemetry_metrics(self)


def _forwarding(settings: Forward, most: int) -> Forwarding:
    """Raises MissingExtra when the packages that send are not installed."""
    require_extras("[telemetry.forward]", "connectors")
    from brain.telemetry.forward import Forwarding

    return Forwarding(settings, most)
