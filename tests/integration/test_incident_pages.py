"""Incidents paged through the routes of alerting: what a threat has paged for is not paged again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from brain.charter import IncidentState as State
from brain.demo.stand_ins import StandIns
from support import alerting_running, incident_house
from support.waiting import until

ROUTE = {
    "name": "all",
    "matchers": ["kind=~threat|incident"],
    "to": ["pager"],
    "group_wait": 1.0,
    "group_interval": 0.2,
}


@pytest.fixture
async def stand_ins() -> AsyncIterator[StandIns]:
    found = StandIns()
    async with found.running():
        yield found


async def test_a_story_is_one_page_and_an_incident_by_hand_is_one_too(tmp_path: Path, stand_ins: StandIns) -> None:
    also = ["incident.opened", "incident.reopened"]
    async with (
        alerting_running.running(tmp_path, stand_ins, also=also, routes=[ROUTE]) as alerting,
        incident_house.running(tmp_path) as at_work,
    ):
        story = await at_work.escalated()
        by_hand = await at_work.incidents.open("wrong invoices")
        await at_work.one(story)
        await until(lambda: len(alerting.service.alerts()) == 3)
        pages = stand_ins.pagerduty.alerts
        await until(lambda: len(pages) == 2)
        await at_work.incidents.move(by_hand["id"], State.RESOLVED, by="ann")
        await at_work.threats.update_threat_status(story, "MITIGATED")
        await until(lambda: {page["status"] for page in pages} == {"resolved"} and alerting.unsaid() == 0)
    assert len(pages) == 2
    assert [page["triggers"] for page in pages] == [1, 1]
