"""One link with its topics and command gates: what comes is counted, what is wrong is announced."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from brain.charter import EventType, Severity
from brain.errors import NotFound
from brain.kit import outbox
from brain.kit.database import OUTAGE, create_tables
from brain.kit.database_threads import for_tasks
from brain.kit.protocols import EffectGuard, ThreatReport
from brain.logs import Log
from brain.ros2_bridge.events import LINK_DOWN, LINK_UP, TOPIC_SILENT, TOPIC_SUMMARY
from brain.ros2_bridge.gate import CommandGate
from brain.ros2_bridge.links import Link, Received, make_link
from brain.ros2_bridge.rates import RateCounter
from brain.ros2_bridge.settings import LinkSettings
from brain.stream import EventStream
from brain.stream.publisher import emit

log: Log = Log("brain.ros2_bridge")

LOOK = 0.5
"""Seconds between two looks at silent topics and contained robots."""
CONSUMER = "ros2_bridge"
ROGUE = "ros2_rogue_publisher"
"""The type of the threat."""


class Bridge:
    """A link by its name. `clock` gives Unix seconds."""

    def __init__(
        self,
        name: str,
        settings: LinkSettings,
        guard: EffectGuard | None,
        stream: EventStream,
        database: sa.Engine,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.settings = settings
        self.up: bool = False
        self.reason: str = "not connected yet"
        self.link: Link = make_link(settings, self)
        self._stream = stream
        self._database = database
        self._clock = clock
        self._rogue_minutes: dict[str, int] = {}
        self._reporting: set[asyncio.Task[None]] = set()
        self.gates: dict[str, CommandGate] = {
            topic: CommandGate(name, topic, one, guard, self.link.send, self._announce)
            for topic, one in settings.commands.items()
        }
        self.totals: dict[str, RateCounter] = {
            topic: RateCounter(topic, type) for topic, type in self.link.subscriptions().items()
        }
        self._windows = {topic: RateCounter(topic, one.type) for topic, one in settings.topics.items()}
        self._window_at = clock()
        self._silent: set[str] = set()

    def gate(self, topic: str) -> CommandGate:
        """The gate of a command topic. Raises NotFound."""
        if topic not in self.gates:
            known = ", ".join(self.gates) or "none"
            raise NotFound(f"link {self.name}: {topic[:200]} is no command topic; the settings have {known}")
        return self.gates[topic]

    async def came_up(self) -> None:
        """The link is up: zero commands go first."""
        for gate in self.gates.values():
            await gate.link_up()
        self.up, self.reason = True, ""
        self._announce(LINK_UP, self._state(""))

    async def went_down(self, reason: str) -> None:
        """The link is down."""
        self.up, self.reason = False, reason[:500]
        for gate in self.gates.values():
            gate.link_down()
        self._announce(LINK_DOWN, self._state(self.reason))

    def received(self, message: Received) -> None:
        """A message came."""
        now = self._clock()
        if message.topic in self.totals:
            self.totals[message.topic].add(now, message.size)
        if message.topic in self._windows:
            self._windows[message.topic].add(now, message.size)
            self._silent.discard(message.topic)
        gate = self.gates.get(message.topic)
        if gate is not None and not gate.is_own(message.message):
            self._note_rogue(gate, now)

    async def watch(self, window: float) -> None:
        """Look at silent topics and contained robots until cancelled; a summary of each topic each `window` seconds."""
        while True:
            await asyncio.sleep(LOOK)
            for gate in self.gates.values():
                await gate.look()
            self.look(window)

    def look(self, window: float) -> None:
        """Announce what fell silent, and summaries when their window is over."""
        now = self._clock()
        for topic, one in self.settings.topics.items():
            total = self.totals[topic]
            late = total.last_at is not None and now - total.last_at > one.silent_seconds
            if late and topic not in self._silent:
                self._silent.add(topic)
                payload = {"bridge_id": self.name, "topic": topic, "type": one.type}
                self._announce(TOPIC_SILENT, payload | {"expected_hz": total.hz, "last_at": total.last_at})
        if now - self._window_at >= window:
            self._summarise(now)

    async def close(self) -> None:
        """Stop the robots that move."""
        for gate in self.gates.values():
            await gate.close()

    def _summarise(self, now: float) -> None:
        for topic, counter in self._windows.items():
            if not counter.count:
                continue
            payload = {
                "bridge_id": self.name,
                "topic": topic,
                "type": counter.type,
                "window_seconds": now - self._window_at,
                "count": counter.count,
                "hz": counter.count / (now - self._window_at),
                "bytes": counter.bytes,
                "max_gap": counter.max_gap,
            }
            self._announce(TOPIC_SUMMARY, payload)
            self._windows[topic] = RateCounter(topic, counter.type)
        self._window_at = now

    def _note_rogue(self, gate: CommandGate, now: float) -> None:
        """Somebody else commands the robot: a threat, once a minute."""
        gate.counts["rogue"] += 1
        minute = int(now // 60)
        if self._rogue_minutes.get(gate.topic) == minute:
            return
        self._rogue_minutes[gate.topic] = minute
        robot = gate.settings.robot
        words = f"somebody else publishes commands for robot {robot} on {gate.topic} of link {self.name}"
        details = {"robot_id": robot, "topic": gate.topic, "bridge_id": self.name}
        report = ThreatReport(ROGUE, f"{self.name}{gate.topic}", Severity.HIGH, words, f"minute {minute}", details)
        task = asyncio.create_task(self._report(report))
        self._reporting.add(task)
        task.add_done_callback(self._reporting.discard)

    async def _report(self, report: ThreatReport) -> None:
        try:
            await for_tasks(self._database, self._put, report)
        except OUTAGE as error:
            log.error("a rogue publisher could not be reported", source=report.source, error=str(error))

    def _put(self, report: ThreatReport) -> None:
        create_tables(self._database, outbox.metadata)
        with self._database.begin() as db:
            outbox.put_threat(db, CONSUMER, report, self._clock())

    def _announce(self, event: EventType[Any], payload: dict[str, Any]) -> None:
        emit(self._stream, event, payload)

    def _state(self, reason: str) -> dict[str, Any]:
        parts = urlsplit(self.settings.endpoint)
        where = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return {
            "bridge_id": self.name,
            "driver": self.settings.driver,
            "domain_id": self.settings.domain_id,
            "endpoint": where,
            "reason": reason,
        }
