"""The attempts to log in that lines of sshd tell of.

An attempt may be written on three lines, and a line may only mean something with those of its connection before it. So
a state is kept for each connection: the host and the process. It begins again with `Connection from`: process ids come
again. What a client chooses, such as a user's name, is not taken for an address: lines are read from both ends.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from brain.kit.sshd.lines import SshdLine

MOST_CONNECTIONS = 20_000
"""Connections that are remembered; the one that was silent for longest is forgotten."""
_A = r"\(?(?P<address>[\w.:%-]+?)\)?"
_PORT = r"(?: port \d+)?(?: on \S+)?"
_NAMELESS = r"(?:invalid |illegal )?(?:user )?"


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL | re.ASCII)


_INFO = _form(
    rf"Failed (?P<method>\S+) for (?P<invalid>invalid user |illegal user )?(?P<user>\S*) from {_A}{_PORT} ssh\d: .*"
)
_FAILED = _form(
    rf"Failed (?P<method>\S+) for (?P<invalid>invalid user |illegal user )?(?P<user>.*) from {_A}{_PORT}"
    rf"(?: ssh\d)?(?:: .*)?"
)
_PAM = _form(
    rf"(?:[Aa]uthentication (?:failure|error|failed)|User not known to the underlying authentication module) for "
    rf"{_NAMELESS}(?P<user>.*) from {_A}(?: via \S+)?{_PORT}"
)
_TRANSLATED = _form(rf"(?P<said>.{{2,120}}?) for {_NAMELESS}(?P<user>.*) from {_A}(?: via \S+)?{_PORT}")
_NO_FAILURE = frozenset(
    {
        "Application needs to call libpam again",
        "Authentication information cannot be recovered",
        "Authentication service cannot retrieve authentication info",
        "Authentication service cannot retrieve user credentials",
        "Authentication token aging disabled",
        "Authentication token expired",
        "Authentication token is no longer valid; new one required",
        "Authentication token lock busy",
        "Authentication token manipulation error",
        "Cannot make/remove an entry for the specified session",
        "Conversation error",
        "Critical error - immediate abort",
        "Error in service module",
        "Failed preliminary check by password service",
        "Failed to load module",
        "Failure setting user credentials",
        "Insufficient credentials to access authentication data",
        "Memory buffer error",
        "Module is unknown",
        "Permission denied",
        "Symbol not found",
        "System error",
        "Unknown PAM error",
        "User account has expired",
        "User credentials expired",
    }
)
"""What PAM says in English that is no failed attempt; in another language it cannot be distinguished, and counts."""
_UNKNOWN = _form(rf"[Ii](?:nvalid|llegal) user (?P<user>.*?) ?from {_A}{_PORT}")
_REFUSED = (
    ("ROOT LOGIN ", _form(rf"ROOT LOGIN REFUSED FROM {_A}{_PORT}")),
    ("User ", _form(rf"User (?P<user>.*) from {_A} not allowed because .*")),
    ("refused connect ", _form(rf"refused connect from \S+ \({_A}\)")),
    ("Received disconnect ", _form(rf"Received disconnect from {_A}{_PORT}: ?3: .*: ?Auth fail")),
    (
        "Disconnecting ",
        _form(
            rf"Disconnecting (?:invalid|authenticating) user (?P<user>.*?) {_A}{_PORT}: ?"
            r"Change of username or service .*"
        ),
    ),
)
_MAXIMUM = _form(rf"maximum authentication attempts exceeded for {_NAMELESS}(?P<user>.*) from {_A}{_PORT}(?: ssh\d)?")
_ACCEPTED = _form(rf"Accepted (?P<method>\S+) for (?P<user>.*) from {_A}{_PORT}(?: ssh\d)?(?:: .*)?")
_PAM_UNIX = _form(
    r"pam_\w+\(sshd:auth\): +authentication failure;.* ruser=(?P<ruser>\S*) +rhost=(?P<address>\S+)"
    r"(?: +user=(?P<user>\S*))?"
)
_BY_PAM = re.compile(r"\s*(?:\[ID \d+ \S+\] )?(?:kernel:\S* ?(?:\[[ \d.]+\]:? )?)?(?:error: )?PAM: ").match
_PAM_BEGINS = ("Authentication ", "authentication ", "User not known ")
_UNKNOWN_BEGINS = ("Invalid ", "invalid ", "Illegal ", "illegal ")
_BEGINS = _form(rf"Connection from {_A}{_PORT}(?: .*)?")
_ENDS = (
    _form(rf"Received disconnect from {_A}{_PORT}: ?11:.*"),
    _form(
        rf"(?:Connection (?:closed|reset)|Disconnected)(?: by| from)?(?: (?:invalid|authenticating) user .*?)? {_A}"
        rf"{_PORT}(?:: .*)?"
    ),
)
_REVERSE_DNS = re.compile(
    r"reverse mapping checking getaddrinfo for |Address \S+ maps to |Nasty PTR record |POSSIBLE BREAK-IN ATTEMPT"
).search
_CUT_OFF = re.compile(r"[Ii](?:nvalid|llegal) user |Accepted \S+ for(?: |$)|message repeated ").match
_ID = re.compile(r"^\[ID \d+ \S+\] ").sub
_KERNEL = re.compile(r"^kernel: ?\[ *\d+\.\d+\]:? ").sub
_NEVER = re.compile(r"input_userauth_request: |pam_\w+\(sshd:(?!auth\): +authentication failure;)|PAM \d").match
_REPEATED = re.compile(r"message repeated (\d{1,9}) times: \[ (.*)\]", re.DOTALL).fullmatch


class Attempt(NamedTuple):
    """What a line says of somebody who wants in. `outcome`: failed, invalid_user, refused, too_many or accepted.

    `again`: it is another line about an attempt that was given before, as `Failed password` after `Invalid user` is.
    """

    outcome: str
    user: str
    address: str
    method: str
    times: int = 1
    again: bool = False


class LineSort(StrEnum):
    """What a line of sshd is good for."""

    ATTEMPT = "attempt"
    PART = "part"
    """A further line of an attempt, or one that becomes evidence with others."""
    KEY = "key"
    """A key that was refused: clients try several."""
    REVERSE_DNS = "reverse_dns"
    CUT_OFF = "cut_off"
    OTHER = "other"


class Evidence(NamedTuple):
    """What a line tells: its attempts, and its sort."""

    attempts: Sequence[Attempt]
    sort: LineSort


class _Connection:
    """What is known of one connection."""

    def __init__(self) -> None:
        self.address = ""
        self.waiting: str | None = None  # the user of what becomes evidence when the connection ends
        self.pam: list[str] = []  # the names that a module of PAM refused
        self.counted = ("", 0)  # whom PAM's own lines were about, and how many: Failed is the same attempt
        self.claimed: str | None = None  # the user that was refused before its password was asked
        self.is_known = False  # it made an attempt
        self.exceeded = False
        self.accepted = False


class SshdAttempts:
    """Finds the attempts in lines, in the order in which they were written."""

    def __init__(self) -> None:
        self._connections: OrderedDict[tuple[str, str], _Connection] = OrderedDict()

    def take(self, line: SshdLine) -> Evidence:
        """What this line is evidence of, perhaps with those before it."""
        message, times = _bare(line.message), 1
        by_pam = _BY_PAM(line.message) is not None
        if message.startswith("message repeated ") and (repeated := _REPEATED(message)) is not None:
            times, message = int(repeated[1]), _bare(repeated[2])
        key = (line.host, line.process)
        connection = self._connections.get(key)
        if connection is None or message.startswith("Connection from "):
            connection = self._connections[key] = _Connection()
        self._connections.move_to_end(key)
        if len(self._connections) > MOST_CONNECTIONS:
            self._connections.popitem(last=False)
        if by_pam and (evidence := _translated(message, times, connection)) is not None:
            return evidence
        return _read(message, times, connection)


def _bare(message: str) -> str:
    message = message.strip("\ufeff \t\r\n")
    if message.startswith("[ID "):
        message = _ID("", message)
    if message.startswith("kernel:"):
        message = _KERNEL("", message)
    message = message.removeprefix("error: ").removeprefix("fatal: ").removeprefix("PAM: ")
    while message.endswith(" [preauth]"):
        message = message.removesuffix(" [preauth]")
    return message.strip()


def _plain(address: str) -> str:
    """An IPv4 address written as IPv6 is the same attacker."""
    return address[7:] if address.lower().startswith("::ffff:") and "." in address else address


def _read(message: str, times: int, connection: _Connection) -> Evidence:
    if message.startswith("Connection from ") and (found := _BEGINS.fullmatch(message)) is not None:
        connection.address = _plain(found["address"])
        return Evidence((), LineSort.PART)
    if message.startswith("Failed "):
        return _failed(message, times, connection)
    if _NEVER(message):
        return Evidence((), LineSort.OTHER)
    if message.startswith(_PAM_BEGINS) and (found := _PAM.fullmatch(message)) is not None:
        return _refused_by_pam(found, times, connection)
    if message.startswith(_UNKNOWN_BEGINS) and (found := _UNKNOWN.fullmatch(message)) is not None:
        return _claims(connection, Attempt("invalid_user", found["user"], found["address"], "", times))
    for begin, form in _REFUSED:
        if message.startswith(begin) and (found := form.fullmatch(message)) is not None:
            named = found.groupdict().get("user")
            user = named or ("root" if message.startswith("ROOT") else "")
            one = Attempt("refused", user, found["address"], "", times)
            return _claims(connection, one) if message.startswith(("ROOT", "User ")) else _summed(connection, one)
    if message.startswith("maximum ") and (found := _MAXIMUM.fullmatch(message)) is not None:
        connection.exceeded = True
        return _summed(connection, Attempt("too_many", found["user"], found["address"], "", times))
    if message.startswith("Accepted ") and (found := _ACCEPTED.fullmatch(message)) is not None:
        return _accepted(found, connection)
    return _helping(message, connection)


def _translated(message: str, times: int, connection: _Connection) -> Evidence | None:
    """A failure that PAM says in another language; None where it says something else."""
    found = _TRANSLATED.fullmatch(message)
    if found is None or found["said"] in _NO_FAILURE:
        return None
    return _refused_by_pam(found, times, connection)


def _refused_by_pam(found: re.Match[str], times: int, connection: _Connection) -> Evidence:
    user, before = found["user"], connection.counted
    evidence = _claimed(connection, Attempt("failed", user, found["address"], "pam", times))
    connection.counted = (user, times + (before[1] if before[0] == user else 0))
    return evidence


def _made(connection: _Connection, attempt: Attempt) -> Evidence:
    attempt = attempt._replace(address=_plain(attempt.address))
    connection.address = attempt.address
    connection.waiting, connection.is_known = None, True
    return Evidence((attempt,), LineSort.ATTEMPT)


def _claims(connection: _Connection, attempt: Attempt) -> Evidence:
    """A user is refused before its password is asked: the failure that follows is the same attempt."""
    is_again = connection.claimed == attempt.user and connection.address == _plain(attempt.address)
    connection.claimed = attempt.user
    return _made(connection, attempt._replace(again=is_again))


def _claimed(connection: _Connection, attempt: Attempt) -> Evidence:
    """A failure, which may be that of a user who was refused before."""
    is_again = connection.claimed == attempt.user and connection.address == _plain(attempt.address)
    if connection.claimed == attempt.user:
        connection.claimed = None
    return _made(connection, attempt._replace(again=is_again))


def _summed(connection: _Connection, attempt: Attempt) -> Evidence:
    """The end of a connection for what it did: no attempt of its own where others were given."""
    is_again = connection.is_known and connection.address == _plain(attempt.address)
    return _made(connection, attempt._replace(again=is_again))


def _failed(message: str, times: int, connection: _Connection) -> Evidence:
    found = _FAILED.fullmatch(message)
    info = _INFO.fullmatch(message) if ": " in message else None
    if info is not None and _is_info(message, info, found, connection):
        found = info
    if found is None:
        return Evidence((), LineSort.CUT_OFF)
    if found["method"] == "none":  # a client's first probe, which sends no secret
        return Evidence((), LineSort.OTHER)
    user, address = found["user"], found["address"]
    if found["method"] == "publickey" and not found["invalid"]:
        connection.address = _plain(address)
        return Evidence((), LineSort.KEY)
    connection.pam.clear()
    name, counted = connection.counted
    if name == user and counted:
        connection.counted = (name, max(0, counted - times))
        times -= counted
        if times <= 0:
            return Evidence((), LineSort.PART)
    return _claimed(connection, Attempt("failed", user, address, found["method"], times))


def _is_info(message: str, info: re.Match[str], found: re.Match[str] | None, connection: _Connection) -> bool:
    """Whether what follows `ssh2:` is sshd's own text, and no part of a name.

    A name may look like that too. Then the address that the connection is known by decides.
    """
    if found is not None and connection.address in (ends := _plain(found["address"]), _plain(info["address"])):
        return connection.address != ends
    return " from " not in message[info.end("address") :] or ": from " in message or "ruser" in message


def _accepted(found: re.Match[str], connection: _Connection) -> Evidence:
    user, address = found["user"], _plain(found["address"])
    attempts = [Attempt("accepted", user, address, found["method"])]
    if connection.pam and user not in connection.pam:
        attempts.insert(0, Attempt("failed", connection.pam[0], address, "pam"))
    connection.pam.clear()
    connection.waiting, connection.accepted, connection.address = None, True, address
    return Evidence(attempts, LineSort.ATTEMPT)


def _helping(message: str, connection: _Connection) -> Evidence:
    """Lines that are evidence only with others of their connection, and those that never are."""
    if message.startswith("pam_") and (found := _PAM_UNIX.fullmatch(message)) is not None:
        return _of_pam(found, connection)
    if message.startswith("Disconnecting: Too many authentication failures"):
        user = message.partition(" for ")[2]
        if connection.address and not connection.exceeded:
            return _summed(connection, Attempt("too_many", user, connection.address, ""))
        connection.waiting = None if connection.exceeded else user
        return Evidence((), LineSort.PART)
    if message.startswith("User ") and "not allowed because account is locked" in message:
        connection.waiting = message[5:].partition(" not allowed")[0]
        return Evidence((), LineSort.PART)
    for form in _ENDS if message.startswith(("Received ", "Connection ", "Disconnected ")) else ():
        if (found := form.fullmatch(message)) is not None:
            return _ended(found["address"], connection)
    if _REVERSE_DNS(message):
        return Evidence((), LineSort.REVERSE_DNS)
    return Evidence((), LineSort.CUT_OFF if _CUT_OFF(message) else LineSort.OTHER)


def _of_pam(found: re.Match[str], connection: _Connection) -> Evidence:
    name, address = found["user"] or found["ruser"], _plain(found["address"])
    connection.address = connection.address or address
    before = [*connection.pam]
    if not name or name in before:
        return Evidence((), LineSort.PART)
    connection.pam.append(name)
    if not before:
        return Evidence((), LineSort.PART)
    return Evidence((Attempt("failed", before[0], address, "pam"),), LineSort.ATTEMPT)


def _ended(address: str, connection: _Connection) -> Evidence:
    waiting, connection.waiting = connection.waiting, None
    connection.claimed, connection.is_known, connection.counted = None, False, ("", 0)
    connection.pam.clear()
    if waiting is None or connection.accepted:
        return Evidence((), LineSort.OTHER)
    return Evidence((Attempt("refused", waiting, _plain(address), ""),), LineSort.ATTEMPT)
