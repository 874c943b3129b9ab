"""The simulated fleet: agents that work, break rules, get attacked, fail and recover, through the HTTP API alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from random import Random
from typing import Any, TypeVar

import httpx

from brain.errors import BrainError

Say = Callable[[str], None]
T = TypeVar("T")

PAGED_WITHIN = 5.0
"""Seconds that an attack goes on while the page about it is under way."""

AWAY_SECONDS = 60.0
"""How long the fleet asks again while a part of the server does not answer (503)."""

OFFICER = "policy-officer"
"""Who makes and takes away rules."""

LOOP_SECONDS = 60.0
"""How long the loop may take to contain a rogue agent, release it, restart one that failed, or stop a robot."""

LIVELY_SECONDS = 600.0
"""After as long again, pauses are twice as long, and so on up to SLOWEST: a day is a quarter of a million events."""
SLOWEST = 10.0

BETWEEN_ROGUES = (75.0, 100.0)
"""Seconds between two turns of a rogue agent: the playbook that contains them may run once a minute on average."""


OF_ROGUES = frozenset({"data_exfiltration", "unusual_hours"})
"""The types of threats that somebody of the fleet reports, and deals with."""


class DemoFailed(BrainError):
    """The server answered the fleet with something it should not."""


class Api:
    """The public API, as the fleet's agents and operators call it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        may_fail_with: int | None = None,
        correlation_id: str | None = None,
    ) -> Any:
        """The parsed answer; None for no content or for the status `may_fail_with`. Raises DemoFailed for any other.

        `correlation_id` is that of the events that come of the call.
        """
        headers = {"X-Correlation-Id": correlation_id} if correlation_id else None
        until = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                answer = await self._client.request(method, f"/api/{path}", json=body, headers=headers)
            except httpx.HTTPError as error:
                raise DemoFailed(f"{method} /api/{path} was not answered: {error!r}") from error
            if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > until:
                break
            await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
        if answer.status_code == may_fail_with:
            return None
        if answer.is_error:
            raise DemoFailed(f"{method} /api/{path} was answered with {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None


async def until(what: str, found: Callable[[], Awaitable[T | None]]) -> T:
    """What it gives, once that is something. Raises DemoFailed when it does not in time."""
    try:
        async with asyncio.timeout(LOOP_SECONDS):
            while not (result := await found()):  # noqa: ASYNC110  (asked over HTTP, as anybody would)
                await asyncio.sleep(0.05)
            return result
    except TimeoutError as error:
        raise DemoFailed(f"not within {LOOP_SECONDS:g} s: {what}") from error


class Pace:
    """How fast the demo goes, from one seeded source of chance; once it is over nobody waits any more."""

    def __init__(self, seed: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.random: Random = Random(seed)
        self._over = asyncio.Event()
        self._clock = clock
        self._began = clock()

    @property
    def over(self) -> bool:
        """Whether everybody should come to an end."""
        return self._over.is_set()

    def end(self) -> None:
        """Let everyone finish what they are at, without further waiting."""
        self._over.set()

    @property
    def slowness(self) -> float:
        """What pauses are multiplied by: more the longer the demo runs, so that its database stays small."""
        return min(SLOWEST, 1.0 + max(0.0, self._clock() - self._began - LIVELY_SECONDS) / LIVELY_SECONDS)

    async def pause(self, least: float, most: float) -> None:
        """Wait between `least` and `most` seconds (times `slowness`), or until it is over."""
        try:
            async with asyncio.timeout(self.random.uniform(least, most) * self.slowness):
                await self._over.wait()
        except TimeoutError:
            return


@dataclass(frozen=True)
class Agent:
    """One agent of the fleet: what it usually does, and what it should not."""

    name: str
    role: str
    work: tuple[tuple[str, str], ...]
    temptations: tuple[tuple[str, str], ...] = ()

    def next_act(self, random: Random) -> tuple[str, str]:
        """What it does next: an action and its resource. It seldom yields to a temptation."""
        return random.choice(self.temptations if self.temptations and random.random() < 0.01 else self.work)

    def context(self, action: str, resource: str, random: Random) -> dict[str, Any]:
        """The question it asks before acting."""
        return {
            "agent_id": self.name,
            "agent_role": self.role,
            "action": action,
            "resource": f"{resource}/{random.randint(1000, 9999)}" if action == "refund" else resource,
            "environment": {"zone": random.choice(("eu-1", "us-2")), "maintenance": random.random() < 0.1},
            "params": {"amount": random.randint(1, 1530)},
        }


AGENTS = (
    Agent("search-1", "reader", (("read", "index/articles"), ("read", "index/prices"))),
    Agent("search-2", "reader", (("read", "index/articles"),), (("write", "index/prices"),)),
    Agent("billing-1", "cashier", (("refund", "payments/eu"), ("read", "payments/eu"))),
    Agent("deploy-1", "operator", (("deploy", "web"), ("restart", "web"), ("read", "logs"))),
    Agent("support-1", "assistant", (("read", "tickets"), ("export", "tickets"))),
    Agent("visitor-1", "guest", (("read", "index/articles"),), (("delete", "db/customers"), ("read", "payments/eu"))),
)


def _rule(name: str, effect: str, priority: int, *conditions: tuple[str, str, object], why: str = "") -> dict[str, Any]:
    return {
        "id": "demo-" + name.lower().replace(" ", "-"),
        "name": name,
        "effect": effect,
        "priority": priority,
        "conditions": [{"field": field, "operator": operator, "value": value} for field, operator, value in conditions],
        "description": why,
        "metadata": {"demo": True},
    }


RULES = (
    _rule("Readers read", "ALLOW", 10, ("agent_role", "in", ["reader", "guest"]), ("resource", "matches", "index/.*")),
    _rule("Cashiers refund", "ALLOW", 10, ("agent_role", "==", "cashier"), ("resource", "contains", "payments")),
    _rule("Large refunds", "DENY", 50, ("action", "==", "refund"), ("params.amount", ">", 1500), why="over 1,500"),
    _rule(
        "Operators operate",
        "ALLOW",
        10,
        ("agent_role", "==", "operator"),
        ("action", "in", ["deploy", "restart", "read"]),
    ),
    _rule("Careful in maintenance", "WARN", 40, ("action", "==", "deploy"), ("environment.maintenance", "==", True)),
    _rule("Assistants help", "ALLOW", 10, ("agent_role", "==", "assistant"), ("action", "==", "read")),
    _rule("Exports are audited", "AUDIT", 20, ("agent_role", "==", "assistant"), ("action", "==", "export")),
    _rule("Only readers read the index", "DENY", 60, ("agent_role", "==", "reader"), ("action", "!=", "read")),
)


class Fleet:
    """Everybody who takes part, until the pace is over."""

    def __init__(self, api: Api, pace: Pace, say: Say, run: str) -> None:
        self._api = api
        self._pace = pace
        self._say = say
        self._run = run

    async def set_up(self) -> None:
        """Put the rules there."""
        for rule in RULES:
            await self._put_rule(rule)

    async def live(self) -> None:
        """Let everybody act until the pace is over, but once at least, and remove the rules."""
        try:
            async with asyncio.TaskGroup() as everybody:
                for agent in AGENTS:
                    everybody.create_task(self._work(agent))
                everybody.create_task(self._govern())
                everybody.create_task(self._attack_and_defend())
                everybody.create_task(self._go_rogue())
                everybody.create_task(self._false_alarms())
                everybody.create_task(self._review())
                everybody.create_task(self._fail_and_recover())
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            for rule in RULES:
                await self._api.call("DELETE", f"policy/rules/{rule['id']}?by={OFFICER}", may_fail_with=404)

    async def _put_rule(self, rule: Mapping[str, Any]) -> None:
        # A demo that was killed has left its rules behind.
        await self._api.call("DELETE", f"policy/rules/{rule['id']}?by={OFFICER}", may_fail_with=404)
        await self._api.call("POST", f"policy/rules?by={OFFICER}", rule)

    async def _ask(self, agent: Agent, action: str, resource: str, *, correlation_id: str | None = None) -> bool:
        context = agent.context(action, resource, self._pace.random)
        decision = await self._api.call("POST", "policy/evaluate", context, correlation_id=correlation_id)
        return bool(decision["allowed"])

    async def _work(self, agent: Agent) -> None:
        while not self._pace.over:
            action, resource = agent.next_act(self._pace.random)
            if not await self._ask(agent, action, resource):
                self._say(f"{agent.name} ({agent.role}) may not {action} {resource}")
            await self._pace.pause(0.05, 0.4)

    async def _govern(self) -> None:
        """A policy officer's rule, through its whole life, again and again."""
        number = 0
        while not self._pace.over:
            number += 1
            rule = _rule(f"Freeze {self._run} {number}", "WARN", 70, ("action", "==", "deploy"), why="release freeze")
            path, by = f"policy/rules/{rule['id']}", f"?by={OFFICER}"
            await self._api.call("POST", f"policy/rules{by}", {**rule, "enabled": False})
            await self._pace.pause(0.1, 0.4)
            await self._api.call("POST", f"{path}/enable{by}")
            await self._pace.pause(0.1, 0.4)
            await self._api.call("PUT", f"{path}{by}", {**rule, "priority": 80})
            await self._pace.pause(0.1, 0.4)
            await self._api.call("POST", f"{path}/disable{by}")
            await self._pace.pause(0.1, 0.4)
            await self._api.call("DELETE", f"{path}{by}")
            self._say(f"rule {rule['name']!r} was created, enabled, changed, disabled and deleted")
            await self._pace.pause(1, 3)

    async def _attack_and_defend(self) -> None:
        """An intruder tries what it may not; the security team sees it and deals with it."""
        number = 0
        while not self._pace.over:
            number += 1
            address = f"198.51.100.{self._pace.random.randint(1, 254)}"
            intruder = Agent(f"intruder-{number}", "unknown", ())
            for table in ("customers", "payments", "keys"):
                await self._ask(intruder, "dump", f"db/{table}")
            threat = await self._api.call(
                "POST",
                "threats",
                {
                    "type": "data_exfiltration",
                    "source": address,
                    "severity": self._pace.random.choice(("HIGH", "CRITICAL")),
                    "description": f"{intruder.name} asked for whole tables",
                    "metadata": {"agent_id": intruder.name, "denied": 3},
                },
            )
            self._say(f"{intruder.name} attacks from {address}; threat {threat['id']}")
            await self._move(threat, "INVESTIGATING", "the denials are of one agent")
            await self._move(threat, "ESCALATED", "it has a valid token")
            await self._paged(threat)
            await self._move(threat, "MITIGATED", "the token is revoked")
            await self._move(threat, "RESOLVED", "the token's owner knows")
            self._say(f"threat {threat['id']} was escalated, mitigated and resolved")
            await self._pace.pause(1, 3)

    async def _go_rogue(self) -> None:
        """An agent tries again what it may not: a threat, escalated, contained, mitigated, released."""
        number = 0
        while not self._pace.over:
            number += 1
            rogue = Agent(f"rogue-{self._run}-{number}", "guest", ())
            correlation_id = f"containment-of-{rogue.name}"
            ask = partial(self._ask, rogue, correlation_id=correlation_id)
            if not await ask("read", "index/articles"):
                raise DemoFailed(f"{rogue.name} may not read the index before it was contained")
            for table in ("customers", "payments", "keys", "tokens", "orders"):
                await ask("delete", f"db/{table}")
            denied_at = time.monotonic()
            found: list[Mapping[str, Any]] = []
            await until(f"{rogue.name} is a threat", partial(self._is_threat, rogue.name, found))
            self._say(f"{rogue.name} is a threat {time.monotonic() - denied_at:.2f} s after its fifth denial")
            await self._move(found[0], "INVESTIGATING", "five tables in a moment")
            await self._move(found[0], "ESCALATED", "it goes on")
            await until(f"{rogue.name} is contained", partial(self._is_contained, rogue.name, True))
            if await ask("read", "index/articles"):
                raise DemoFailed(f"{rogue.name} is contained, and may read the index")
            self._say(f"{rogue.name} is contained: what it may else do is refused")
            await self._move(found[0], "MITIGATED", "its prompt is mended")
            await until(f"{rogue.name} is released", partial(self._is_contained, rogue.name, False))
            if not await ask("read", "index/articles"):
                raise DemoFailed(f"{rogue.name} is released, and may not read the index")
            await self._move(found[0], "RESOLVED", "it reads again, and nothing else")
            self._say(f"{rogue.name} is released; its timeline: brain events trace {correlation_id}")
            await self._pace.pause(*BETWEEN_ROGUES)

    async def _is_threat(self, agent: str, found: list[Mapping[str, Any]]) -> bool:
        found[:] = await self._api.call("GET", f"threats?source={agent}&type=policy_denials")
        return bool(found)

    async def _is_contained(self, agent: str, wanted: bool) -> bool:
        contained = await self._api.call("GET", "policy/containments")
        return wanted is any(one["metadata"]["agent_id"] == agent for one in contained)

    async def _paged(self, threat: Mapping[str, Any]) -> None:
        """Wait until whoever is on call was paged, who then acts; at most PAGED_WITHIN, for nobody may be on call."""
        try:
            async with asyncio.timeout(PAGED_WITHIN):
                while not await self._was_paged(threat):  # noqa: ASYNC110  (asked over HTTP, as anybody would)
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self._say(f"nobody was paged about threat {threat['id']} within {PAGED_WITHIN:g} s")

    async def _was_paged(self, threat: Mapping[str, Any]) -> bool:
        alerts = await self._api.call("GET", "alerts", may_fail_with=404) or ()
        about = [alert for alert in alerts if alert["key"] == threat["id"]]
        return any(page["state"] == "sent" for alert in about for page in alert["notifications"])

    async def _false_alarms(self) -> None:
        while not self._pace.over:
            threat = await self._api.call(
                "POST",
                "threats",
                {
                    "type": "unusual_hours",
                    "source": "support-1",
                    "severity": "LOW",
                    "description": "support-1 works at night",
                    "metadata": {},
                },
            )
            await self._move(threat, "IGNORED", "it is on call")
            await self._pace.pause(2, 6)

    async def _review(self) -> None:
        """The security team looks through what else was found, so that no slip of an agent grows for hours."""
        while not self._pace.over:
            await self._pace.pause(15, 25)
            for threat in await self._api.call("GET", "threats?status=OPEN&limit=100"):
                if threat["type"] not in OF_ROGUES and not threat["source"].startswith("rogue-"):
                    to = {"status": "IGNORED", "reason": "looked through: a slip"}
                    await self._api.call("POST", f"threats/{threat['id']}/status", to, may_fail_with=409)

    async def _move(self, threat: Mapping[str, Any], status: str, reason: str) -> None:
        await self._pace.pause(0.1, 0.5)
        await self._api.call("POST", f"threats/{threat['id']}/status", {"status": status, "reason": reason})

    async def _fail_and_recover(self) -> None:
        """An agent slows down, errs and fails; a playbook restarts it, and sees that it answers again."""
        while not self._pace.over:
            name = self._pace.random.choice(AGENTS).name
            correlation_id = f"failure-of-{name}-{self._pace.random.getrandbits(32):08x}"
            report = partial(self._report, correlation_id, name)
            await report("WARNING", "PERFORMANCE_DEGRADATION", "answers take 2.4 s", median_seconds=2.4)
            await report("WARNING", "ERROR_SPIKE", "31 errors in a minute", errors=31)
            await report("CRITICAL", "AGENT_FAILURE", f"{name} does not answer any more", silent_seconds=30)
            await until(f"{name} is restarted", partial(self._healing, correlation_id, "VERIFYING"))
            await report("INFO", "AGENT_FAILURE", f"{name} answers again", silent_seconds=0)
            await until(f"{name} is healed", partial(self._healing, correlation_id, "SUCCEEDED"))
            self._say(f"{name} failed, was restarted and answers; its timeline: brain events trace {correlation_id}")
            await self._pace.pause(1, 4)

    async def _healing(self, correlation_id: str, state: str) -> bool:
        """Whether the run of this correlation id is in this state."""
        runs = await self._api.call("GET", "playbooks/runs")
        return any(run["correlation_id"] == correlation_id and run["state"] == state for run in runs)

    async def _report(
        self, correlation_id: str, module: str, severity: str, kind: str, message: str, **details: object
    ) -> None:
        await self._pace.pause(0.05, 0.3)
        event = {"severity": severity, "kind": kind, "module": module, "message": message, "details": details}
        await self._api.call("POST", "immune/events", event, correlation_id=correlation_id)
