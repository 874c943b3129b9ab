"""kill -9 of `brain serve` between the outbox and the mail with an approver's link: it is sent once or again, and its
answer counts once."""

from __future__ import annotations

import asyncio
import re
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from brain import EventStream, Principal, acting
from brain.policy import Effect, PolicyEngine, Rule
from brain.store import open_store
from support.ports import free_port
from support.server import ServeProcess
from support.smtp_sink import Sink, serving
from support.waiting import until

LINK = re.compile(r"http://127\.0\.0\.1:\d+(/open/approvals/brl_[0-9A-Za-z_-]+)")
ADMIN = "an-administrators-key-of-the-settings"
SETTINGS = """
consumers = ["approvals"]

[access]
urls = ["http://127.0.0.1:PORT"]

[alerting]
routes = []
send_timeout = 2

[alerting.notifiers.mail]
kind = "email"
host = "127.0.0.1"
port = SMTP
security = "none"
sender = "b@example.org"
to = ["x@example.org"]

[approvals.people.ada]
notifier = "mail"
address = "ada@example.org"
"""


class SilentSink(Sink):
    """Takes the whole message, and says nothing: who sends it never knows."""

    def __init__(self) -> None:
        super().__init__()
        self.is_silent = True

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        said = await super().handle_DATA(server, session, envelope)
        if self.is_silent:
            await asyncio.Event().wait()
        return said


def link_in(message: Message) -> str:
    text = re.sub(r"=\n", "", message.get_content())  # type: ignore[attr-defined]
    found = LINK.search(text)
    assert found is not None, text
    return found[1]


async def ask(folder: Path) -> str:
    """Ask for an approval, in a process that is none of the server's."""
    url = f"sqlite:///{folder / 'brain.db'}"
    store = open_store(url)
    async with EventStream.open(url) as stream:
        engine = PolicyEngine(stream, store=store, follow_interval=None)
        metadata = {"requires_approval": True, "approvers": 2}
        rule = Rule(id="one", name="One", effect=Effect.AUDIT, metadata=metadata, conditions=[])
        await asyncio.to_thread(engine.add_rule, rule)
        context = {"agent_id": "a1", "action": "refund", "resource": "orders/7"}
        with acting(Principal(name="eve", kind="person", how="key")):
            asked = await asyncio.to_thread(lambda: engine.approvals.request(engine.evaluate(context), context))
        engine.close()
    store.close()
    return asked.id


async def grants(folder: Path, approval: str) -> list[str]:
    store = open_store(f"sqlite:///{folder / 'brain.db'}")
    engine = PolicyEngine(store=store, follow_interval=None)
    found = await asyncio.to_thread(engine.approvals.get, approval)
    engine.close()
    store.close()
    return [grant.by for grant in found.grants]


async def answered(url: str, link: str) -> int:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        return (await client.post(link, data={"answer": "grant", "reason": "seen"})).status_code


@pytest.mark.long  # a message that a killed server had begun to send waits for its lease of 60 s
@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", ["before the mail", "after the mail, and before it is known"])
async def test_a_link_outlives_its_server(when: str, tmp_path: Path) -> None:
    port, sink = free_port(), SilentSink()
    environment = {"BRAIN_API_KEY": ADMIN}
    reaches = when.startswith("after")
    async with serving(sink) as smtp:
        settings = SETTINGS.replace("PORT", str(port)).replace("SMTP", str(smtp))
        nobody = settings.replace(f"port = {smtp}", f"port = {free_port()}")
        (tmp_path / "brain.toml").write_text(settings if reaches else nobody)
        server: Any = ServeProcess(tmp_path, port=port, environment=environment)
        await asyncio.to_thread(server.__enter__)
        approval = await ask(tmp_path)
        if reaches:
            await until(lambda: len(sink.messages) == 1)
        else:
            await until(lambda: "does not accept messages" in server.log())
        server.kill()
        sink.is_silent = False
        (tmp_path / "brain.toml").write_text(settings)
        with ServeProcess(tmp_path, port=port, environment=environment) as again:
            await until(lambda: len(sink.messages) == (2 if reaches else 1), seconds=60)
            links = [link_in(message) for message in sink.messages]
            codes = await asyncio.gather(*(answered(again.url, link) for link in links * 4))
            assert sorted(codes) == [200] + [410] * (len(codes) - 1)
            again.kill()
            assert await grants(tmp_path, approval) == ["ada"]
        with ServeProcess(tmp_path, port=port, environment=environment) as later:
            assert {await answered(later.url, link) for link in links} == {410}
            assert later.stop() == 0
    assert await grants(tmp_path, approval) == ["ada"]
