"""Redis' errors in words that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.exceptions import (
    AuthenticationWrongNumberOfArgsError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
from redis.sentinel import MasterNotFoundError

from brain.certificates import strictness
from brain.errors import Unavailable
from brain.redis_client.cluster import SlotMoved
from brain.redis_client.url import RedisUrl

_NO_ENTRY = "refuses the user or password ({error}); correct user:password@ in the URL"
_NOT_ALLOWED = "does not allow this user a command: {error}; docs/redis.md has the ACL line"
_NO_CERTIFICATE = "wants a client certificate that it trusts; name it by ?ssl_certfile=FILE&ssl_keyfile=FILE"

# The first that fits is taken, so children come before their parents.
_BY_CLASS: tuple[tuple[type[Exception], str], ...] = (
    (
        AuthenticationWrongNumberOfArgsError,
        "does not know users; leave the user out of the URL: redis://:password@host",
    ),
    (redis.AuthenticationError, _NO_ENTRY),
    (BusyLoadingError, "is loading its data and will answer when that is done"),
    (MasterNotFoundError, "is not known, or not up, as far as any Sentinel answers; check the name and the Sentinels"),
    (redis.TimeoutError, "does not answer in time; it is hung, overloaded or cut off"),
    (OutOfMemoryError, "is full (maxmemory); give it more memory or keep fewer events: nothing was dropped"),
    (ReadOnlyError, "is a read-only replica; give the URL of the primary, or redis+sentinel://"),
    (NoPermissionError, _NOT_ALLOWED),
    (ClusterDownError, "is down in part: {error}"),
    (MovedError, "is a node of a Cluster; write redis+cluster://"),
    (TryAgainError, "is moving the stream's slot to another node; it goes on when that is done"),
    (SlotMoved, "is moving the stream's slot to another node; it goes on when that is done"),
)
_BY_TEXT: tuple[tuple[str, str], ...] = (
    ("NOREPLICAS", "has too few replicas in touch (min-replicas-to-write), and so takes no events for now"),
    ("MISCONF", "cannot save to its disk and so takes no events (stop-writes-on-bgsave-error); see its log"),
    ("unauthenticated", _NO_ENTRY),  # its answer to a long command of a client that has not logged in
    ("DB index is out of range", "has no such database; correct the number in the URL"),
    ("ACL failure in script", _NOT_ALLOWED),
    ("user executing the script can't", _NOT_ALLOWED),  # Redis 7.0's words for the same
    ("Error compiling script", "is too old; Redis 7 (or any Valkey) is needed"),
    ("CERTIFICATE_VERIFY_FAILED", "has a certificate that is not trusted: {error}; name its CA by ?ssl_ca_certs=FILE"),
    ("cluster support disabled", "is no Cluster; write redis://"),
    ("WRONG_VERSION_NUMBER", "does not speak TLS on this port; write redis:// or give the TLS port"),
)


@contextmanager
def named_errors(place: RedisUrl) -> Iterator[None]:
    """Raise Unavailable, naming the server and the remedy, for whatever redis-py raises."""
    try:
        yield
    except (redis.RedisError, redis.exceptions.ChildDeadlockedError) as error:
        raise Unavailable(explained(error, place)) from error


def explained(error: Exception, place: RedisUrl) -> str:
    """What went wrong there, and what to do."""
    text = str(error).rstrip(".")
    for sign, said in _BY_TEXT:
        if sign in text:
            return f"{place.where} {said.format(error=f'{text}{strictness(text)}')}"
    for kind, said in _BY_CLASS:
        if isinstance(error, kind):
            return f"{place.where} {said.format(error=text)}"
    if isinstance(error, redis.ConnectionError):
        # A server that misses the client's certificate mostly hangs up before anything says so.
        or_else = f"; perhaps it {_NO_CERTIFICATE}" if place.tls and "ssl_certfile" not in place.options else ""
        return f"{place.where} cannot be reached: {text}; check that it runs, and the address{or_else}"
    return f"{place.where} refused a command: {text}"
