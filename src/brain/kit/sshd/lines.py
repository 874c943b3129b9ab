"""Lines of sshd's log, as syslog, the journal, macOS, Solaris and busybox write them."""

from __future__ import annotations

import re
from typing import NamedTuple

_STAMP = (
    r"(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d(?:\.\d+)?(?: \d{4})?"
    r"|(?:[A-Z][a-z]{2} )?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?"
    r" ?(?:Z|[+-]\d\d(?::?\d\d)?(?= )|[A-Z]{3,4}(?= ))?"
    r"|\d{9,10}\.\d+|\[ *\d+\.\d+(?: *< *\d+\.\d+ *>)?\]"
)
_HEAD = re.compile(rf"(?:<[\w.]{{1,20}}>(?P<version>1 )?)?(?P<time>{_STAMP})? *(?P<rest>\S.*)", re.DOTALL).fullmatch
_DAEMON = r"\[?(?:/\S*/)?(?:ssh\.service|sshd(?:-session|-auth|\.service)?(?:@[^\s\[]*)?)\]?"
_PLAIN = re.compile(
    rf"(?:(?P<host>[^\s\[]\S*) +)?(?:\w+\.\w+ )?{_DAEMON}(?:\(\S+\))?(?:\[(?P<pid>\d+)(?::\w+)?\])?:? "
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
_BARE = re.compile(  # `journalctl -o cat`
    r"(?:error: |fatal: |message repeated \d+ times: \[ )?(?:PAM: )?"
    r"(?:(?:Failed|Accepted|Postponed) \S+ for |(?:Invalid|Illegal) user |Connection (?:closed|reset|from) "
    r"|(?:Received disconnect|Disconnected) from |Disconnecting\b|pam_\w+\(sshd:|ROOT LOGIN REFUSED FROM "
    r"|User .* not allowed because |maximum authentication attempts exceeded |[Aa]uthentication (?:failure|error) for "
    r"|Address \S+ maps to |reverse mapping checking |Server listening on |Did not receive identification "
    r"|Received signal |input_userauth_request: |Starting session: |Unable to negotiate |kex_exchange_identification)"
).match
_OF_A_LOG = re.compile(rf"(?:<[\w.]+>)?(?:1 )?(?:{_STAMP}) *\S+ +\S|-- .* --$").match


class SshdLine(NamedTuple):
    """A line of sshd: when as written, where, by which process, and what."""

    time: str
    host: str
    process: str
    message: str


def read_line(text: str) -> SshdLine | None:
    """The parts of a line of sshd; None for a line of another program, or of none."""
    head = _HEAD(text.strip())
    if head is None:
        return None
    rest, time = head["rest"], head["time"] or ""
    for form in (_STRUCTURED,) if head["version"] else (_UNIFIED, _PLAIN) if time else (_PLAIN,):
        if (found := form(rest)) is not None:
            return SshdLine(time, found["host"] or "", found["pid"] or "", found["message"])
    return SshdLine("", "", "", rest) if not time and _BARE(rest) else None


def is_of_a_log(text: str) -> bool:
    """Whether it is a line of some program in a log, or one that the journal puts between others."""
    return _OF_A_LOG(text) is not None
