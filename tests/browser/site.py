"""A real server, and the things agents and operators do to it over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from pydantic import SecretStr

from brain.settings import Settings
from support.ports import free_port
from support.server import ServeProcess, ServeThread

PATIENCE = 60


class Site:
    """The server at `url`, its state in `folder`; `key` is the API key it wants, if any.

    It runs in a thread of this process, or in a process of its own, which can be killed and started again. `consumers`
    are the plug-ins that consume events there, None for all.
    """

    def __init__(
        self,
        folder: Path,
        key: str | None = None,
        *,
        own_process: bool = False,
        consumers: tuple[str, ...] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.stream = f"sqlite:///{folder}/brain.db"
        self._key = key
        self._own_process = own_process
        self._consumers = consumers
        self._process: ServeProcess | None = None
        self._thread: ServeThread | None = None
        self.client = httpx.Client(
            base_url=f"{self.url}/api",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=30,
            trust_env=False,
        )

    def start(self) -> Site:
        if self._own_process:
            options = ("--stream", self.stream)
            environment = {} if self._consumers is None else {"BRAIN_CONSUMERS": ",".join(self._consumers) or ","}
            process = ServeProcess(self.folder, *options, port=self.port, environment=environment)
            self._process = process.__enter__()
        else:
            given: dict[str, Any] = {} if self._consumers is None else {"consumers": self._consumers}
            key = SecretStr(self._key) if self._key else None
            self._thread = ServeThread(Settings(stream=self.stream, port=self.port, api_key=key, **given)).start()
        return self

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def close(self) -> None:
        self.kill()
        if self._thread is not None:
            self._thread.stop()
        self.client.close()

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.client.get(path, params=parameters)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, path: str, body: object = None) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def until(self, come: Callable[[], object], what: str) -> None:
        """Wait until `come()` is true."""
        deadline = time.monotonic() + PATIENCE
        while not come():
            assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
            time.sleep(0.05)

    def settle(self) -> None:
        """Wait until everything published so far is stored: the stream of one process keeps the order."""
        fence = f"fence-{uuid4().hex}"
        self.ask(fence)
        self.until(lambda: fence in str(self.get("/events", pattern="policy.rule_evaluated", limit=10)), "stored")

    def rule(
        self, rule_id: str, effect: str, *conditions: tuple[str, str, object], priority: int = 0, **more: Any
    ) -> None:
        """Make the rule; its name is its id unless `more` gives another."""
        listed = [{"field": field, "operator": operator, "value": value} for field, operator, value in conditions]
        rule = {"id": rule_id, "name": rule_id, "effect": effect, "conditions": listed, "priority": priority, **more}
        self.post("/policy/rules", rule if listed or effect != "ALLOW" else {**rule, "everyone": True})

    def ask(self, agent: str, action: str = "read", role: str = "staff", **more: Any) -> Any:
        """Ask for a decision as an agent does; publishes `policy.rule_evaluated`, and a denial if it is one."""
        body = {"agent_id": agent, "agent_role": role, "action": action, "resource": "db/customers", **more}
        return self.post("/policy/evaluate", body)

    def threat(self, source: str, severity: str = "HIGH", description: str = "80 failed passwords", **more: Any) -> Any:
        """Report a threat; publishes `threat.detected`."""
        body = {"type": "ssh_brute_force", "source": source, "severity": severity, "description": description} | more
        return self.post("/threats", body)

    def move(self, threat_id: str, status: str) -> Any:
        """Move a threat as another operator does."""
        return self.post(f"/threats/{threat_id}/status", {"status": status})

    def health(self, severity: str, kind: str, module: str, message: str) -> None:
        """Report a health event."""
        self.post("/immune/events", {"severity": severity, "kind": kind, "module": module, "message": message})
