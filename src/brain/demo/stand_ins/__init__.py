"""Stand-ins for the outside services: small local servers, strict about what the vendors document.

They take the place of the services in tests and in `brain demo`, on one loopback port:
`/pagerduty/v2/enqueue`, `/slack/services/T/B/token`, `/webhook/hook`, `/jira/rest/api/3/...`,
`/servicenow/api/now/table/incident`. `/` lists them; see StandIn for the pages that each has.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from html import escape

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from brain.demo.stand_ins.common import StandIn
from brain.demo.stand_ins.faults import Mode, with_abort
from brain.demo.stand_ins.jira import JiraStandIn
from brain.demo.stand_ins.pagerduty import PagerDutyStandIn
from brain.demo.stand_ins.servicenow import ServiceNowStandIn
from brain.demo.stand_ins.slack import SlackStandIn
from brain.demo.stand_ins.webhook import WebhookSink

__all__ = ["JiraStandIn", "PagerDutyStandIn", "ServiceNowStandIn", "SlackStandIn", "StandIn", "StandIns", "WebhookSink"]


class StandIns:
    """One of each, and the application that has them below their names. Tickets are numbered from `first`."""

    def __init__(self, first: int = 1) -> None:
        self.pagerduty: PagerDutyStandIn = PagerDutyStandIn()
        self.slack: SlackStandIn = SlackStandIn()
        self.webhook: WebhookSink = WebhookSink()
        self.jira: JiraStandIn = JiraStandIn(first=first)
        self.servicenow: ServiceNowStandIn = ServiceNowStandIn(first)
        self.by_name: dict[str, StandIn] = {
            "pagerduty": self.pagerduty,
            "slack": self.slack,
            "webhook": self.webhook,
            "jira": self.jira,
            "servicenow": self.servicenow,
        }
        self.url: str = ""
        """Where they answer while they run, without a slash at its end; known once `running` was entered."""
        mounts = [Mount(f"/{name}", one.app) for name, one in self.by_name.items()]
        self.app: Starlette = Starlette(routes=[Route("/", self._index), *mounts])

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[str]:
        """Answer on 127.0.0.1 inside the block, on a free port or on `port`; the URL. May be entered again after."""
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            config = uvicorn.Config(
                with_abort(self.app), lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
            )
            server = _Server(config)
            work = asyncio.create_task(server.serve([listener]))
            up = asyncio.create_task(server.up.wait())
            await asyncio.wait({work, up}, return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            try:
                yield self.url
            finally:
                server.should_exit = True
                for one in self.by_name.values():
                    one.faulty.release()
                await work

    def fail(self, mode: Mode, *, seconds: float = 1.0, times: int | None = None) -> None:
        """All of them misbehave from now on; see Fault."""
        for one in self.by_name.values():
            one.fail(mode, seconds=seconds, times=times)

    def recover(self) -> None:
        """All of them behave from now on."""
        for one in self.by_name.values():
            one.recover()

    def reset(self) -> None:
        """All of them are as new."""
        for one in self.by_name.values():
            one.reset()

    async def _index(self, request: Request) -> Response:
        items = "".join(f"<li><a href='/{name}/'>{escape(one.name)}</a></li>" for name, one in self.by_name.items())
        return HTMLResponse(f"<!doctype html><html lang=en><title>Stand-ins</title><h1>Stand-ins</h1><ul>{items}</ul>")


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()
