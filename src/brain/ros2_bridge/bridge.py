"""One link with its topics and command gates: what comes is counted and recorded, what is wrong is announced."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa

from brain.charter import EventType, HealthKind, HealthSeverity, Severity
from brain.errors import BrainError, NotFound
from brain.kit import outbox
from brain.kit.database import OUTAGE, create_tables
from brain.kit.database_threads import for_tasks
from brain.kit.protocols import EffectGuard, HealthReport, MotionInterlock, ThreatReport
from brain.logs import Log
from brain.redaction import redacted, redacted_text
from brain.ros2_bridge.calls import CallGate, ServiceGate
from brain.ros2_bridge.events import GRAPH_CHANGED, LINK_DOWN, LINK_UP, RECORDING_CLOSED, TOPIC_SILENT, TOPIC_SUMMARY
from brain.ros2_bridge.gate import CommandGate
from brain.ros2_bridge.goals import GoalGate
from brain.ros2_bridge.graph import Graph
from brain.ros2_bridge.links import AbsentLink, Link, Received, link_or_absent
from brain.ros2_bridge.poses import PoseFeed
from brain.ros2_bridge.rates import RateCounter
from brain.ros2_bridge.settings import LinkSettings, Ros2Settings
from brain.stream import EventStream
from brain.stream.publisher import emit
from brain.typed import ready

if TYPE_CHECKING:
    from brain.ros2_bridge.foxglove import FoxgloveServer
    from brain.ros2_bridge.recording import BagRecorder, LinkRecorder

_Gate = TypeVar("_Gate", bound=CallGate)

log: Log = Log("brain.ros2_bridge")

LOOK, MOVING = 0.5, 0.1
"""Seconds between two looks at silent topics and contained robots; at robots that move, and at the recording."""
MOST_NAMES = 50
"""Names of the graph in one event."""
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
        interlocks: Sequence[MotionInterlock] = (),
        poses: Sequence[PoseFeed] = (),
    ) -> None:
        self.name = name
        self.settings = settings
        self.up: bool = False
        self.reason: str = "not connected yet"
        self.link: Link = link_or_absent(settings, self)
        self.graph: Graph | None = None
        """What the peer tells of; None before it said anything."""
        self.viewers: FoxgloveServer | None = None
        """Who sees what comes."""
        self._stream = stream
        self._database = database
        self._clock = clock
        self._rogue_minutes: dict[str, int] = {}
        self._rogue_nodes: set[tuple[str, str]] = set()
        self._reporting: set[asyncio.Task[None]] = set()
        self._up_at: float | None = None
        self._recorder: LinkRecorder | None = None
        self.gates: dict[str, CommandGate] = {
            topic: CommandGate(name, topic, one, guard, self.link.send, self._announce, interlocks)
            for topic, one in settings.commands.items()
        }
        parts = (self.link, guard, self._announce, interlocks)
        self.services: dict[str, ServiceGate] = {
            service: ServiceGate(name, service, one, *parts) for service, one in settings.services.items()
        }
        self.actions: dict[str, GoalGate] = {
            action: GoalGate(name, action, one, *parts, clock) for action, one in settings.actions.items()
        }
        self._stopped: tuple[CommandGate | GoalGate, ...] = (*self.gates.values(), *self.actions.values())
        """What robots are stopped by; commands first."""
        self.poses: Sequence[PoseFeed] = poses
        self._feeds = {topic: [feed for feed in poses if topic in feed.topics] for one in poses for topic in one.topics}
        self.totals: dict[str, RateCounter] = {
            topic: RateCounter(topic, type) for topic, type in self.link.subscriptions().items()
        }
        self._windows = {topic: RateCounter(topic, one.type) for topic, one in settings.topics.items()}
        self._window_at = clock()
        self._silent: set[str] = set()

    def record_below(self, settings: Ros2Settings) -> None:
        """Record what comes from now on, if anything can come."""
        if isinstance(self.link, AbsentLink):
            return
        from brain.ros2_bridge.recording import LinkRecorder

        folder = Path(settings.folder or ".")
        self._recorder = LinkRecorder(folder, self.name, settings.record_minutes, self._clock)

    def gate(self, topic: str) -> CommandGate:
        """The gate of a command topic. Raises NotFound."""
        if topic not in self.gates:
            known = ", ".join(self.gates) or "none"
            raise NotFound(f"link {self.name}: {topic[:200]} is no command topic; the settings have {known}")
        return self.gates[topic]

    def service(self, name: str) -> ServiceGate:
        """The gate of a service. Raises NotFound."""
        return self._asked_of("service", self.services, name)

    def action(self, name: str) -> GoalGate:
        """The gate of an action. Raises NotFound."""
        return self._asked_of("action", self.actions, name)

    def _asked_of(self, kind: str, gates: Mapping[str, _Gate], name: str) -> _Gate:
        found = gates.get(f"/{name.strip('/')}")
        if found is None:
            known = ", ".join(gates) or "none"
            table = f"[ros2_bridge.links.{self.name}.{kind}s]"
            raise NotFound(f"link {self.name}: {name[:200]} is no {kind} that agents may ask; {table} has {known}")
        return found

    async def came_up(self) -> None:
        """The link is up: zero commands go first."""
        for gate in self._stopped:
            await gate.link_up()
        for service in self.services.values():
            await service.link_up()
        self.up, self.reason, self._up_at = True, "", self._clock()
        self._announce(LINK_UP, self._state(""))

    async def went_down(self, reason: str) -> None:
        """The link is down."""
        self.up, self.reason, self._up_at = False, redacted_text(reason)[:500], None
        for gate in self._stopped:
            gate.link_down()
        for service in self.services.values():
            service.link_down()
        self._announce(LINK_DOWN, self._state(self.reason))

    def received(self, message: Received) -> None:
        """A message came."""
        now = self._clock()
        if message.topic in self.totals:
            self.totals[message.topic].add(now, message.size)
        if message.topic in self._windows:
            self._windows[message.topic].add(now, message.size)
            self._silent.discard(message.topic)
        if message.topic in self.totals and (self._recorder is not None or self.viewers is not None):
            self._show(message, self.totals[message.topic].type)
        for feed in self._feeds.get(message.topic, ()):
            feed.add(message.topic, message.message, now)
        gate = self.gates.get(message.topic)
        if gate is not None and not gate.is_own(message.message):
            self._note_rogue(gate, now)

    def _show(self, message: Received, type: str) -> None:
        """Give it to the recording and to viewers, without secrets."""
        try:
            shown = message.without_secrets(type)
        except BrainError as error:
            log.warning("a message is not recorded: its secrets cannot be replaced", link=self.name, error=str(error))
            return
        if self._recorder is not None:
            self._recorder.add(shown, type)
        if self.viewers is not None:
            self.viewers.show(self.name, type, shown)

    def unread(self, topic: str, reason: str) -> None:
        """A message came that could not be read; the link counted it."""
        for feed in self._feeds.get(topic, ()):
            feed.refuse(reason)

    def graph_changed(self, graph: Graph) -> None:
        """The peer tells of other nodes, topics, services or actions than before."""
        graph = msgspec.convert(redacted(msgspec.to_builtins(graph)), ready(Graph))
        before, now = set() if self.graph is None else self.graph.names(), graph.names()
        self.graph = graph
        added, removed = sorted(now - before), sorted(before - now)
        if added or removed:
            said = {"added": [name[:300] for name in added[:MOST_NAMES]], "added_count": len(added)}
            gone = {"removed": [name[:300] for name in removed[:MOST_NAMES]], "removed_count": len(removed)}
            self._announce(GRAPH_CHANGED, {"bridge_id": self.name} | said | gone)
        for one in graph.topics:
            for feed in self._feeds.get(one.topic, ()) if one.publishers != [] else ():
                feed.check_type(one.type)
        there = {
            (topic.topic, publisher.node)
            for topic in graph.topics
            if topic.topic in self.gates
            for publisher in topic.publishers or ()
        }
        for name, node in sorted(there - self._rogue_nodes):
            self._report_rogue(self.gates[name], f"node {node}", {"node": node})
        self._rogue_nodes = there

    async def watch_moving(self) -> None:
        """Stop robots that an interlock no longer lets go so fast, and write what is recorded, until cancelled."""
        while True:
            await asyncio.sleep(MOVING)
            await asyncio.gather(*(gate.look_at_interlocks() for gate in self._stopped))
            if self._recorder is not None and (bag := self._recorder.look()) is not None:
                self._spawn(self._close(bag))

    async def watch(self, window: float) -> None:
        """Look at silent topics and contained robots until cancelled; a summary of each topic each `window` seconds."""
        while True:
            await asyncio.sleep(LOOK)
            for gate in self._stopped:
                await gate.look()
            self.look(window)

    def look(self, window: float) -> None:
        """Announce what fell silent, and summaries when their window is over."""
        now = self._clock()
        for topic, one in self.settings.topics.items():
            if self._up_at is None or topic in self._silent or one.silent_seconds is None:
                continue  # that the link is down is announced already
            total = self.totals[topic]
            silent_for = now - max(self._up_at, total.last_at or self._up_at)
            if silent_for > one.silent_seconds:
                self._silent.add(topic)
                payload = {"bridge_id": self.name, "topic": topic, "type": one.type}
                self._announce(TOPIC_SILENT, payload | {"expected_hz": total.hz, "last_at": total.last_at})
                words = f"topic {topic} of link {self.name} has been silent for {silent_for:.1f} s"
                self._spawn(self._report_health(words, payload, f"silent {self.name}{topic} {now}"))
        if now < self._window_at:  # the clock was set back
            self._window_at = now
        if now - self._window_at >= window:
            self._summarise(now)

    async def close(self) -> None:
        """Stop the robots that move, and cancel their goals."""
        for gate in self._stopped:
            await gate.close()
        if self._recorder is not None and (bag := self._recorder.end()) is not None:
            await self._close(bag)

    async def _close(self, bag: BagRecorder) -> None:
        """Finish a bag, and announce it."""
        from brain.ros2_bridge.recording import closed

        try:
            found, sha256 = await asyncio.to_thread(closed, bag)
        except OSError as error:
            log.error("a bag could not be finished; it can be read all the same", file=str(bag.path), error=str(error))
            return
        said = {"file": found.file, "bytes": found.bytes, "messages": found.messages, "seconds": found.seconds}
        self._announce(RECORDING_CLOSED, {"bridge_id": self.name, "sha256": sha256} | said)

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
        self._report_rogue(gate, f"minute {minute}", {})

    def _report_rogue(self, gate: CommandGate, reading: str, more: dict[str, Any]) -> None:
        robot = gate.settings.robot
        who = f"node {more['node']}" if more else "somebody else"
        words = f"{who} publishes commands for robot {robot} on {gate.topic} of link {self.name}"
        details = {"robot_id": robot, "topic": gate.topic, "bridge_id": self.name} | more
        report = ThreatReport(ROGUE, f"{self.name}{gate.topic}", Severity.HIGH, words, reading, details)
        self._spawn(self._report(lambda db: outbox.put_threat(db, CONSUMER, report, self._clock())))

    async def _report_health(self, words: str, details: dict[str, Any], key: str) -> None:
        report = HealthReport(HealthSeverity.WARNING, HealthKind.AGENT_FAILURE, CONSUMER, words, details)
        await self._report(lambda db: outbox.put_health(db, CONSUMER, report, self._clock(), key=key))

    async def _report(self, put: Callable[[sa.Connection], object]) -> None:
        try:
            await for_tasks(self._database, self._put, put)
        except OUTAGE as error:
            log.error("what happened on a link could not be reported", link=self.name, error=str(error))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._reporting.add(task)
        task.add_done_callback(self._reporting.discard)

    def _put(self, put: Callable[[sa.Connection], object]) -> None:
        create_tables(self._database, outbox.metadata)
        with self._database.begin() as db:
            put(db)

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
