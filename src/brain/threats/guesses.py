"""Passwords that were guessed: a user whose password failed again and again, and who then logs in with one.

A login by key is none, nor one of another user, from another address, or long after. What was seen of an address at the
end of a log is carried to the next one, since logs are rotated.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, NamedTuple

BREACH_AFTER = 10
"""Failures of one user from one address within the window after which its login with a password was guessed."""
WINDOW = 3_600.0
"""Seconds before a login in which failures count."""
PAIRS_KEPT = 50_000
"""Pairs of an address and a user that are remembered; those that were silent for longest are forgotten."""
USERS_CARRIED = 10


class Login(NamedTuple):
    """A login with a password early in a log, which may belong to failures in the log before."""

    user: str
    at: float
    failures: int
    """Those within the window in this log."""


class Guesses:
    """Failures as they come, in the order of the log."""

    def __init__(self) -> None:
        self._times: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def fail(self, address: str, user: str, at: float, times: int) -> None:
        """This user's password failed."""
        key = (address, user)
        known = self._times.get(key)
        if known is None:
            known = self._times[key] = deque(maxlen=BREACH_AFTER)
            if len(self._times) > PAIRS_KEPT:
                self._times.popitem(last=False)
        known.extend([at] * min(times, BREACH_AFTER))
        self._times.move_to_end(key)

    def failures(self, address: str, user: str, at: float) -> int:
        """How often this user's password failed within the window before this moment; BREACH_AFTER at most."""
        return sum(at - WINDOW <= one <= at for one in self._times.get((address, user), ()))

    def carried(self, address: str, users: Iterable[str]) -> list[list[Any]]:
        """For the next log: of each of these users the moments of the failures in the last window."""
        found = [(user, self._times[address, user]) for user in users if (address, user) in self._times]
        begin = max((times[-1] for _, times in found), default=0.0) - WINDOW
        lately = [(user, [int(at) for at in times if at >= begin]) for user, times in found]
        lately.sort(key=lambda one: -len(one[1]))
        return [[user, *times] for user, times in lately[:USERS_CARRIED] if times]


def belongs_to(login: Login, carried: Any) -> bool:
    """Whether this login was guessed, with the failures of the log before, as `Guesses.carried` gave them."""
    if not isinstance(carried, list):
        return False
    before = [one[1:] for one in carried if isinstance(one, list) and one[:1] == [login.user]]
    failures: int = sum(login.at - WINDOW <= at <= login.at for times in before for at in times)
    return login.failures + failures >= BREACH_AFTER
