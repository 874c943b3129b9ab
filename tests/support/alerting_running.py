"""Alerting at work on a real stream and database, with stand-ins for the services over real HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from brain import Event, EventStream, ImmuneService, ThreatService
from brain.alerting.configuration import configuration
from brain.alerting.service import AlertService
from brain.alerting.settings import AlertingSettings
from brain.alerting.tasks import AlertingTasks
from brain.demo.stand_ins import StandIns
from brain.demo.stand_ins.webhook import WRITTEN_KEY
from brain.kit import outbox
from brain.kit.database import open_database
from brain.plugins import PluginContext, plugins
from brain.settings import Settings
from brain.store import open_store
from support.incident_house import waiting
from support.waiting import until

ROUTING_KEY = "R" * 32


def paging(url: str, **more: Any) -> dict[str, Any]:
    """The table `[alerting]` for stand-ins at that URL, impatient."""
    return {
        "warm_up": 0.2,
        "send_timeout": 100.0,  # a loaded machine must not cost a page its events
        "notifiers": {
            "pager": {"kind": "pagerduty", "routing_key": ROUTING_KEY, "url": f"{url}/pagerduty", "at_most": 10_000},
            "chat": {"kind": "slack", "webhook_url": f"{url}/slack/services/T0/B0/token", "at_most": 10_000},
            "hook": {"kind": "webhook", "url": f"{url}/webhook/hook", "key": WRITTEN_KEY, "at_most": 10_000},
        },
        "routes": [
            {
                "name": "all",
                "matchers": ["kind=~threat|health"],
                "to": ["pager", "chat", "hook"],
                "group_wait": 0.2,
                "group_interval": 0.2,
            }
        ],
        **more,
    }


@dataclass
class Running:
    """What a test works with."""

    stream: EventStream
    threats: ThreatService
    immune: ImmuneService
    service: AlertService
    database: Engine

    def retry(self, notifier: str) -> int:
        """As `brain outbox retry alerting --channel NOTIFIER`."""
        with self.database.begin() as db:
            return outbox.retry_refused(db, consumer="alerting", now=time.time(), channel=notifier)

    async def events(self) -> list[Event]:
        """What was published of alerts, once nothing of it waits."""
        await until(lambda: waiting(self.database) == 0)
        return [event async for event in self.stream.replay("alert.*")]

    def unsaid(self) -> int:
        """Messages that are decided and not sent."""
        return sum(sent.state == "waiting" for shown in self.service.alerts(limit=1000) for sent in shown.notifications)


@asynccontextmanager
async def running(
    folder: Path, stand_ins: StandIns, database: str | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """Everything at work inside the block, on the files in `folder`; stand-ins must be running."""
    url = f"sqlite:///{folder}/brain.db"
    engine = open_database(database or f"sqlite:///{folder}/brain-consumers.db")
    async with EventStream.open(url) as stream:
        store = open_store(url)
        alerting = AlertingSettings(**paging(stand_ins.url, **settings))
        context = PluginContext(stream, store, engine, Settings(stream=url, alerting=alerting), plugins())
        config = configuration(alerting)
        async with AlertingTasks.open(context, config) as opened:
            tasks = [asyncio.create_task(loop()) for loop in opened.tasks]
            try:
                yield Running(
                    stream,
                    ThreatService(stream, store),
                    ImmuneService(stream, store),
                    AlertService(engine, config),
                    engine,
                )
            finally:
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
                store.close()
                engine.dispose()
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends
