"""Which signed requests were seen: each counts once. A key without room is refused; nothing is forgotten early."""

from __future__ import annotations

from collections.abc import Callable

from brain.access.http_signatures import SECONDS

PER_KEY = 20_000
"""Most signed requests of one key within two minutes: 166 a second. Sessions have no such bound."""
IN_ALL = 200_000


class Nonces:
    """The nonces of all keys, as long as their signatures could count. `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = int(clock())
        self._seen: dict[str, dict[str, float]] = {}
        self._count = 0

    def fault(self, keyid: str, nonce: str, created: int) -> str | None:
        """Why the request does not count; None when it does: then it does not a second time."""
        if created <= self._started:
            return "the signature was made before this server started; sign the request again"
        now = self._clock()
        seen = self._seen.setdefault(keyid, {})
        self._forget(seen, now)
        if nonce in seen:
            return "the signed request was sent before: its nonce was seen"
        if len(seen) >= PER_KEY or self._count >= IN_ALL:
            self._forget_all(now)
        if len(seen) >= PER_KEY or self._count >= IN_ALL:
            return "there is no room for more signed requests of this key now; open a session"
        seen[nonce] = now + 2 * SECONDS
        self._seen[keyid] = seen
        self._count += 1
        return None

    def _forget(self, seen: dict[str, float], now: float) -> None:
        while seen and seen[first := next(iter(seen))] <= now:
            del seen[first]
            self._count -= 1

    def _forget_all(self, now: float) -> None:
        for keyid, seen in list(self._seen.items()):
            self._forget(seen, now)
            if not seen:
                del self._seen[keyid]
