"""Ten workflows of Jira and five of ServiceNow mirror the whole life of an incident: real connectors and stand-ins,
without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from brain.charter import Severity
from brain.connectors.sender import NotYet, Refused, TryLater
from brain.connectors.tickets import NewTicket
from brain.demo.stand_ins.jira import Move, Workflow
from brain.errors import BrainError
from brain.incidents import tables
from brain.incidents.webhooks import TicketWebhooks
from brain.kit import outbox
from support.ticket_world import URL, World, world

LIFE = ("IN_PROGRESS", "ON_HOLD", "IN_PROGRESS", "RESOLVED", "IN_PROGRESS", "RESOLVED", "CLOSED")


def screen(*required: str, **optional: Any) -> dict[str, Any]:
    fields = {name: {"required": True, "name": name.title()} for name in required}
    return fields | {name: {"required": False, "name": name.title()} for name in optional}


RESOLUTIONS = {"required": True, "allowedValues": [{"id": "3", "name": "Duplicate"}, {"id": "1", "name": "Fixed"}]}
CHAIN = Workflow(
    {"Backlog": "new", "Triage": "indeterminate", "Doing": "indeterminate", "Review": "indeterminate", "Done": "done"},
    {
        "1": Move("a", "Triage", ("Backlog",)),
        "2": Move("b", "Doing", ("Triage", "Done")),
        "3": Move("c", "Review", ("Doing",)),
        "4": Move("d", "Done", ("Review",)),
        "5": Move("e", "Backlog", ("Triage", "Done")),
    },
)
MAZE = Workflow(
    {
        "Open": "new",
        "Blocked": "indeterminate",
        "Parked": "indeterminate",
        "In Progress": "indeterminate",
        "Approved": "indeterminate",
        "Rejected": "done",
        "Done": "done",
    },
    {
        "1": Move("block", "Blocked", ("Open", "In Progress")),
        "2": Move("park", "Parked", ("Blocked",)),
        "3": Move("unblock", "Open", ("Blocked",)),
        "4": Move("unpark", "Blocked", ("Parked",)),
        "5": Move("start", "In Progress", ("Open", "Done")),
        "6": Move("approve", "Approved", ("In Progress",)),
        "7": Move("reject", "Rejected", ("Open", "In Progress", "Approved")),
        "8": Move("finish", "Done", ("Approved",)),
    },
)
GERMAN = Workflow(
    {"Zu erledigen": "new", "In Arbeit": "indeterminate", "Fertig": "done"},
    {"1": Move("Los", "In Arbeit"), "2": Move("Fertigstellen", "Fertig"), "3": Move("Zurück", "Zu erledigen")},
)
DEFAULT = Workflow()
WITH_RESOLUTION = Workflow(moves={**DEFAULT.moves, "31": Move("Resolve", "Done", fields={"resolution": RESOLUTIONS})})
WITH_FIELDS = Workflow(
    moves={**DEFAULT.moves, "31": Move("Resolve", "Done", fields=screen("customfield_1", "resolution", comment=1))}
)
LOCKED = Workflow(
    {"To Do": "new", "In Progress": "indeterminate", "Done": "done"},
    {"21": Move("Start", "In Progress", ("To Do", "Done")), "31": Move("Finish", "Done", ("In Progress",))},
)
ROUND = Workflow(
    {"To Do": "new", "In Progress": "indeterminate", "Done": "done"},
    {
        "1": Move("Start", "In Progress", ("To Do",)),
        "2": Move("Finish", "Done", ("In Progress",)),
        "3": Move("Reopen", "To Do", ("Done",)),
    },
)
IDS = Workflow({"Ouvert": "new", "En cours": "indeterminate", "En attente": "indeterminate", "Clos": "done"})
IDS = Workflow(IDS.statuses, {str(n): Move(f"vers {name}", name) for n, name in enumerate(IDS.statuses)})


@dataclass
class Case:
    """A workflow, the settings for it, and how the stand-in is made strict."""

    workflow: Workflow = DEFAULT
    settings: Mapping[str, Any] | None = None
    strict: Mapping[str, Any] | None = None
    on_hold: bool = False


JIRA = {
    "as delivered": Case(),
    "a resolution is demanded": Case(WITH_RESOLUTION),
    "fields of the transition's screen": Case(
        WITH_FIELDS,
        {"transition_fields": {"customfield_1": "{reason}", "resolution": {"name": "Fixed"}}},
    ),
    "fields of a new issue are required": Case(
        settings={"fields": {"components": [{"name": "soc"}], "customfield_2": "{incident_id} {severity}"}},
        strict={"required": ("components", "customfield_2")},
    ),
    "several transitions": Case(CHAIN, {"statuses": {"IN_PROGRESS": "Doing", "RESOLVED": "Done", "CLOSED": "Done"}}),
    "a maze with dead ends": Case(MAZE),
    "in German, by category": Case(GERMAN),
    "in French, by id": Case(
        IDS,
        {"statuses": {"NEW": "10000", "IN_PROGRESS": "10001", "ON_HOLD": "10002", "RESOLVED": "10003"}},
        on_hold=True,
    ),
    "restricted: no comments when done": Case(LOCKED, strict={"frozen": ("Done",)}),
    "no priority on the screen": Case(
        settings={"priorities": {"HIGH": "High", "CRITICAL": "Highest"}}, strict={"unknown": ("priority",)}
    ),
}
CATEGORY = {
    "NEW": "new",
    "IN_PROGRESS": "indeterminate",
    "ON_HOLD": "indeterminate",
    "RESOLVED": "done",
    "CLOSED": "done",
}


@pytest.mark.parametrize("name", JIRA)
async def test_jira_mirrors_the_whole_life(name: str) -> None:
    case = JIRA[name]
    async with world("jira", **(case.settings or {})) as at:
        jira = at.stand_ins.jira
        jira.workflow = case.workflow
        for what, value in (case.strict or {}).items():
            setattr(jira, what, value)
        await at.update()
        (issue,) = jira.issues.values()
        for step in LIFE:
            at.move(step)
            at.note(f"a note of {step} {at.clock():.0f}")
            try:
                await at.update()
            except Refused as error:
                assert "comment" in str(error), error  # noqa: PT017  (a done issue that takes none)
            if step != "ON_HOLD" or case.on_hold:
                assert case.workflow.statuses[issue["status"]] == CATEGORY[step], (step, issue["status"])
            assert issue["status"] != "Rejected"
        assert len(jira.issues) == 1
        said = "\n".join([*issue["comments"], str(issue["fields"]["description"])])
        kept = [entry["text"] for entry in at.document["timeline"] if entry["kind"] == "note"]
        missed = [text for text in kept if said.count(text) != 1]
        allowed = [text for text in kept if "CLOSED" in text or "RESOLVED" in text] if jira.frozen else []
        assert set(missed) <= set(allowed)


SERVICENOW: dict[str, Case] = {
    "as delivered": Case(on_hold=True),
    "a reason to wait is demanded": Case(settings={"hold_reason": "1"}, strict={"3": ("hold_reason",)}, on_hold=True),
    "an assignee is demanded": Case(
        settings={"state_fields": {"IN_PROGRESS": {"assigned_to": "bot"}}}, strict={"2": ("assigned_to",)}, on_hold=True
    ),
    "states of its own": Case(settings={"states": {"IN_PROGRESS": "18", "ON_HOLD": ""}}),
    "fields of a new record": Case(
        settings={"fields": {"category": "{severity}", "assignment_group": "soc"}}, on_hold=True
    ),
}
CODES = {"IN_PROGRESS": "2", "ON_HOLD": "3", "RESOLVED": "6", "CLOSED": "7"}


@pytest.mark.parametrize("name", SERVICENOW)
async def test_servicenow_mirrors_the_whole_life(name: str) -> None:
    case = SERVICENOW[name]
    async with world("servicenow", **(case.settings or {})) as at:
        servicenow = at.stand_ins.servicenow
        servicenow.demanded |= case.strict or {}
        await at.update()
        (record,) = servicenow.incidents.values()
        assert (record["urgency"], record["impact"]) == ("1", "1")
        codes = {**CODES, **at.system._settings.states}
        for step in LIFE:
            at.move(step)
            at.note(f"a note of {step} {at.clock():.0f}")
            await at.update()
            if step != "ON_HOLD" or case.on_hold:
                assert record["state"] == codes[step], step
        assert at.mirror["error"] is None
        kept = [entry["text"] for entry in at.document["timeline"] if entry["kind"] == "note"]
        assert [text for text in kept if "\n".join(record["work_notes"]).count(text) != 1] == []


@pytest.mark.parametrize("kind", ["jira", "servicenow"])
async def test_a_severity_that_rises_is_followed(kind: str) -> None:
    more = {"priorities": {"HIGH": "High", "CRITICAL": "Highest"}} if kind == "jira" else {}
    async with world(kind, **more) as at:
        if kind == "servicenow":
            at.change(lambda work, incident: work._changed(incident, at.clock(), severity=Severity.LOW))
        await at.update()
        at.worsen()
        await at.update()
        if kind == "jira":
            (issue,) = at.stand_ins.jira.issues.values()
            assert issue["fields"]["priority"] == {"name": "Highest"}
        else:
            (record,) = at.stand_ins.servicenow.incidents.values()
            assert (record["urgency"], record["impact"]) == ("1", "1")
        assert len(at.document["mirrors"]) == 1


async def test_a_token_that_ran_out_is_nobody_and_not_not_found() -> None:
    async with world("jira") as at:
        jira = at.stand_ins.jira
        jira.anonymous = True
        for _ in range(3):
            with pytest.raises(TryLater, match="the token may have run out"):
                await at.update()
        assert jira.issues == {}
        assert at.events().count("ticket.connection_lost") == 1
        assert "does not know the account" in at.mirror["error"]
        jira.anonymous = False
        await at.update()
        jira.anonymous = True
        at.move("IN_PROGRESS")
        with pytest.raises(TryLater):
            await at.update()
        with pytest.raises(TryLater):
            await at.sync.poll(at.id, "jira")
        jira.anonymous = False
        await at.update()
        (issue,) = jira.issues.values()
        assert issue["status"] == "In Progress"
        assert [type for type in at.events() if type.startswith("ticket.")] == [
            "ticket.connection_lost",
            "ticket.connection_restored",
        ] * 2
        assert at.mirror["error"] is None


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("how", ["deleted", "cancelled", "merged", "archived", "another's"])
@pytest.mark.parametrize("kind", ["jira", "servicenow"])
async def test_a_ticket_that_is_gone(kind: str, how: str, again: bool) -> None:
    if (kind, how) == ("servicenow", "archived"):
        how = "deleted"  # archiving rules move a record to another table, ar_incident
    async with world(kind, when_gone="again" if again else "end") as at:
        await at.update()
        tickets: dict[str, Any] = at.stand_ins.jira.issues if kind == "jira" else at.stand_ins.servicenow.incidents
        (key,) = tickets
        if how == "deleted":
            del tickets[key]
        elif how == "cancelled" and kind == "jira":
            tickets[key]["status"] = "Done"
            tickets[key]["fields"]["resolution"] = {"name": "Won't Do"}
        elif how == "merged" and kind == "jira":
            tickets[key]["status"] = "Done"
            tickets[key]["fields"]["resolution"] = {"name": "Duplicate"}
        elif how == "archived":
            tickets[key]["archived"] = "2026-11-30T13:00:00.000+0000"
        elif how == "merged":
            tickets[key] |= {"state": "6", "close_code": "Duplicate"}
        elif how == "cancelled":
            tickets[key]["state"] = "8"
        elif kind == "jira":
            tickets[key]["fields"]["labels"] = ["brain-inc_another"]
        else:
            tickets[key]["correlation_id"] = "brain-inc_another"
        before = str(tickets.get(key))
        await at.sync.poll(at.id, kind)
        at.note("life goes on")
        await at.update()
        assert at.document["state"] == "NEW"
        (said,) = [entry["text"] for entry in at.document["timeline"] if "; " in entry["text"]]
        assert said.endswith("another one is made" if again else f"no longer mirrored in {kind}")
        assert str(tickets.get(key)) == before, "it is not touched"
        assert len(tickets) == (how != "deleted") + again
        at.move("RESOLVED")
        await at.update()
        done = [one for name, one in tickets.items() if name != key]
        shown = {"jira": "Done", "servicenow": "6"}[kind]
        assert [one.get("status") or one["state"] for one in done] == [shown] * again
        assert (at.mirror["error"] is None) == again


async def test_an_issue_that_is_moved_to_another_project_is_still_ours() -> None:
    async with world("jira", webhook_secret="a secret that only Jira and we know") as at:
        jira = at.stand_ins.jira
        await at.update()
        (old,) = jira.issues
        new = old.replace("OPS", "SEC")
        jira.issues[new] = jira.issues.pop(old)  # it keeps its id
        hooks = TicketWebhooks(at.engine, at.settings, {"jira": at.system}, at.clock)
        assert hooks._queue("jira", new, jira.issues[new]["id"])
        at.move("IN_PROGRESS")
        await at.update()
        assert (at.mirror["key"], at.mirror["url"]) == (new, f"{URL}/jira/browse/{new}")
        assert jira.issues[new]["status"] == "In Progress"
        assert f"{old} is {new} in jira now" in [entry["text"] for entry in at.document["timeline"]]
        assert await at.system.find(at.id) is not None
        assert len(jira.issues) == 1


async def test_a_comment_that_is_refused_keeps_no_state_back() -> None:
    async with world("jira") as at:
        jira = at.stand_ins.jira
        jira.frozen = ("To Do", "In Progress", "Done")
        await at.update()
        at.note("nobody may comment")
        at.worsen()
        at.move("RESOLVED")
        with pytest.raises(Refused, match="permission to comment"):
            await at.update()
        (issue,) = jira.issues.values()
        assert issue["status"] == "Done"
        assert "permission to comment" in at.mirror["error"]
        jira.frozen = ()
        at.note("now we may")
        await at.update()
        assert "\n".join(issue["comments"]).count("nobody may comment") == 1
        assert at.mirror["error"] is None


@pytest.mark.parametrize(
    "text", ["x" * 40_000, "\U0001f600" * 20_000, "a line\n\n" * 9_000], ids=["long", "emoji", "lines"]
)
@pytest.mark.parametrize("kind", ["jira", "servicenow"])
async def test_a_comment_that_is_cut_is_found_again(kind: str, text: str) -> None:
    async with world(kind) as at:
        await at.update()
        id = (await at.system.find(at.id))["id"]
        assert await at.system.comment(id, text, "the reference")
        assert not await at.system.comment(id, text, "the reference")


@pytest.mark.parametrize("rule", ["hidden", "protected"])
async def test_access_rules_of_servicenow_make_no_second_record(rule: str) -> None:
    async with world("servicenow") as at:
        servicenow = at.stand_ins.servicenow
        servicenow.add(short_description="somebody else's")
        setattr(servicenow, rule, ("correlation_id",))
        error: BrainError | None = None
        for _ in range(3):
            try:
                await at.update()
            except NotYet as caught:
                error = caught
        assert len(servicenow.incidents) == 1 + (rule == "protected")
        if rule == "hidden":
            assert "hides correlation_id" in str(error)
            servicenow.hidden = ()
            await at.update()
            assert len(servicenow.incidents) == 2
        else:
            assert at.system._unkeyed is not None  # no other record is made before this one has its key
            with pytest.raises(NotYet, match="write no correlation_id"):
                await at.system.ensure(NewTicket(incident_id="inc_2", title="x", description=""))
            servicenow.protected = ()
            assert (await at.system.ensure(NewTicket(incident_id="inc_2", title="x", description="")))["changed"]
            assert len({record["correlation_id"] for record in servicenow.incidents.values()}) == 3


@pytest.mark.parametrize("rule", ["protected state", "hidden work_notes", "protected work_notes"])
async def test_what_servicenow_does_not_store_is_said(rule: str) -> None:
    what, field = rule.split()
    async with world("servicenow") as at:
        await at.update()
        setattr(at.stand_ins.servicenow, what, (field,))
        at.note("a note")
        at.move("RESOLVED")
        with pytest.raises(Refused):
            await at.update()
        (record,) = at.stand_ins.servicenow.incidents.values()
        assert (record["state"] == "6") == (field != "state")
        assert at.mirror["error"] is not None


class LostAnswers(httpx.AsyncBaseTransport):
    """A network that loses the answer to the next change of a state, if so set; what was asked is done all the same."""

    def __init__(self, network: httpx.AsyncBaseTransport) -> None:
        self.loses = False
        self._network = network

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._network.handle_async_request(request)
        changes = request.method == "POST" and request.url.path.endswith("/transitions")
        if self.loses and (changes or (request.method == "PATCH" and b'"state"' in request.content)):
            self.loses = False
            raise httpx.ReadTimeout("late")
        return answer


@asynccontextmanager
async def half_changed(
    kind: str, workflow: Workflow = DEFAULT, states: tuple[str, ...] = ("IN_PROGRESS", "RESOLVED")
) -> AsyncIterator[World]:
    """An incident that went through these states; the answer to the last change of its ticket was lost."""
    networks: list[LostAnswers] = []

    def lossy(network: httpx.AsyncBaseTransport) -> LostAnswers:
        networks.append(LostAnswers(network))
        return networks[0]

    async with world(kind, lossy) as at:
        at.stand_ins.jira.workflow = workflow
        for state in states[:-1]:
            at.move(state)
            await at.update()
        at.move(states[-1])
        networks[0].loses = True
        with pytest.raises(TryLater):
            await at.update()
        yield at


def shown(at: World) -> str:
    (ticket,) = at.tickets.values()
    return str(ticket.get("status") or ticket["state"])


SHOWN = {
    "jira": {"IN_PROGRESS": "In Progress", "RESOLVED": "Done"},
    "servicenow": {"IN_PROGRESS": "2", "ON_HOLD": "3", "RESOLVED": "6"},
}


@pytest.mark.parametrize("read", ["poll", "update"])
@pytest.mark.parametrize("kind", ["jira", "servicenow"])
async def test_a_state_that_we_set_without_hearing_of_it_is_nobodys_act(kind: str, read: str) -> None:
    async with half_changed(kind) as at:
        assert shown(at) == SHOWN[kind]["RESOLVED"]
        at.move("IN_PROGRESS")
        await getattr(at.sync, read)(at.id, kind)
        assert at.document["state"] == "IN_PROGRESS"
        await at.pass_time(120)
        assert (at.document["state"], shown(at)) == ("IN_PROGRESS", SHOWN[kind]["IN_PROGRESS"])


async def test_a_poll_that_finds_a_state_of_ours_has_the_ticket_brought_up_to_date() -> None:
    async with half_changed("jira") as at:
        at.move("IN_PROGRESS")
        at.change(lambda work, _: outbox.cancel(work.db, consumer="incidents", channel="jira", key=at.id, now=0.0))
        at.change(lambda work, _: work.db.execute(tables.mirrors.update().values(queued=False)))
        await at.sync.poll(at.id, "jira")
        await at.pass_time(10)
        assert (at.document["state"], shown(at)) == ("IN_PROGRESS", "In Progress")


async def test_what_a_person_does_after_our_lost_change_is_followed() -> None:
    async with half_changed("servicenow") as at:
        at.move("IN_PROGRESS")
        await at.pass_time(120)
        (record,) = at.tickets.values()
        for code, state in (("6", "RESOLVED"), ("2", "IN_PROGRESS"), ("3", "ON_HOLD")):
            record["state"] = code
            await at.sync.poll(at.id, "servicenow")
            assert at.document["state"] == state
    async with half_changed("servicenow") as at:
        at.move("IN_PROGRESS")
        (record,) = at.tickets.values()
        record["state"] = "3"  # at once, and not what we set
        await at.sync.poll(at.id, "servicenow")
        assert at.document["state"] == "ON_HOLD"


async def test_a_step_on_the_way_to_our_state_is_nobodys_act() -> None:
    async with half_changed("jira", ROUND, ("RESOLVED", "IN_PROGRESS")) as at:
        assert shown(at) == "To Do"
        at.move("RESOLVED")
        await at.pass_time(120)
        assert (at.document["state"], shown(at)) == ("RESOLVED", "Done")
