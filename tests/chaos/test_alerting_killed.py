"""kill -9 of `brain worker alerting` at random points under load: one page a story, and it is resolved."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from brain import EventStream, HealthEvent, ImmuneService, ThreatService
from brain.alerting.configuration import configuration
from brain.alerting.service import AlertService
from brain.alerting.settings import AlertingSettings
from brain.demo.stand_ins import StandIns
from brain.kit.database import open_database
from brain.store import open_store
from support import alerting_worker
from support.alerting_running import paging
from support.processes import kill, spawn
from support.sizes import sizes
from support.waiting import until

SEED = 20261125


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kills", sizes(3, 50))
async def test_one_page_a_story(kills: int, tmp_path: Path) -> None:
    stand_ins = StandIns()
    chance = random.Random(SEED)
    url = f"sqlite:///{tmp_path}/brain.db"
    async with stand_ins.running(), EventStream.open(url) as stream:
        alerting = paging(stand_ins.url, warm_up=0.0, send_timeout=2.0)
        alerting["routes"][0]["group_wait"] = 0.05
        (tmp_path / "brain.toml").write_text(_toml(alerting, stream=url, log_level="error"))
        store = open_store(url)
        threats, immune = ThreatService(stream, store), ImmuneService(stream, store)
        active: list[str] = []
        mitigated: set[str] = set()
        flooded = 0

        async def load() -> None:
            nonlocal flooded
            threat = await threats.create_threat("ssh_brute_force", f"203.0.113.{len(active)}", "HIGH", "80 failures")
            active.append(threat.id)
            if chance.random() < 0.5:
                await threats.update_threat_status(threat.id, "ESCALATED", "a login succeeded")
            for _ in range(chance.randrange(10)):
                flooded += 1
                event = HealthEvent("CRITICAL", "ERROR_SPIKE", "billing", f"{flooded} errors", correlation_id="flood")
                await immune.publish_event(event)
            if chance.random() < 0.5 and (rest := [id for id in active[:-5] if id not in mitigated]):
                mitigated.add(rest[0])
                await threats.update_threat_status(rest[0], "MITIGATED", "blocked at the edge")

        worker = spawn(alerting_worker.run, str(tmp_path))
        for _ in range(kills):
            await load()
            await asyncio.sleep(chance.uniform(0.2, 1.0))
            assert worker.is_alive()
            await asyncio.to_thread(kill, worker)
            worker = spawn(alerting_worker.run, str(tmp_path))
        engine = open_database(f"sqlite:///{tmp_path}/brain-consumers.db")
        service = AlertService(engine, configuration(AlertingSettings(**alerting)))

        async def done() -> bool:
            shown = await asyncio.to_thread(service.alerts, None, 1000)
            begun = {key for key, action in _told(stand_ins) if action == "trigger"}
            ended = {key for key, action in _told(stand_ins) if action == "resolve"}
            paged = {entry.key for entry in shown if entry.state == "firing"}
            over = all(entry.state != "firing" for entry in shown if entry.key in mitigated)
            waits = any(sent.state == "waiting" for entry in shown for sent in entry.notifications)
            return (
                len(shown) == len(active) + 1 and paged <= begun and over and begun & mitigated <= ended and not waits
            )

        await until(done, 90)
        await asyncio.to_thread(kill, worker)
        alerts = service.alerts(limit=1000)
        engine.dispose()
        store.close()

    said = _told(stand_ins)
    triggers = [alert["triggers"] for alert in stand_ins.pagerduty.alerts]
    resent = Counter(triggers)
    print(f"{kills} kills, {len(active) + 1} stories, {sum(said.values())} messages, triggers a page: {dict(resent)}")
    assert Counter(shown.key for shown in alerts) == Counter([*active, "health billing ERROR_SPIKE"])
    assert {count for (_, action), count in said.items() if action in ("trigger", "resolve")} == {1}
    begun = {key for key, action in said if action == "trigger"}
    assert {key for key, action in said if action == "resolve"} == begun & mitigated
    # Only what was over before its page was due may have been told to nobody.
    assert {*active} - mitigated <= begun
    pages = Counter(alert["dedup_key"] for alert in stand_ins.pagerduty.alerts)
    assert set(pages) == begun
    assert set(pages.values()) == {1}
    states = {alert["dedup_key"]: alert["status"] for alert in stand_ins.pagerduty.alerts}
    assert {key for key, state in states.items() if state == "resolved"} == begun & mitigated


def _told(stand_ins: StandIns) -> Counter[tuple[str, str]]:
    return Counter((message["dedup_key"], message["action"]) for message in stand_ins.webhook.messages.values())


def _toml(alerting: dict[str, Any], **settings: str) -> str:
    routes, notifiers = alerting.pop("routes"), alerting.pop("notifiers")
    lines = [*_pairs(settings), "[alerting]", *_pairs(alerting)]
    for name, notifier in notifiers.items():
        lines += [f"[alerting.notifiers.{name}]", *_pairs(notifier)]
    for route in routes:
        lines += ["[[alerting.routes]]", *_pairs(route)]
    alerting |= {"routes": routes, "notifiers": notifiers}
    return "\n".join(lines)


def _pairs(values: dict[str, Any]) -> list[str]:
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]
