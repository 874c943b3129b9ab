"""Lines of sshd's log, as syslog, the journal and others write them, and the attempts that they tell of.

An attempt may be written on three lines, and a line may only mean something with those of its connection before it. So
a state is kept for each connection: the host and the process. It begins again with `Connection from`: process ids come
again. What a client chooses, such as a user's name, is not taken for an address: lines are read from both ends.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import NamedTuple

MOST_CONNECTIONS = 20_000
"""Connections that are remembered; the one that was silent for longest is forgotten."""
_STAMP = (
    r"[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d(?:\.\d+)?(?: \d{4})?"
    r"|(?:[A-Z][a-z]{2} )?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)? ?(?:Z|[+-]\d\d:?\d\d|[A-Z]{3,4})?"
    r"|\d{9,10}\.\d+|\[ *\d+\.\d+(?: *< *\d+\.\d+ *>)?\]"
)
_HEAD = re.compile(rf"(?:<[\w.]{{1,20}}>(?P<version>1 )?)?(?P<time>{_STAMP})? *(?P<rest>\S.*)", re.DOTALL).fullmatch
_DAEMON = r"\[?(?:/\S*/)?sshd(?:-session|-auth)?(?:@[^\s\[]*)?\]?"
_PLAIN = re.compile(
    rf"(?:(?P<host>[^\s\[]\S*) +)?(?:\w+\.\w+ )?{_DAEMON}(?:\(\S+\))?(?:\[(?P<pid>\d+)\])?:? "
    r"(?P<message>.*)",
    re.DOTALL,
).fullmatch
_ELEMENT = r'\[(?:"(?:[^"\\]|\\.)*"|[^\]"])*\]'
_STRUCTURED = re.compile(
    rf"(?P<host>\S+) {_DAEMON} (?P<pid>\S+) \S+ (?:-|(?:{_ELEMENT})+) (?P<message>.*)", re.DOTALL
).fullmatch
_UNIFIED = re.compile(
    r"(?P<host>0x\w+) +\w+ +0x\w+ +(?P<pid>\d+) +\d+ +sshd\S*: (?:\(\S+\) )?(?:\[\S+\] )?(?P<message>.*)", re.DOTALL
).fullmatch

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
_UNKNOWN = _form(rf"[Ii](?:nvalid|llegal) user (?P<user>.*?) ?from {_A}{_PORT}")
_REFUSED = (
    _form(rf"ROOT LOGIN REFUSED FROM {_A}{_PORT}"),
    _form(rf"User (?P<user>.*) from {_A} not allowed because .*"),
    _form(rf"refused connect from \S+ \({_A}\)"),
    _form(rf"Received disconnect from {_A}{_PORT}: ?3: .*: ?Auth fail"),
    _form(
        rf"Disconnecting (?:invalid|authenticating) user (?P<user>.*?) {_A}{_PORT}: ?Change of username or service .*"
    ),
)
_MAXIMUM = _form(rf"maximum authentication attempts exceeded for {_NAMELESS}(?P<user>.*) from {_A}{_PORT}(?: ssh\d)?")
_ACCEPTED = _form(rf"Accepted (?P<method>\S+) for (?P<user>.*) from {_A}{_PORT}(?: ssh\d)?(?:: .*)?")
_PAM_UNIX = _form(
    r"pam_\w+\(sshd:auth\): +authentication failure;.* ruser=(?P<ruser>\S*) +rhost=(?P<address>\S+)"
    r"(?: +user=(?P<user>\S*))?"
)
_BEGINS = _form(rf"Connection from {_A}{_PORT}(?: .*)?")
_ENDS = (
    _form(rf"Received disconnect from {_A}{_PORT}: ?11:.*"),
    _form(
        rf"(?:Connection (?:closed|reset)|Disconnected)(?: by| from)?(?: (?:invalid|authenticating) user .*?)? {_A}"
        rf"{_PORT}(?:: .*)?"
    ),
)
_REPEATED = re.compile(r"message repeated (\d{1,9}) times: \[ (.*)\]", re.DOTALL).fullmatch


class SshdLine(NamedTuple):
    """A line of sshd: when as written, where, by which process, and what."""

    time: str
    host: str
    process: str
    message: str


class Attempt(NamedTuple):
    """What a line says of somebody who wants in. `outcome`: failed, invalid_user, refused, too_many or accepted."""

    outcome: str
    user: str
    address: str
    method: str
    times: int = 1


class _Connection:
    """What is known of one connection."""

    def __init__(self) -> None:
        self.address = ""
        self.waiting: str | None = None  # the user of what becomes evidence when the connection ends
        self.pam: list[str] = []  # the names that a module of PAM refused
        self.counted: tuple[str, str] | None = None  # whom PAM's own line was about: Failed is the same attempt
        self.exceeded = False
        self.accepted = False


def read_line(text: str) -> SshdLine | None:
    """The parts of a line of sshd; None for a line of another program, or of none."""
    head = _HEAD(text.strip())
    if head is None:
        return None
    rest, time = head["rest"], head["time"] or ""
    for form in (_STRUCTURED,) if head["version"] else (_UNIFIED, _PLAIN) if time else (_PLAIN,):
        if (found := form(rest)) is not None:
            return SshdLine(time, found["host"] or "", found["pid"] or "", found["message"])
    return None


class SshdAttempts:
    """Finds the attempts in lines, in the order in which they were written."""

    def __init__(self) -> None:
        self._connections: OrderedDict[tuple[str, str], _Connection] = OrderedDict()

    def take(self, line: SshdLine) -> list[Attempt]:
        """What this line is evidence of, perhaps with those before it."""
        message, times = _bare(line.message), 1
        if (repeated := _REPEATED(message)) is not None:
            times, message = int(repeated[1]), _bare(repeated[2])
        key = (line.host, line.process)
        connection = self._connections.get(key)
        if connection is None or _BEGINS.fullmatch(message):
            connection = self._connections[key] = _Connection()
        self._connections.move_to_end(key)
        if len(self._connections) > MOST_CONNECTIONS:
            self._connections.popitem(last=False)
        found = _read(message, connection)
        return [one._replace(times=times, address=_plain(one.address)) for one in found]


def _bare(message: str) -> str:
    message = re.sub(r"^\[ID \d+ \S+\] ", "", message.strip())
    message = re.sub(r"^kernel: ?\[ *\d+\.\d+\]:? ", "", message)
    message = re.sub(r"^(?:error|fatal): ", "", message)
    message = re.sub(r"^PAM: ", "", message)
    return re.sub(r"(?: \[preauth\])+$", "", message).strip()


def _plain(address: str) -> str:
    return address[7:] if address.lower().startswith("::ffff:") and "." in address else address


def _read(message: str, connection: _Connection) -> list[Attempt]:
    if (found := _BEGINS.fullmatch(message)) is not None:
        connection.address = found["address"]
        return []
    if message.startswith("Failed "):
        return _failed(message, connection)
    if (found := _PAM.fullmatch(message)) is not None:
        connection.counted = (found["user"], found["address"])
        return [_noted(connection, "failed", found["user"], found["address"], "pam")]
    if (found := _UNKNOWN.fullmatch(message)) is not None:
        return [_noted(connection, "invalid_user", found["user"], found["address"], "")]
    for form in _REFUSED:
        if (found := form.fullmatch(message)) is not None:
            user = found.groupdict().get("user") or ("root" if message.startswith("ROOT") else "")
            return [_noted(connection, "refused", user, found["address"], "")]
    if (found := _MAXIMUM.fullmatch(message)) is not None:
        connection.exceeded = True
        return [_noted(connection, "too_many", found["user"], found["address"], "")]
    if (found := _ACCEPTED.fullmatch(message)) is not None:
        return _accepted(found, connection)
    return _helping(message, connection)


def _noted(connection: _Connection, outcome: str, user: str, address: str, method: str) -> Attempt:
    connection.address = address
    connection.waiting = None
    return Attempt(outcome, user, address, method)


def _failed(message: str, connection: _Connection) -> list[Attempt]:
    found = _FAILED.fullmatch(message)
    info = _INFO.fullmatch(message)
    if info is not None and (
        " from " not in message[info.end("address") :] or ": from " in message or "ruser" in message
    ):
        found = info
    if found is None or found["method"] == "none":  # a client's first probe, which sends no secret
        return []
    user, address = found["user"], found["address"]
    if found["method"] == "publickey" and not found["invalid"]:
        connection.address = address
        return []
    connection.pam.clear()
    if connection.counted == (user, address):
        connection.counted = None
        return []
    return [_noted(connection, "failed", user, address, found["method"])]


def _accepted(found: re.Match[str], connection: _Connection) -> list[Attempt]:
    user, address = found["user"], found["address"]
    attempts = [Attempt("accepted", user, address, found["method"])]
    if connection.pam and user not in connection.pam:
        attempts.insert(0, Attempt("failed", connection.pam[0], address, "pam"))
    connection.pam.clear()
    connection.waiting, connection.accepted, connection.address = None, True, address
    return attempts


def _helping(message: str, connection: _Connection) -> list[Attempt]:
    """Lines that are evidence only with others of their connection."""
    if (found := _PAM_UNIX.fullmatch(message)) is not None:
        name, address = found["user"] or found["ruser"], found["address"]
        connection.address = address
        before = [*connection.pam]
        if name and name not in before:
            connection.pam.append(name)
        return [Attempt("failed", before[0], address, "pam")] if before and name and name not in before else []
    if message.startswith("Disconnecting: Too many authentication failures"):
        if connection.exceeded:
            return []
        user = message.partition(" for ")[2]
        if connection.address:
            return [_noted(connection, "too_many", user, connection.address, "")]
        connection.waiting = user
        return []
    if message.startswith("User ") and "not allowed because account is locked" in message:
        connection.waiting = message[5:].partition(" not allowed")[0]
        return []
    for form in _ENDS:
        if (found := form.fullmatch(message)) is not None:
            waiting, connection.waiting = connection.waiting, None
            connection.pam.clear()
            if waiting is not None and not connection.accepted:
                return [Attempt("refused", waiting, found["address"], "")]
    return []
