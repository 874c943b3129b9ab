"""What senders beyond a limit are answered: 429, after a pause; and what the log says of them: a line for many.

Refused requests would otherwise take the time that others need: who asks again at once is refused thousands of times a
second, and fifty such senders keep the event loop busy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from math import ceil
from random import uniform

from starlette.responses import Response

from brain.charter import Principal
from brain.logs import Log
from brain.server.problems import problem
from brain.server.rate_limits import sender_name

log: Log = Log("brain.server.security")

PAUSE = 0.2
"""Seconds until the answer, at least. `Retry-After` is a second or more, so nobody who heeds it loses anything."""
SPREAD = 0.2
"""Up to so many more, by chance: who began at the same moment shall not be answered at the same moment, again and
again."""
QUIET_SECONDS = 10.0
"""After a line about a sender the next one comes no sooner, with the number of requests since."""
MOST = 10_000
"""Of so many senders it is known when a line was written; beyond that they are counted as one."""


class TooMany:
    """The refusals beyond limits of one server. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[tuple[str, str], tuple[float, int]] = {}  # when, and how many since

    def note(self, what: str, who: Principal, path: str) -> None:
        """Count a request of this sender beyond the limit of `what`; log it, unless that was done lately."""
        now = self._clock()
        key = (what, sender_name(who))
        if key not in self._said and len(self._said) >= MOST:
            self._said = {of: (at, since) for of, (at, since) in self._said.items() if now - at < QUIET_SECONDS}
            if len(self._said) >= MOST:
                key = (what, "")
        at, since = self._said.get(key, (-QUIET_SECONDS, 0))
        if now - at < QUIET_SECONDS:
            self._said[key] = (at, since + 1)
            return
        self._said[key] = (now, 0)
        log.warning(
            "requests beyond a limit", of=what, count=since + 1, path=path[:200], client=who.address, principal=who.name
        )


def pause() -> float:
    """The seconds until one that is beyond a limit is answered."""
    return uniform(PAUSE, PAUSE + SPREAD)


def too_many(what: str, wait: float) -> Response:
    """The answer to a sender that must wait so many seconds."""
    return _answer(what, ceil(wait))


@lru_cache(maxsize=256)
def _answer(what: str, seconds: int) -> Response:
    detail = f"there were too many {what} of this sender; wait, or see the limits in docs/identity.md"
    answer = problem(429, "Too Many Requests", detail)
    answer.headers["Retry-After"] = str(seconds)
    return answer
