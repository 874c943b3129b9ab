"""Approvals by links: sent through real SMTP and HTTP, opened and answered at a real server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from brain import Principal, acting
from brain.access.settings import AccessSettings
from brain.alerting.settings import AlertingSettings
from brain.approvals.settings import ApprovalsSettings, PersonSettings
from brain.connectors.email import EmailSettings
from brain.demo.stand_ins import StandIns
from brain.errors import InvalidInput
from brain.policy import Effect, PolicyEngine, Rule
from brain.policy.approvals import Approval
from brain.server.running import running
from brain.settings import Settings
from brain.store import open_store
from support.contents import contents
from support.ports import free_port
from support.server import running_server
from support.smtp_sink import Sink, serving
from support.vendors import slack_settings, webhook_settings
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADMIN = "an-administrators-key-of-the-settings"
LINK = re.compile(r"http://127\.0\.0\.1:\d+(/open/approvals/brl_[0-9A-Za-z_-]+)")


class Served(NamedTuple):
    """A server that reaches ada by mail, bob by Slack and carol by a webhook; its requests are made by `engine`."""

    client: httpx.AsyncClient
    engine: PolicyEngine
    mail: Sink
    stand_ins: StandIns
    folder: Path

    async def ask(self, action: str, by: str = "eve") -> Approval:
        context = {"agent_id": "a1", "action": action, "resource": "orders/<b>7</b>", "params": {"amount": 900}}
        with acting(Principal(name=by, kind="person", how="key")):
            return await asyncio.to_thread(
                lambda: self.engine.approvals.request(self.engine.evaluate(context), context)
            )

    async def links(self, *names: str) -> dict[str, str]:
        """The path of the newest link of each, once all have come."""
        found: dict[str, str] = {}

        def come() -> bool:
            texts = [
                *(_text(message) for message in self.mail.messages),
                *(str(message) for message in self.stand_ins.slack.messages),
                *(str(hook) for hook in self.stand_ins.webhook.received),
            ]
            for text in texts:
                for name in names:
                    if f"answer as {name}" in text and (link := LINK.search(text)) is not None:
                        found[name] = link[1]
            return set(found) == set(names)

        await until(come)
        return found

    async def events(self, pattern: str) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        answer = await self.client.get(f"/api/events?pattern={pattern}&newest_first=false&limit=1000", headers=headers)
        return [one["event"] for one in answer.json()["events"]]

    async def answer(self, link: str, answer: str, **more: str) -> httpx.Response:
        return await self.client.post(link, data={"answer": answer, **more})


def _text(message: Message) -> str:
    return re.sub(r"=\n", "", message.get_content()) if hasattr(message, "get_content") else str(message)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder, port = tmp_path_factory.mktemp("links"), free_port()
    url, mail, stand_ins = f"sqlite:///{folder / 'brain.db'}", Sink(), StandIns()
    async with serving(mail) as smtp, stand_ins.running():
        notifiers = {
            "mail": EmailSettings(
                kind="email",
                host="127.0.0.1",
                port=smtp,
                security="none",
                sender="b@example.org",
                to=("x@example.org",),
            ),
            "bob-slack": slack_settings(stand_ins.url),
            "hook": webhook_settings(stand_ins.url),
        }
        people = {
            "ada": PersonSettings(notifier="mail", address="ada@example.org"),
            "eve": PersonSettings(notifier="mail", address="eve@example.org"),
            "bob": PersonSettings(notifier="bob-slack"),
            "carol": PersonSettings(notifier="hook"),
        }
        settings = Settings(
            stream=url,
            port=port,
            api_key=SecretStr(ADMIN),
            consumers=("approvals",),
            access=AccessSettings(urls=(f"http://127.0.0.1:{port}",)),
            alerting=AlertingSettings(notifiers=notifiers, routes=()),
            approvals=ApprovalsSettings(people=people),
        )
        async with running_server(settings) as (server, client):
            store = open_store(url)
            engine = PolicyEngine(server.stream, store=store)
            metadata = {"requires_approval": True, "approvers": 2}
            rule = Rule(id="two", name="Two", effect=Effect.AUDIT, metadata=metadata, conditions=[])
            await asyncio.to_thread(engine.add_rule, rule)
            yield Served(client, engine, mail, stand_ins, folder)
            engine.close()
            store.close()


@pytest.fixture
def served(world: Served) -> Served:
    world.mail.messages.clear()
    world.mail.recipients.clear()
    world.stand_ins.slack.messages.clear()
    world.stand_ins.webhook.reset()
    return world


async def test_two_people_answer_by_their_links(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    asked = await served.ask("refund")
    links = await served.links("ada", "bob", "carol")
    assert served.mail.recipients == [["ada@example.org"]], "the requester gets none"
    for _ in range(2):  # as a mail scanner does, and again
        shown = await served.client.get(links["ada"])
        assert (shown.status_code, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "orders/&lt;b&gt;7&lt;/b&gt;" in shown.text
    assert (shown.headers["cache-control"], shown.headers["referrer-policy"]) == ("no-store", "same-origin")
    assert (await served.client.head(links["ada"])).status_code == 200
    assert (await served.answer(links["ada"], "")).status_code == 422
    assert served.engine.approvals.get(asked.id).grants == (), "to look at it changes nothing"

    done = await served.answer(links["ada"], "grant", reason="seen, brn_" + "x" * 36)
    assert (done.status_code, "1 more must agree" in done.text) == (200, True)
    again = await served.answer(links["ada"], "refuse")
    assert (again.status_code, "has agreed already" in again.text) == (410, True)
    assert (await served.answer(links["bob"], "grant")).status_code == 200
    found = served.engine.approvals.get(asked.id)
    assert (found.status, [grant.by for grant in found.grants]) == ("GRANTED", ["ada", "bob"])
    assert found.grants[0].reason.startswith("seen, redacted:brain-key:")
    full = await served.answer(links["carol"], "grant")
    assert (full.status_code, "GRANTED already by bob" in full.text) == (410, True)
    assert (await served.client.get(links["carol"])).status_code == 410

    await until(_async(served, "policy.approval_granted", 1))
    (agreed,), (granted,) = (
        await served.events("policy.approval_agreed"),
        await served.events("policy.approval_granted"),
    )
    for event, name in ((agreed, "ada"), (granted, "bob")):
        who = {"kind": "person", "name": name, "how": "link", "address": "127.0.0.1"}
        assert event["meta"]["principal"] == who
    refused = [event["payload"] for event in await served.events("approval.link_refused")]
    assert [(one["approver"], one["approval_id"]) for one in refused] == [("ada", asked.id), ("carol", asked.id)]
    made = {(one["payload"]["approver"], one["payload"]["via"]) for one in await served.events("approval.link_made")}
    assert made == {("ada", "mail"), ("bob", "bob-slack"), ("carol", "hook")}
    assert b"brl_" not in b"".join(contents(served.folder).values())
    assert "brl_" not in caplog.text


def _async(served: Served, pattern: str, count: int) -> Any:
    async def come() -> bool:
        return len(await served.events(pattern)) >= count

    return come


async def test_one_no_is_enough_and_a_page_of_another_site_cannot_give_it(served: Served) -> None:
    asked = await served.ask("delete")
    link = (await served.links("bob"))["bob"]
    for headers in ({"Origin": "https://elsewhere.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        crossed = await served.client.post(link, data={"answer": "grant"}, headers=headers)
        assert crossed.status_code == 403, headers
    assert (await served.client.get(link, headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200, "a click"
    key = {"Authorization": f"Bearer {ADMIN}"}
    assert (await served.client.post(link, data={"answer": "refuse"}, headers=key)).status_code == 200
    found = served.engine.approvals.get(asked.id)
    assert (found.status, found.answered_by) == ("REFUSED", "bob"), "who is logged in does not count"


async def test_a_form_that_is_not_ours_gives_no_answer(served: Served) -> None:
    await served.ask("pay")
    link = (await served.links("ada"))["ada"]
    form = {"answer": "grant"} | {f"field{number}": "x" for number in range(20)}
    for data in (form, {"answer": "perhaps"}, {}):
        answer = await served.client.post(link, data=data)
        assert (answer.status_code, "Use one of the two buttons" in answer.text) == (422, True), answer.text


async def test_made_up_links_are_refused_and_limited(served: Served) -> None:
    await served.ask("pay")
    link = (await served.links("ada"))["ada"]
    before = len(await served.events("approval.link_refused"))
    for forged in (
        link[:-4] + "AAAA",
        link[:40],
        "/open/approvals/brl_",
        "/open/approvals/x",
        f"{link}/x",
        f"{link}%00",
    ):
        assert (await served.client.get(forged)).status_code == 404, forged
    assert (await served.client.get("/open/nobody/x")).status_code == 404
    refused = (await served.events("approval.link_refused"))[before:]
    assert {event["payload"]["reason"] for event in refused} == {"the link is none of this server's, or is not whole"}
    statuses = {(await served.client.get("/open/approvals/brl_x")).status_code for _ in range(80)}
    assert statuses == {404, 429}
    assert len(await served.events("approval.link_refused")) < before + 80


@pytest.mark.parametrize(
    ("people", "urls", "why"),
    [
        ({"ada": PersonSettings(notifier="nowhere")}, ("https://b.example.org",), "there is no notifier 'nowhere'"),
        ({"ada": PersonSettings()}, (), "links need the public URL"),
        ({"ada": PersonSettings()}, ("http://b.example.org",), "could be read on their way"),
    ],
)
async def test_settings_that_no_link_can_be_made_with(people: Any, urls: tuple[str, ...], why: str) -> None:
    settings = Settings(
        stream="memory://",
        port=0,
        consumers=(),
        access=AccessSettings(urls=urls),
        approvals=ApprovalsSettings(people=people),
    )
    with pytest.raises(InvalidInput, match=why):
        async with running(settings):
            pass


async def test_no_two_share_a_receiver() -> None:
    both = {"notifier": "mail", "address": "a@example.org"}
    with pytest.raises(ValueError, match="give each a receiver of its own"):
        ApprovalsSettings.model_validate({"people": {"ada": both, "bob": both}})
    with pytest.raises(ValueError, match="needs a notifier by e-mail"):
        ApprovalsSettings.model_validate({"people": {"ada": {"address": "a@example.org"}}})
