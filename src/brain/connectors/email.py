"""E-mail, through an SMTP server.

Source: RFC 5321 (SMTP: 4yz replies are for later, 5yz are final; each address has a reply of its own, 3.3), RFC 5322
(the header fields), RFC 3834 (what a program sends says `Auto-Submitted`, so that no vacation answer comes back), RFC
8314 (TLS from the start on port 465). The Message-ID is made from the dedup: a message sent twice has the same one, and
mail stores that look show one.
"""

from __future__ import annotations

import email.utils
import hashlib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage
from typing import Annotated, Any, ClassVar, Literal, TypedDict

import aiosmtplib
from pydantic import Field

from brain.certificates import certificate_fault
from brain.connectors.notifiers import Notifier, NotifierSettings
from brain.connectors.pages import Page
from brain.connectors.sender import NotYet, Refused, TryLater
from brain.connectors.urls import is_loopback
from brain.errors import InvalidInput
from brain.neutral import plain_text
from brain.secret import Secret
from brain.text import one_line

SERVICE = "the mail server"
_SUBJECT_CHARACTERS = 200
_NOT_OUR_MESSAGE = frozenset({530, 534, 535, 538})  # RFC 4954: replies about the login, which somebody will correct


class EmailSettings(NotifierSettings):
    """E-mail, through an SMTP server."""

    host: str = Field(description="Name of the SMTP server")
    port: int = Field(
        default=587, ge=1, le=65535, description="Its port: 587 for submission, 465 for TLS from the start"
    )
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="starttls: required, never skipped; none: for a server on this machine only"
    )
    user: str = Field(default="", description="Login; empty for a server that wants none")
    password: Secret | None = Field(default=None, description="Password of that login")
    sender: str = Field(description="Address in From, and where errors are returned to")
    to: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = Field(min_length=1, description="Receivers")
    timeout: float = Field(default=20.0, gt=0, description="Seconds for each step")
    ca_file: str = Field(default="", description="PEM file of the authority that signed the server's certificate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A message in plain text."""

    to: Sequence[str]
    subject: str
    text: str
    dedup: str
    """Names the message; the same at every retry."""
    thread: str = ""
    """Messages of one thread are shown together: the key of an alert."""


class EmailAnswer(TypedDict):
    """The server's answer. An address that it did not accept is in `refused` (for good) or in `later`.

    `said` are the server's words on each of these; at least one address was accepted unless both lists have some.
    """

    message_id: str
    said: str
    accepted: list[str]
    refused: list[str]
    later: list[str]
    words: dict[str, str]


class Email(Notifier[EmailSettings]):
    """Sends mail through one server; a connection for each message."""

    settings_model: ClassVar[type[EmailSettings]] = EmailSettings

    @classmethod
    def check(cls, settings: EmailSettings) -> None:
        """Raise InvalidInput for a password that would go over the network in the clear."""
        if settings.security == "none" and settings.password is not None and not is_loopback(settings.host):
            raise InvalidInput(
                f"security: none would send the password to {settings.host} in the clear; set starttls or tls"
            )

    async def send(self, page: Page) -> Mapping[str, Any]:
        """Mail the page. The Message-ID is the same whenever the page is sent again."""
        return {**await self.deliver(mail_of(page, page.only or self._settings.to))}

    async def deliver(self, mail: Mail) -> EmailAnswer:
        """Hand the mail to the server.

        Raises Refused when it takes the mail for no address, ever; NotYet when every address is for later; TryLater
        when the server takes no mail now.
        """
        settings = self._settings
        message = compose(settings, mail, self._clock())
        try:
            refused, said = await aiosmtplib.send(
                message,
                sender=email.utils.parseaddr(settings.sender)[1],
                recipients=list(mail.to),
                hostname=settings.host,
                port=settings.port,
                username=settings.user or None,
                password=settings.password.reveal() if settings.password is not None else None,
                timeout=settings.timeout,
                use_tls=settings.security == "tls",
                start_tls=settings.security == "starttls",
                tls_context=_context(settings),
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            replies = {one.recipient: (one.code, one.message) for one in error.recipients}
            if not (_kinds(replies) == {True, False}):
                raise _refusal([(code, f"{who}: {words}") for who, (code, words) in replies.items()], NotYet) from error
            refused, said = {who: aiosmtplib.SMTPResponse(*reply) for who, reply in replies.items()}, ""
        except aiosmtplib.SMTPResponseException as error:
            raise _refusal([(error.code, error.message)], TryLater) from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            if isinstance(error, aiosmtplib.SMTPNotSupported) and not all(who.isascii() for who in mail.to):
                return await self._deliver_to_ascii(mail)
            said = f"{SERVICE} {settings.host} does not accept the message: {_reason(error)}"
            raise TryLater(said, about_connection=_is_lasting(error)) from error
        return EmailAnswer(
            message_id=message["Message-ID"],
            said=one_line(said, 200),
            accepted=[who for who in mail.to if who not in refused],
            refused=sorted(who for who, reply in refused.items() if _is_final(reply.code)),
            later=sorted(who for who, reply in refused.items() if not _is_final(reply.code)),
            words={who: one_line(f"{SERVICE} answered {code}: {words}", 500) for who, (code, words) in refused.items()},
        )

    async def _deliver_to_ascii(self, mail: Mail) -> EmailAnswer:
        """To the addresses that a server without SMTPUTF8 (RFC 6531) takes; it refuses the others for good."""
        others = [who for who in mail.to if not who.isascii()]
        words = "the server has no SMTPUTF8, which an address with letters beyond ASCII needs"
        if len(others) == len(mail.to):
            raise Refused(SERVICE, 553, f"{', '.join(others)}: {words}")
        answer = await self.deliver(replace(mail, to=[who for who in mail.to if who.isascii()]))
        answer["refused"] = sorted([*answer["refused"], *others])
        answer["words"] |= dict.fromkeys(others, words)
        return answer


def mail_of(page: Page, to: Sequence[str]) -> Mail:
    """The page as a mail; all mails about one thing make one thread."""
    subject = f"[{page.severity}] {page.title}" if page.action.is_paging else page.title
    return Mail(to=to, subject=subject, text=page.text_with_links(), dedup=page.id, thread=page.dedup_key)


def compose(settings: EmailSettings, mail: Mail, now: float) -> EmailMessage:
    """The message, dated at the Unix time `now`."""
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = ", ".join(mail.to)
    message["Subject"] = one_line(mail.subject, _SUBJECT_CHARACTERS) or "(no subject)"
    message["Date"] = email.utils.formatdate(now)
    message["Message-ID"] = message_id(settings, mail.dedup)
    if mail.thread:
        first = message_id(settings, f"thread {mail.thread}")
        message["In-Reply-To"] = first
        message["References"] = first
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(plain_text(mail.text))
    return message


def message_id(settings: EmailSettings, dedup: str) -> str:
    """The Message-ID for a dedup, at the sender's own domain."""
    domain = email.utils.parseaddr(settings.sender)[1].rpartition("@")[2] or "brain.invalid"
    return f"<{hashlib.sha256(dedup.encode()).hexdigest()[:40]}@{domain}>"


def _context(settings: EmailSettings) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file else None


def _reason(error: Exception) -> str:
    """Why the server was not reached or not spoken with, in words."""
    match error:
        case aiosmtplib.SMTPTimeoutError() | TimeoutError():
            return "timed out"
        case aiosmtplib.SMTPServerDisconnected():
            return "it closed the connection"
    if (fault := certificate_fault(error)) is not None:
        return fault
    if isinstance(error, (aiosmtplib.SMTPConnectError, OSError)):
        return "no connection; check host and port in the settings, and the network"
    return one_line(str(error), 200) or type(error).__name__


def _is_lasting(error: Exception) -> bool:
    """Whether only a person can mend it: what was set is not offered by the server (a bare SMTPException), or TLS."""
    lasting = type(error) is aiosmtplib.SMTPException or isinstance(error, aiosmtplib.SMTPNotSupported)
    return lasting or certificate_fault(error) is not None


def _is_final(code: int) -> bool:
    """Whether a reply will stay the same: it is 5yz, and not about the login."""
    return code >= 500 and code not in _NOT_OUR_MESSAGE


def _kinds(replies: Mapping[str, tuple[int, str]]) -> set[bool]:
    return {_is_final(code) for code, _ in replies.values()}


def _refusal(replies: Sequence[tuple[int, str]], later: type[TryLater]) -> Refused | TryLater:
    """Final only when every reply is; `later` is for one that concerns only this mail, or the server."""
    code = min((code for code, _ in replies), key=lambda code: (_is_final(code), code))
    said = one_line("; ".join(words for _, words in replies), 500)
    if _is_final(code):
        return Refused(SERVICE, code, said)
    about_login = code in _NOT_OUR_MESSAGE
    kind = TryLater if about_login or code == 421 else later  # RFC 5321, 3.8: the server closes down
    return kind(f"{SERVICE} answered {code}: {said}", service_status=code, about_connection=about_login)
