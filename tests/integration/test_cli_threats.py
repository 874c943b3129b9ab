"""`brain threats`: the same threats that the library and the server see."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain import EventStream, ThreatService
from brain.store import open_store
from support.command import Command


@pytest.fixture
async def ids(tmp_path: Path) -> list[str]:
    """Two threats in the folder's `brain.db`."""
    store = open_store(f"sqlite:///{tmp_path / 'brain.db'}")
    service = ThreatService(store=store)
    made = [
        await service.create_threat("port_scan", "10.0.0.9", "HIGH", "[bold]500 ports\x1b[31m", {"ports": 500}),
        await service.create_threat("malware", "agent-7", "LOW"),
    ]
    store.close()
    return [threat.id for threat in made]


def test_list_filters_and_prints_json_or_a_table(brain: Command, ids: list[str]) -> None:
    assert [threat["id"] for threat in brain("threats", "list", "--json").json] == ids[::-1]
    assert [threat["id"] for threat in brain("threats", "list", "--severity", "high", "--json").json] == ids[:1]
    assert brain("threats", "list", "--status", "RESOLVED", "--status", "MITIGATED", "--json").json == []
    assert [threat["id"] for threat in brain("threats", "list", "--type", "malware", "--json").json] == ids[1:]
    table = brain("threats", "list").out
    assert all(id in table for id in ids)
    assert r"[bold]500 ports\x1b[31m" in table


def test_show(brain: Command, ids: list[str]) -> None:
    shown = brain("threats", "show", ids[0]).out
    assert shown.startswith(ids[0])
    assert "ports: 500" in shown
    assert "\x1b" not in shown
    assert brain("threats", "show", ids[0], "--json").json["metadata"] == {"ports": 500}


def test_assign_and_comment_are_in_the_timeline(brain: Command, ids: list[str]) -> None:
    assert brain("threats", "assign", ids[1], "ann", "--by", "bob").out == f"{ids[1]}: assigned to ann\n"
    comment = brain("threats", "comment", ids[1], "token=hunter2hunter2 \x1b[31m", "--by", "bob", "--json").json
    assert [one["by"] for one in comment["comments"]] == ["bob"]
    shown = brain("threats", "show", ids[1]).out
    assert "assignee: ann" in shown
    assert "hunter2" not in shown
    assert "\x1b" not in shown
    assert "timeline: 2 events" in shown
    steps = brain("threats", "show", ids[1], "--json").json["timeline"]
    assert [step["type"] for step in steps] == ["threat.assigned", "threat.commented"]
    assert {step["event"]["meta"]["principal"]["name"] for step in steps} == {"bob"}


async def test_move_changes_the_threat_and_publishes(brain: Command, ids: list[str], tmp_path: Path) -> None:
    ran = brain("threats", "move", ids[0], "investigating", "--reason", "odd")
    assert (ran.code, ran.out) == (
        0,
        f"{ids[0]}: OPEN -> INVESTIGATING; may move to ESCALATED, MITIGATED, IGNORED\n",
    )
    moved = brain("threats", "move", ids[0], "MITIGATED", "--json").json
    assert [(step["old"], step["new"], step["reason"]) for step in moved["history"]] == [
        ("OPEN", "INVESTIGATING", "odd"),
        ("INVESTIGATING", "MITIGATED", ""),
    ]
    async with EventStream.open(f"sqlite:///{tmp_path / 'brain.db'}") as stream:
        types = [event.type async for event in stream.replay("threat.*")]
    assert types == ["threat.status_changed", "threat.status_changed", "threat.mitigated"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("move", "{id}", "RESOLVED"),
            "cannot move to RESOLVED; allowed: INVESTIGATING, ESCALATED, MITIGATED, IGNORED",
        ),
        (("move", "{id}", "GONE"), "status: 'GONE' is not one of OPEN, INVESTIGATING"),
        (("move", "thr_0", "IGNORED"), "no threat has the id 'thr_0'"),
        (("show", "thr_0"), "no threat has the id 'thr_0'"),
        (("list", "--severity", "HUGE"), "severity: 'HUGE' is not one of LOW"),
        (("list", "--limit", "0"), "--limit"),
        (("list", "--stream", "mysql://x"), "must start with memory://"),
    ],
)
def test_what_cannot_be_done_ends_with_2(
    brain: Command, ids: list[str], arguments: tuple[str, ...], message: str
) -> None:
    ran = brain("threats", *(argument.format(id=ids[0]) for argument in arguments))
    assert ran.code == 2
    assert ran.out == ""
    assert message in ran.err


def test_stats(brain: Command, ids: list[str]) -> None:
    brain("threats", "move", ids[0], "MITIGATED")
    figures = brain("threats", "stats", "--json").json
    assert (figures["total"], figures["active"], figures["mitigated"]) == (2, 1, 1)
    assert figures["active_oldest_id"] == ids[1]
    assert "by severity: LOW 1, MEDIUM 0, HIGH 1, CRITICAL 0" in brain("threats", "stats").out


def test_without_any_threats(brain: Command) -> None:
    open_store(f"sqlite:///{brain.folder}/brain.db").close()
    assert brain("threats", "list", "--json").json == []
    assert brain("threats", "list").err == "no threats\n"
    assert "mttm seconds: none" in brain("threats", "stats").out
