"""Redis comes back with less than running processes know: from an older snapshot, from nothing, after a failover.

No decision turns from DENY to ALLOW, at no moment; threats and containments are there afterwards.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brain.errors import Unavailable
from brain.policy import Condition, PolicyEngine, Rule
from brain.store import Store, open_store
from brain.threats import ThreatService
from support.redis_groups import Watched
from support.redis_server import StartRedis, until

DENIED: list[dict[str, str]] = [
    {"agent_id": "x", "action": "pay"},
    {"agent_id": "x", "action": "was-allowed"},
    {"agent_id": "a1", "action": "read"},
]


def rule(rule_id: str, effect: str, action: str) -> Rule:
    conditions = [Condition("action", "==", action)]
    return Rule(id=rule_id, name=rule_id, effect=effect, priority=int(effect == "DENY"), conditions=conditions)


class House:
    """Two engines and a service of threats on one store; what is denied is asked all the time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.engines = [PolicyEngine(store=store) for _ in range(2)]
        self.threats = ThreatService(store=store)
        self.permitted: list[dict[str, str]] = []
        self.asked = 0

    def before(self) -> None:
        """What every copy of the store holds."""
        self.engines[0].import_rules([rule(name, "ALLOW", name) for name in ("pay", "read", "was-allowed")])
        self.old = asyncio.run(self.threats.create_threat("t", "10.0.0.1"))

    def after(self) -> None:
        """What only the running processes know once the store has lost it."""
        self.engines[0].add_rule(rule("no-pay", "DENY", "pay"))
        self.engines[0].delete_rule("was-allowed")
        self.engines[1].contain("a1", ttl=3600, reason="leaked token")
        self.new = asyncio.run(self.threats.create_threat("t", "10.0.0.2"))
        asyncio.run(self.threats.update_threat_status(self.old.id, "ESCALATED", "worse"))
        until(lambda: self.engines[0].rules() == self.engines[1].rules())  # both know it before it is lost
        assert not any(one.evaluate(each).allowed for one in self.engines for each in DENIED)

    @contextmanager
    def asking(self) -> Iterator[None]:
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                for engine in self.engines:
                    self.permitted += [context for context in DENIED if engine.evaluate(context).allowed]
                self.asked += 1
                time.sleep(0.0005)

        thread = threading.Thread(target=ask)
        thread.start()
        yield
        done.set()
        thread.join()

    def restored(self) -> bool:
        """Whether all is in the store again, as a process sees it that starts now."""
        try:
            asyncio.run(self.threats.refresh())
            started = PolicyEngine(store=self.store, follow_interval=None)
            status = asyncio.run(ThreatService(store=self.store).get_threat(self.old.id)).status
            known = asyncio.run(ThreatService(store=self.store).get_threat(self.new.id))
        except Unavailable:
            return False
        denied = not any(started.evaluate(context).allowed for context in DENIED)
        allowed = started.evaluate({"agent_id": "x", "action": "read"}).allowed
        return denied and allowed and status == "ESCALATED" and known == self.new and len(started.containments()) == 1

    def close(self) -> None:
        for engine in self.engines:
            engine.close()
        self.store.close()


def lose(url: str, before_loss: Callable[[], None], loss: Callable[[], None]) -> None:
    """Go through it: state, copy, more state, loss; nothing denied is ever allowed, and all is there at the end."""
    house = House(open_store(url))
    try:
        house.before()
        before_loss()
        house.after()
        with house.asking():
            loss()
            until(house.restored)
            asked = house.asked
            until(lambda: house.asked > asked + 100)
        assert house.permitted == []
        assert sum(engine.losses for engine in house.engines) >= 2, "rules and measures were written back"
    finally:
        house.close()


def test_started_from_an_older_snapshot(start_redis: StartRedis) -> None:
    server = start_redis()
    snapshot = server.folder / "older.rdb"

    def save() -> None:
        with server.client() as client:
            client.save()
        shutil.copy(server.folder / "dump.rdb", snapshot)

    def restart() -> None:
        server.kill()
        shutil.copy(snapshot, server.folder / "dump.rdb")
        server.start()

    lose(server.url, save, restart)


def test_started_from_nothing(start_redis: StartRedis) -> None:
    server = start_redis()
    lose(server.url, lambda: None, lambda: server.restart(empty=True))


def test_a_failover_that_lost_the_last_writes(tmp_path: Path) -> None:
    """The replica hangs while the last writes are made, and is then made the primary."""
    watched = Watched(tmp_path)
    try:
        watched.start().ready_to_fail_over()
        primary, replica = watched.servers

        def part() -> None:
            with primary.client() as client:
                until(lambda: client.wait(1, 1000) == 1)
                replica.freeze()
                client.client_kill_filter(_type="replica")  # else the last writes would wait in the replica's socket

        def fail_over() -> None:
            primary.kill()
            replica.thaw()
            until(replica.is_primary)

        lose(watched.url, part, fail_over)
    finally:
        watched.servers[1].thaw()
        watched.kill()


pytestmark = pytest.mark.timeout(240)
