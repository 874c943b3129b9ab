"""Incidents mirrored to Jira and ServiceNow over real HTTP, whatever the two do meanwhile.

The stand-ins are written from the vendors' documents, which they name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from brain import HealthEvent
from brain.charter import IncidentState as State
from brain.connectors.sender import RetryPolicy
from brain.demo.stand_ins import StandIn, StandIns
from brain.demo.stand_ins.faults import Fault, Faulty
from brain.kit.database import open_database
from brain.kit.database_identity import adopt_groups
from brain.stream.backends import open_backend
from support.incident_house import Running, mirrored, running
from support.waiting import until


@pytest.fixture
async def stand_ins() -> AsyncIterator[StandIns]:
    found = StandIns()
    async with found.running():
        yield found


@pytest.fixture
async def at_work(tmp_path: Path, stand_ins: StandIns) -> AsyncIterator[Running]:
    async with running(tmp_path, stand_ins) as found:
        yield found


def issue(stand_ins: StandIns) -> dict:
    (found,) = stand_ins.jira.issues.values()
    return found


def record(stand_ins: StandIns) -> dict:
    (found,) = stand_ins.servicenow.incidents.values()
    return found


async def test_a_story_has_one_incident_one_issue_and_one_record(at_work: Running) -> None:
    story = await at_work.escalated()
    incident = await at_work.one(story)
    await at_work.quiet()
    await at_work.threats.update_threat_status(story, "INVESTIGATING", "looking")
    await at_work.threats.update_threat_status(story, "ESCALATED", "again")
    await at_work.threats.update_threat_status(story, "MITIGATED", "blocked at the edge")
    incident = await at_work.becomes(incident["id"], lambda found: found["state"] == "RESOLVED")
    await at_work.quiet()
    assert issue(at_work.stand_ins)["status"] == "Done"
    assert "blocked at the edge" in "\n".join(issue(at_work.stand_ins)["comments"])
    assert record(at_work.stand_ins)["state"] == "6"
    assert record(at_work.stand_ins)["close_notes"] == "IN_PROGRESS -> RESOLVED: all its threats are mitigated"
    jira, servicenow = (await at_work.incidents.get(incident["id"]))["mirrors"]
    assert (jira["system"], jira["key"], jira["state"], jira["error"]) == ("jira", "OPS-1", "Done", None)
    assert jira["url"] == f"{at_work.stand_ins.url}/jira/browse/OPS-1"
    assert (servicenow["key"], servicenow["state"], servicenow["error"]) == ("INC0010001", "Resolved", None)
    kinds = [event.type async for event in at_work.stream.replay("incident.*")]
    assert kinds == ["incident.opened", "incident.updated", "incident.resolved"]


def fail_once(stand_in: StandIn, method: str, path_ends: str, mode: str, seconds: float = 1.0) -> Faulty:
    """Let the first request of this method and path meet the fault, and no other."""
    app = stand_in.faulty._app
    broken = Faulty(app)
    broken.set(Fault(mode=mode, seconds=seconds, times=1))  # type: ignore[arg-type]

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        met = scope["method"] == method and scope["path"].endswith(path_ends)
        await (broken if met else app)(scope, receive, send)

    stand_in.faulty._app = serve
    return broken


@pytest.mark.parametrize("mode", ["slow", "drop_after"])
async def test_a_ticket_whose_making_was_not_answered_is_the_only_one(
    tmp_path: Path, stand_ins: StandIns, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("support.incident_house.RETRIES", RetryPolicy(attempts=2, timeout=0.5, wait=0.05))
    stand_ins.jira.index_seconds = 0.5
    table = mirrored(stand_ins.url)
    for system in ("jira", "servicenow"):
        table[system]["settle_seconds"] = 2.5
    # Whoever asked for it has given up by then; it is done all the same.
    issues = fail_once(stand_ins.jira, "POST", "/issue", mode, seconds=1.0)
    records = fail_once(stand_ins.servicenow, "POST", "/incident", mode, seconds=1.0)
    async with running(tmp_path, stand_ins, jira=table["jira"], servicenow=table["servicenow"]) as at_work:
        await at_work.one(await at_work.escalated())
        await at_work.quiet()
    assert issues.met == records.met == 1
    assert issue(stand_ins)["status"] == "To Do"
    assert record(stand_ins)["state"] == "1"


async def test_a_comment_and_a_move_that_were_not_answered_are_made_once(at_work: Running) -> None:
    incident = await at_work.incidents.open("wrong invoices")
    await at_work.quiet()
    jira, servicenow = at_work.stand_ins.jira, at_work.stand_ins.servicenow
    broken = [
        fail_once(jira, "POST", "/comment", "drop_after"),
        fail_once(jira, "POST", "/transitions", "drop_after"),
        fail_once(servicenow, "PATCH", "", "drop_after"),
    ]
    await at_work.incidents.note(incident["id"], "the tax table is old", "ann")
    await at_work.incidents.move(incident["id"], State.RESOLVED, "mended", "ann")
    await at_work.quiet()
    assert [one.met for one in broken] == [1, 1, 1]
    for told in (issue(at_work.stand_ins)["comments"], record(at_work.stand_ins)["work_notes"]):
        assert "\n".join(told).count("the tax table is old") == "\n".join(told).count("mended") == 1
    assert (issue(at_work.stand_ins)["status"], record(at_work.stand_ins)["state"]) == ("Done", "6")


@pytest.mark.parametrize("mode", ["slow", "busy", "error", "drop", "drop_after", "down", "unauthorized"])
async def test_a_bad_day_of_the_systems_loses_and_doubles_nothing(
    tmp_path: Path, stand_ins: StandIns, mode: str
) -> None:
    stand_ins.fail(mode, seconds=0.3, times=None if mode == "slow" else 2)
    async with running(tmp_path, stand_ins) as at_work:
        story = await at_work.escalated()
        incident = await at_work.one(story)
        await at_work.quiet()
        stand_ins.recover()
        await at_work.threats.update_threat_status(story, "MITIGATED", "blocked")
        await at_work.becomes(incident["id"], lambda found: found["state"] == "RESOLVED")
        await at_work.quiet()
        assert [mirror["error"] for mirror in (await at_work.incidents.get(incident["id"]))["mirrors"]] == [None, None]
    assert issue(stand_ins)["status"] == "Done"
    assert record(stand_ins)["state"] == "6"
    for texts in (issue(stand_ins)["comments"], record(stand_ins)["work_notes"]):
        assert sum(text.count("was mitigated") for text in texts) == 1


async def test_systems_that_are_down_for_the_whole_run_get_all_of_it_later(tmp_path: Path) -> None:
    stand_ins = StandIns()
    async with stand_ins.running():
        port = int(stand_ins.url.rpartition(":")[2])
    async with running(tmp_path, stand_ins) as at_work:
        stories = [await at_work.escalated(f"203.0.113.{n}") for n in range(5)]
        for story in stories:
            incident = await at_work.one(story)
            await at_work.incidents.note(incident["id"], "seen by night shift", by="ann")
            await at_work.incidents.note(incident["id"], "handed over", by="ann")
        await at_work.threats.update_threat_status(stories[0], "MITIGATED")
        await at_work.becomes((await at_work.one(stories[0]))["id"], lambda found: found["state"] == "RESOLVED")
        assert not stand_ins.jira.issues
        async with stand_ins.running(port):
            await at_work.quiet()
    assert sorted(one["status"] for one in stand_ins.jira.issues.values()) == [
        "Done",
        "To Do",
        "To Do",
        "To Do",
        "To Do",
    ]
    assert sorted(one["state"] for one in stand_ins.servicenow.incidents.values()) == ["1", "1", "1", "1", "6"]
    for one in stand_ins.jira.issues.values():
        told = str(one["fields"]["description"]) + "\n".join(one["comments"])
        assert told.count("seen by night shift") == told.count("handed over") == 1


async def test_done_in_jira_resolves_the_incident_its_threat_and_the_record(at_work: Running) -> None:
    story = await at_work.escalated()
    incident = await at_work.one(story)
    await at_work.quiet()
    at_work.stand_ins.jira.set_status("OPS-1", "Done")
    await at_work.look_at(incident["id"], "jira")
    found = await at_work.becomes(incident["id"], lambda found: found["state"] == "RESOLVED")
    await until_status(at_work, story, "RESOLVED")
    await at_work.quiet()
    assert record(at_work.stand_ins)["state"] == "6"
    assert issue(at_work.stand_ins)["status"] == "Done"
    assert not any("NEW -> RESOLVED" in text for text in issue(at_work.stand_ins)["comments"])  # it said so itself
    moves = [entry for entry in found["timeline"] if entry["kind"] == "state"]
    assert [(move["by"], move["text"]) for move in moves] == [("jira", "NEW -> RESOLVED: OPS-1 is Done in jira")]


async def until_status(at_work: Running, threat: str, status: str) -> None:
    async def there() -> bool:
        return (await at_work.threats.get_threat(threat)).status == status

    await until(there)


async def test_a_record_closed_by_others_is_never_touched(at_work: Running) -> None:
    story = await at_work.escalated()
    incident = await at_work.one(story)
    await at_work.quiet()
    others = at_work.stand_ins.servicenow.add(short_description="somebody else's", state="7")
    ours = at_work.stand_ins.servicenow.incidents
    ours_id = next(id for id, one in ours.items() if one is not others)
    ours[ours_id].update(state="7", close_code="Solved", close_notes="done by hand")
    before = {id: str(one) for id, one in ours.items()}
    await at_work.look_at(incident["id"], "servicenow")
    await at_work.becomes(incident["id"], lambda found: found["state"] == "CLOSED")
    await at_work.incidents.note(incident["id"], "afterwards", by="ann")
    await at_work.quiet()
    assert {id: str(one) for id, one in ours.items()} == before
    assert issue(at_work.stand_ins)["status"] == "Done"


async def test_a_flood_in_one_story_becomes_few_comments(tmp_path: Path, stand_ins: StandIns) -> None:
    async with running(tmp_path, stand_ins, comment_seconds=3600.0) as at_work:
        for n in range(300):
            await at_work.immune.publish_event(
                HealthEvent("CRITICAL", "ERROR_SPIKE", f"agent-{n % 7}", f"{n} errors", correlation_id="flood")
            )
        incident = await at_work.one("flood")
        found = await at_work.becomes(
            incident["id"], lambda found: sum(entry["count"] for entry in found["timeline"]) >= 300
        )
        assert len(found["timeline"]) < 20
        await until(lambda: bool(stand_ins.jira.issues) and bool(stand_ins.servicenow.incidents))
        assert len(issue(stand_ins)["comments"]) <= 2
        assert len(record(stand_ins)["work_notes"]) <= 2


async def test_what_people_do_to_a_ticket_is_not_undone(at_work: Running) -> None:
    incident = await at_work.incidents.open("wrong invoices")
    await at_work.quiet()
    await at_work.incidents.move(incident["id"], State.IN_PROGRESS, by="ann")
    await at_work.quiet()
    assert issue(at_work.stand_ins)["status"] == "In Progress"
    at_work.stand_ins.jira.set_status("OPS-1", "To Do")
    await at_work.look_at(incident["id"], "jira")
    await at_work.incidents.note(incident["id"], "later today", "ann")
    await at_work.quiet()
    assert issue(at_work.stand_ins)["status"] == "To Do"
    assert (await at_work.incidents.get(incident["id"]))["state"] == "IN_PROGRESS"
    await at_work.incidents.move(incident["id"], State.RESOLVED, by="ann")
    await at_work.incidents.move(incident["id"], State.CLOSED, by="ann")
    await at_work.quiet()
    assert issue(at_work.stand_ins)["status"] == "Done"
    at_work.stand_ins.jira.set_status("OPS-1", "In Progress")
    await at_work.look_at(incident["id"], "jira")
    await at_work.quiet()
    found = await at_work.incidents.get(incident["id"])
    assert found["state"] == "CLOSED"
    assert "the incident stays CLOSED" in found["timeline"][0]["text"]
    assert issue(at_work.stand_ins)["status"] == "In Progress"


async def test_a_ticket_resolved_here_while_somebody_began_there_is_resolved(at_work: Running) -> None:
    story = await at_work.escalated()
    incident = await at_work.one(story)
    await at_work.quiet()
    at_work.stand_ins.jira.set_status("OPS-1", "In Progress")
    await at_work.threats.update_threat_status(story, "MITIGATED", "blocked")
    await at_work.becomes(incident["id"], lambda found: found["state"] == "RESOLVED")
    await at_work.quiet()
    assert issue(at_work.stand_ins)["status"] == "Done"
    assert (await at_work.incidents.get(incident["id"]))["state"] == "RESOLVED"


async def test_a_record_that_was_closed_is_followed_by_another_when_the_incident_reopens(at_work: Running) -> None:
    story = await at_work.escalated()
    incident = await at_work.one(story)
    await at_work.threats.update_threat_status(story, "MITIGATED")
    await at_work.becomes(incident["id"], lambda found: found["state"] == "RESOLVED")
    await at_work.quiet()
    record(at_work.stand_ins)["state"] = "7"  # put away there, and not looked at yet
    await at_work.threats.update_threat_status(story, "ESCALATED", "it is back")
    await at_work.becomes(incident["id"], lambda found: found["state"] == "IN_PROGRESS")
    await at_work.quiet()
    first, second = at_work.stand_ins.servicenow.incidents.values()
    assert (first["state"], second["state"]) == ("7", "2")
    assert first["correlation_id"] != second["correlation_id"]
    assert issue(at_work.stand_ins)["status"] == "In Progress"


async def test_a_fault_in_the_settings_is_shown_and_mended_by_a_restart(tmp_path: Path, stand_ins: StandIns) -> None:
    wrong = mirrored(stand_ins.url)["jira"] | {"project": "HR"}
    async with running(tmp_path, stand_ins, jira=wrong) as at_work:
        incident = await at_work.incidents.open("wrong invoices")
        found = await at_work.becomes(incident["id"], lambda found: bool(found["mirrors"][0]["error"]))
        assert "Specify a valid project ID or key" in found["mirrors"][0]["error"]
        await at_work.quiet()
    async with running(tmp_path, stand_ins) as at_work:
        found = await at_work.becomes(incident["id"], lambda found: found["mirrors"][0]["key"] == "OPS-1")
        await at_work.quiet()
        found = await at_work.incidents.get(incident["id"])
    assert [mirror["error"] for mirror in found["mirrors"]] == [None, None]
    assert "OPS-1 was created in jira" in [entry["text"] for entry in found["timeline"]]


async def test_tables_built_anew_find_their_tickets_again(tmp_path: Path, stand_ins: StandIns) -> None:
    for name in ("one.db", "two.db"):
        database = f"sqlite:///{tmp_path}/{name}"
        with closing(open_backend(f"sqlite:///{tmp_path}/brain.db")) as backend:
            adopt_groups(backend, open_database(database), ["brain.incidents"])  # as `brain groups adopt` does
        async with running(tmp_path, stand_ins, database) as at_work:
            if name == "one.db":
                story = await at_work.escalated()
                await at_work.threats.update_threat_status(story, "MITIGATED", "blocked")
            incident = await at_work.one(story)
            found = await at_work.becomes(incident["id"], lambda found: found["state"] == "RESOLVED")
            await at_work.quiet()
            found = await at_work.incidents.get(incident["id"])
            assert [mirror["key"] for mirror in found["mirrors"]] == ["OPS-1", "INC0010001"]
    assert issue(stand_ins)["status"] == "Done"
    assert record(stand_ins)["state"] == "6"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_two_that_work_at_once_double_nothing(
    tmp_path: Path, stand_ins: StandIns, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres").url if kind == "postgresql" else None
    async with (
        running(tmp_path, stand_ins, url, poll_seconds=0.1) as at_work,
        running(tmp_path, stand_ins, url) as other,
    ):
        stories = [await at_work.escalated(f"203.0.113.{n}") for n in range(4)]
        for n, story in enumerate(stories):
            incident = await at_work.one(story)
            await (other if n % 2 else at_work).incidents.note(incident["id"], f"note {n}", "ann")
            await (at_work if n % 2 else other).threats.update_threat_status(story, "MITIGATED", "blocked")
        for story in stories:
            await at_work.becomes((await at_work.one(story))["id"], lambda found: found["state"] == "RESOLVED")
        await at_work.quiet()
        found = await other.incidents.list()
    assert sorted(incident["number"] for incident in found) == list(range(1, 5))
    assert sorted(one["status"] for one in stand_ins.jira.issues.values()) == ["Done"] * 4
    assert sorted(one["state"] for one in stand_ins.servicenow.incidents.values()) == ["6"] * 4
    for one in stand_ins.jira.issues.values():
        told = str(one["fields"]["description"]) + "\n".join(one["comments"])
        assert told.count("note ") == told.count("was mitigated") == 1
