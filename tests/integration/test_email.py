"""E-mail over a real SMTP conversation, with TLS, logins, and servers that do not want to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from brain.connectors.email import Email, EmailSettings, Mail, compose, message_id
from brain.connectors.sender import NotYet, Refused, Sender, TryLater
from brain.secret import Secret
from support.certificates import make_certificates
from support.smtp_sink import Sink, serving

MAIL = Mail(to=["soc@example.com"], subject="A threat", text="what happened\n", dedup="thr_1:firing", thread="thr_1")


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest_asyncio.fixture
async def server(sink: Sink) -> AsyncIterator[int]:
    async with serving(sink) as port:
        yield port


@pytest_asyncio.fixture
async def secure_server(sink: Sink, tmp_path: Path) -> AsyncIterator[int]:
    make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")

    def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"brain", b"right"), handled=False)

    async with serving(
        sink, tls_context=context, require_starttls=True, authenticator=check, auth_required=True
    ) as port:
        yield port


def settings_for(port: int, **more: object) -> EmailSettings:
    given = {
        "kind": "email",
        "to": ["soc@example.com"],
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "sender": "BRAiN <brain@example.com>",
        **more,
    }
    return EmailSettings.model_validate(given)


def email_for(port: int, **more: object) -> Email:
    return Email(settings_for(port, **more), Sender(), lambda: 1_703_001_234.0)


async def test_a_message_arrives_as_it_was_meant(server: int, sink: Sink) -> None:
    mail = Mail(
        to=["soc@example.com", "on-call@example.com"],
        subject="Übel\r\nBcc: everyone@example.com",
        text="Größe: 7 €\n.\nthe end\n",
        dedup="thr_1:firing",
        thread="thr_1",
    )
    answer = await email_for(server).deliver(mail)
    (message,) = sink.messages
    assert sink.recipients == [["soc@example.com", "on-call@example.com"]]
    assert message["Subject"] == "Übel Bcc: everyone@example.com"
    assert message["Bcc"] is None
    assert message["From"] == "BRAiN <brain@example.com>"
    assert message["Date"] == "Tue, 19 Dec 2023 15:53:54 -0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == answer["message_id"]
    assert message.get_payload(decode=True) == "Größe: 7 €\r\n.\r\nthe end\r\n".encode()
    assert answer["refused"] == []


async def test_sent_again_it_has_the_same_name_and_one_thread(server: int, sink: Sink) -> None:
    email = email_for(server)
    await email.deliver(MAIL)
    await email.deliver(MAIL)
    await email.deliver(Mail(to=MAIL.to, subject="Resolved", text="", dedup="thr_1:resolved", thread="thr_1"))
    names = [message["Message-ID"] for message in sink.messages]
    assert names[0] == names[1] != names[2]
    assert len({message["References"] for message in sink.messages}) == 1


async def test_over_tls_with_a_login(secure_server: int, sink: Sink, tmp_path: Path) -> None:
    ca_file = str(tmp_path / "ca.pem")
    login = {"user": "brain", "password": Secret("right")}
    await email_for(secure_server, security="starttls", ca_file=ca_file, **login).deliver(MAIL)
    assert len(sink.messages) == 1
    wrong = {**login, "password": Secret("s3cret")}
    with pytest.raises(TryLater, match="535") as caught:  # somebody will put the password right
        await email_for(secure_server, security="starttls", ca_file=ca_file, **wrong).deliver(MAIL)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(TryLater, match="530"):
        await email_for(secure_server).deliver(MAIL)
    with pytest.raises(TryLater):  # the certificate is of no authority that is known
        await email_for(secure_server, security="starttls", **login).deliver(MAIL)
    assert len(sink.messages) == 1


async def test_starttls_is_never_skipped(server: int, sink: Sink) -> None:
    with pytest.raises(TryLater):
        await email_for(server, security="starttls").deliver(MAIL)
    assert sink.messages == []


async def test_what_is_for_later_and_what_is_final(server: int, sink: Sink) -> None:
    sink.data_reply = "452 mailbox full"
    with pytest.raises(TryLater, match="452"):
        await email_for(server).deliver(MAIL)
    sink.data_reply = "554 this is spam"
    with pytest.raises(Refused, match="this is spam") as caught:
        await email_for(server).deliver(MAIL)
    assert caught.value.service_status == 554
    sink.data_reply = "250 OK"
    sink.recipient_replies = {"soc@example.com": "550 no such user here"}
    with pytest.raises(Refused, match="no such user here"):
        await email_for(server).deliver(MAIL)
    sink.recipient_replies = {"soc@example.com": "450 greylisted"}
    with pytest.raises(TryLater, match="greylisted"):
        await email_for(server).deliver(MAIL)
    await email_for(server).deliver(Mail(to=["other@example.com"], subject="", text="", dedup="x"))
    assert len(sink.messages) == 1


async def test_a_recipient_that_is_unknown_does_not_keep_it_from_the_others(server: int, sink: Sink) -> None:
    sink.recipient_replies = {"gone@example.com": "550 no such user here"}
    mail = Mail(to=["gone@example.com", "soc@example.com"], subject="x", text="x", dedup="x")
    answer = await email_for(server).deliver(mail)
    assert (answer["refused"], answer["later"], answer["accepted"]) == (["gone@example.com"], [], ["soc@example.com"])
    assert sink.recipients == [["soc@example.com"]]


async def test_each_recipient_has_an_answer_of_its_own(server: int, sink: Sink) -> None:
    sink.recipient_replies = {"gone@example.com": "550 no such user here", "full@example.com": "452 mailbox full"}
    everybody = ["gone@example.com", "full@example.com", "soc@example.com"]
    answer = await email_for(server).deliver(Mail(to=everybody, subject="x", text="x", dedup="x"))
    assert (answer["refused"], answer["later"]) == (["gone@example.com"], ["full@example.com"])
    assert answer["words"]["full@example.com"] == "the mail server answered 452: mailbox full"
    answer = await email_for(server).deliver(Mail(to=everybody[:2], subject="x", text="x", dedup="y"))
    assert (answer["accepted"], answer["refused"], answer["later"]) == ([], everybody[:1], everybody[1:2])
    with pytest.raises(NotYet, match="mailbox full"):  # this mail waits, and no other
        await email_for(server).deliver(Mail(to=everybody[1:2], subject="x", text="x", dedup="y"))
    sink.recipient_replies = {"soc@example.com": "421 closing down"}
    with pytest.raises(TryLater) as caught:
        await email_for(server).deliver(MAIL)
    assert not isinstance(caught.value, NotYet)
    assert len(sink.messages) == 1


async def test_a_server_without_what_is_set_waits_for_a_person(server: int) -> None:
    for more in ({"security": "starttls"}, {"user": "brain", "password": "right"}):
        with pytest.raises(TryLater, match=r"extension (is )?not supported by ") as caught:
            await email_for(server, **more).deliver(MAIL)
        assert caught.value.about_connection


async def test_letters_beyond_ascii_need_a_server_that_takes_them(server: int, sink: Sink) -> None:
    both = Mail(to=["jürgen@example.com", "ann@example.com"], subject="x", text="x", dedup="x")
    answer = await email_for(server).deliver(both)
    assert (answer["accepted"], answer["refused"]) == (["ann@example.com"], ["jürgen@example.com"])
    assert "SMTPUTF8" in answer["words"]["jürgen@example.com"]
    assert sink.recipients == [["ann@example.com"]]
    with pytest.raises(Refused, match="SMTPUTF8"):
        await email_for(server).deliver(Mail(to=["jürgen@example.com"], subject="x", text="x", dedup="x"))
    async with serving(sink, enable_SMTPUTF8=True) as port:
        answer = await email_for(port).deliver(both)
    assert (answer["accepted"], answer["refused"]) == (list(both.to), [])


async def test_a_server_that_is_down(sink: Sink) -> None:
    async with serving(sink) as port:
        email = email_for(port)
    with pytest.raises(TryLater, match="does not accept the message: no connection; check host and port") as caught:
        await email.deliver(MAIL)
    assert not caught.value.about_connection  # it may come back by itself


async def test_a_server_that_says_nothing() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        with pytest.raises(TryLater, match="does not accept the message: timed out"):
            await email_for(server.sockets[0].getsockname()[1], timeout=0.3).deliver(MAIL)


def test_the_name_is_at_the_senders_domain() -> None:
    settings = EmailSettings(kind="email", host="mail.example", sender="brain@soc.example", to=("ann@example.com",))
    assert message_id(settings, "x").endswith("@soc.example>")
    assert compose(settings, MAIL, 0.0)["Message-ID"] == message_id(settings, MAIL.dedup)
