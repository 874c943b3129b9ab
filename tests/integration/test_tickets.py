"""Jira and ServiceNow: one ticket for an incident, whatever happens; nobody else's is touched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from brain.charter import IncidentState
from brain.connectors.jira import Jira
from brain.connectors.sender import Refused, RetryPolicy, Sender, TryLater
from brain.connectors.servicenow import ServiceNow, correlation_id
from brain.connectors.tickets import NewTicket, TicketSystem
from brain.demo.stand_ins import StandIns
from brain.secret import Secret
from support.scripted import Reply, ScriptedServer
from support.vendors import jira_settings, servicenow_settings
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
NEW = NewTicket(
    incident_id="inc_7",
    title="Brute force\nfrom 203.0.113.77",
    description="80 failed passwords.\n\nFor root.",
    severity="HIGH",
    url="https://brain.example/incidents/7",
    labels=["ssh brute force"],
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_stand_ins() -> AsyncIterator[StandIns]:
    made = StandIns()
    async with made.running():
        yield made


@pytest.fixture
def stand_ins(running_stand_ins: StandIns) -> StandIns:
    running_stand_ins.reset()
    return running_stand_ins


@pytest_asyncio.fixture(loop_scope="module")
async def sender() -> AsyncIterator[Sender]:
    async with Sender(RetryPolicy(wait=0.01)) as made:
        yield made


@pytest.fixture
def jira(stand_ins: StandIns, sender: Sender) -> Jira:
    return Jira(jira_settings(stand_ins.url), sender)


@pytest.fixture
def servicenow(stand_ins: StandIns, sender: Sender) -> ServiceNow:
    return ServiceNow(servicenow_settings(stand_ins.url), sender)


@pytest.fixture(params=["jira", "servicenow"])
def system(request: pytest.FixtureRequest, jira: Jira, servicenow: ServiceNow) -> TicketSystem[Any]:
    return jira if request.param == "jira" else servicenow


def notes(stand_ins: StandIns) -> list[str]:
    """Of all tickets that there are."""
    issues = [note for issue in stand_ins.jira.issues.values() for note in issue["comments"]]
    return issues + [note for record in stand_ins.servicenow.incidents.values() for note in record["work_notes"]]


def posts(stand_ins: StandIns) -> list[str]:
    """What was asked for that changes something."""
    received = [*stand_ins.jira.received, *stand_ins.servicenow.received]
    return [one.path for one in received if one.method in ("POST", "PATCH") and not one.path.endswith("/jql")]


async def test_a_ticket_lives(system: TicketSystem[Any], stand_ins: StandIns) -> None:
    made = await system.ensure(NEW)
    assert (made["state"], made["changed"]) == ("NEW", True)
    assert made["key"] in made["url"] or made["id"] in made["url"]
    again = await system.ensure(NEW)
    assert (again["id"], again["key"], again["changed"]) == (made["id"], made["key"], False)

    assert await system.comment(made["id"], "the fleet is contained", "evt_1")
    assert not await system.comment(made["id"], "the fleet is contained", "evt_1")
    assert await system.comment(made["id"], "another note", "evt_2")
    assert [note.split("\n")[0] for note in notes(stand_ins)] == ["the fleet is contained", "another note"]

    working = await system.move(made["id"], IncidentState.IN_PROGRESS)
    assert (working["state"], working["changed"]) == ("IN_PROGRESS", True)
    before = len(posts(stand_ins))
    assert not (await system.move(made["id"], IncidentState.IN_PROGRESS))["changed"]
    assert len(posts(stand_ins)) == before
    done = await system.move(made["id"], IncidentState.RESOLVED, "the source is blocked")
    assert (done["state"], done["changed"]) == ("RESOLVED", True)
    assert (await system.read(made["id"]))["state"] == "RESOLVED"


async def test_what_is_sent_for_an_incident(jira: Jira, servicenow: ServiceNow, stand_ins: StandIns) -> None:
    await jira.ensure(NEW)
    (issue,) = stand_ins.jira.issues.values()
    fields = issue["fields"]
    assert fields["summary"] == "Brute force from 203.0.113.77"
    assert fields["labels"] == ["brain-inc_7", "brain", "ssh-brute-force"]
    assert len(fields["description"]["content"]) == 3
    assert "priority" not in fields
    await servicenow.ensure(NEW)
    (record,) = stand_ins.servicenow.incidents.values()
    assert record["correlation_id"] == "brain-inc_7"
    assert (record["urgency"], record["impact"], record["state"]) == ("1", "1", "1")
    assert record["description"].endswith("https://brain.example/incidents/7")


async def test_other_incidents_have_other_tickets(system: TicketSystem[Any]) -> None:
    keys = set()
    for id in ("inc_7", "inc_77", "INC 7", "inc_7^ORDERBYnumber", 'inc_7" OR labels = "x', "i" * 300, "i" * 301):
        ticket = await system.ensure(NewTicket(incident_id=id, title=id, description=""))
        assert ticket["changed"]
        assert (await system.ensure(NewTicket(incident_id=id, title=id, description="")))["key"] == ticket["key"]
        keys.add(ticket["key"])
    assert len(keys) == 7


async def test_a_ticket_that_is_gone_is_a_final_answer_in_the_systems_words(system: TicketSystem[Any]) -> None:
    for call in (
        system.read("0" * 32),
        system.comment("0" * 32, "x", "y"),
        system.move("0" * 32, IncidentState.RESOLVED),
    ):
        with pytest.raises(Refused, match=r"exist") as caught:
            await call
        assert caught.value.service_status == 404


async def test_jira_refuses_a_project_that_is_not_there(stand_ins: StandIns, sender: Sender) -> None:
    jira = Jira(jira_settings(stand_ins.url, project="NOPE", issue_type="Epos"), sender)
    with pytest.raises(Refused, match="project: Specify a valid project ID or key; issuetype: ") as caught:
        await jira.ensure(NEW)
    assert caught.value.service_status == 400


async def test_jiras_search_lags_and_still_there_is_one_issue(stand_ins: StandIns, sender: Sender) -> None:
    stand_ins.jira.index_seconds = 0.5
    jira = Jira(jira_settings(stand_ins.url, settle_seconds=1.0), sender)
    try:
        stand_ins.jira.fail("drop_after", only="/issue", times=1)
        with pytest.raises(TryLater, match="may have been carried out") as caught:
            await jira.ensure(NEW)
        assert caught.value.retry_after == 1.0

        async def found() -> bool:
            return await jira.find("inc_7") is not None

        await until(found)  # the outbox waits for as long as the error asks
        assert not (await jira.ensure(NEW))["changed"]
        stand_ins.jira.index_seconds = 3600.0
        other = NewTicket(incident_id="inc_8", title="x", description="")
        assert [(await jira.ensure(other))["changed"] for _ in range(2)] == [True, False]
    finally:
        stand_ins.jira.index_seconds = 0.0
    assert len(stand_ins.jira.issues) == 2


async def test_jira_says_which_transitions_there_are(stand_ins: StandIns, sender: Sender) -> None:
    jira = Jira(jira_settings(stand_ins.url, statuses={"ON_HOLD": "Parked", "RESOLVED": "resolve"}), sender)
    made = await jira.ensure(NEW)
    with pytest.raises(Refused, match=r"no transition to 'Parked'.*Start work \(to In Progress\)"):
        await jira.move(made["id"], IncidentState.ON_HOLD)
    assert (await jira.move(made["id"], IncidentState.RESOLVED))["status"] == "Done"  # found by the transition's name
    assert not (await jira.move(made["id"], IncidentState.CLOSED))["changed"]  # a state that the settings leave out


async def test_a_status_moved_in_jira_is_read(jira: Jira, stand_ins: StandIns) -> None:
    made = await jira.ensure(NEW)
    stand_ins.jira.set_status(made["key"], "Done")
    assert (await jira.read(made["key"]))["state"] == "RESOLVED"


@pytest.mark.parametrize("closed", ["7", "8"])
async def test_a_closed_record_is_never_touched(servicenow: ServiceNow, stand_ins: StandIns, closed: str) -> None:
    made = await servicenow.ensure(NEW)
    stand_ins.servicenow.incidents[made["id"]]["state"] = closed
    before = len(posts(stand_ins))
    assert not (await servicenow.move(made["id"], IncidentState.RESOLVED, "done"))["changed"]
    assert not (await servicenow.move(made["id"], IncidentState.IN_PROGRESS))["changed"]
    assert not await servicenow.comment(made["id"], "late", "evt_9")
    assert len(posts(stand_ins)) == before


async def test_strangers_records_are_not_taken_for_ours(servicenow: ServiceNow, stand_ins: StandIns) -> None:
    stand_ins.servicenow.add(short_description="a stranger's", correlation_id="")
    stand_ins.servicenow.add(short_description="another's", correlation_id="brain-inc_77")
    assert await servicenow.find("inc_7") is None
    original = stand_ins.servicenow._query
    try:
        # An instance that does not know the field ignores the term, and finds everything.
        stand_ins.servicenow._query = lambda query: list(stand_ins.servicenow.incidents.values())  # type: ignore[method-assign]
        assert await servicenow.find("inc_7") is None
        made = await servicenow.ensure(NEW)
        assert made["changed"]
        found = await servicenow.find("inc_7")
        assert found is not None
        assert found["id"] == made["id"]
    finally:
        stand_ins.servicenow._query = original  # type: ignore[method-assign]


async def test_resolving_wants_a_code_and_notes(stand_ins: StandIns, sender: Sender) -> None:
    servicenow = ServiceNow(servicenow_settings(stand_ins.url, close_code="", hold_reason="4"), sender)
    made = await servicenow.ensure(NEW)
    with pytest.raises(Refused, match="Resolution code, Resolution notes are mandatory") as caught:
        await servicenow.move(made["id"], IncidentState.RESOLVED, "done")
    assert caught.value.service_status == 403
    await servicenow.move(made["id"], IncidentState.ON_HOLD, "waiting for the vendor")
    record = stand_ins.servicenow.incidents[made["id"]]
    assert (record["state"], record["hold_reason"], record["work_notes"]) == ("3", "4", [])
    right = ServiceNow(servicenow_settings(stand_ins.url), sender)
    await right.move(made["id"], IncidentState.RESOLVED, "the source is blocked")
    assert (record["close_code"], record["close_notes"]) == ("Solution provided", "the source is blocked")
    assert record["correlation_id"] == correlation_id("inc_7")


async def test_an_instance_that_sleeps_answers_with_a_page(sender: Sender) -> None:
    async with ScriptedServer() as server:
        server.replies = [Reply(200, "<html>Your instance is hibernating</html>"), Reply(200, "{}"), Reply(200, "{}")]
        for words in ("not JSON", "without a result"):
            with pytest.raises(TryLater, match=words):
                await ServiceNow(servicenow_settings(server.url), sender).read("0" * 32)
        with pytest.raises(TryLater, match=r"something else than it documents: .*required field"):
            await Jira(jira_settings(server.url), sender).read("OPS-1")


async def test_wrong_credentials_are_for_later(stand_ins: StandIns, sender: Sender) -> None:
    wrong = jira_settings(stand_ins.url).model_copy(update={"token": Secret("wrong")})
    with pytest.raises(TryLater, match="are not logged in"):
        await Jira(wrong, sender).ensure(NEW)
    token = servicenow_settings(stand_ins.url).model_copy(update={"token": Secret("wrong")})
    with pytest.raises(TryLater, match="User Not Authenticated"):
        await ServiceNow(token, sender).ensure(NEW)
