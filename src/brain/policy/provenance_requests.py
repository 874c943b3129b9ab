"""The requests that a provenance knows: the user's words and labels by correlation id, in memory or in a store."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from typing import Final, Protocol

import msgspec

from brain.errors import Conflict
from brain.locks import InterruptibleLock
from brain.store import Document, DocumentChange, Store
from brain.typed import ready
from brain.unreadable import read_or_none

MAX_REQUESTS: Final = 10_000
"""How many correlation ids are remembered; of the one used longest ago what is known is then given up."""

COLLECTION: Final = "policy.requests"
TIDIED: Final = 1_000
"""In a store: requests that one process begins between two looks whether there are too many."""


class Request(msgspec.Struct, frozen=True):
    """What is known of one request."""

    words: str
    """The user's own, normalised."""
    own: str = ""
    """Own data that was handed over with it, normalised."""
    labels: tuple[str, ...] = ()
    at: float = 0.0
    """When it began, in Unix seconds."""


class Requests(Protocol):
    """Keeps them. All methods raise Unavailable where a store does not answer."""

    def begin(self, correlation_id: str, words: str, own: str) -> None:
        """A request begins; one of the same id is forgotten."""

    def add(self, correlation_id: str, labels: Iterable[str]) -> None:
        """Add labels to a request that is known."""

    def get(self, correlation_id: str) -> Request | None:
        """What is known of it."""


class RequestsInMemory:
    """Those of this process."""

    def __init__(self) -> None:
        self._requests: OrderedDict[str, Request] = OrderedDict()
        self._changing = InterruptibleLock()

    def begin(self, correlation_id: str, words: str, own: str) -> None:
        """As Requests says."""
        with self._changing:
            self._requests[correlation_id] = Request(words, own)
            self._requests.move_to_end(correlation_id)
            while len(self._requests) > MAX_REQUESTS:
                self._requests.popitem(last=False)

    def add(self, correlation_id: str, labels: Iterable[str]) -> None:
        """As Requests says."""
        with self._changing:
            request = self._requests.get(correlation_id)
            if request is not None:
                self._requests[correlation_id] = _labelled(request, labels)

    def get(self, correlation_id: str) -> Request | None:
        """As Requests says."""
        with self._changing:
            request = self._requests.get(correlation_id)
            if request is not None:
                self._requests.move_to_end(correlation_id)
            return request


class RequestsInStore:
    """Those of all processes that share the store; they outlive a restart. `clock` gives Unix seconds."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._begun = 0

    def begin(self, correlation_id: str, words: str, own: str) -> None:
        """As Requests says."""
        data = msgspec.json.encode(Request(words, own, (), self._clock()))
        self._store.put(COLLECTION, _key(correlation_id), data)
        self._begun += 1
        if self._begun % TIDIED == 1:
            self._tidy()

    def add(self, correlation_id: str, labels: Iterable[str]) -> None:
        """As Requests says. Two processes that add at once lose nothing."""
        while (document := self._store.get(COLLECTION, _key(correlation_id))) is not None:
            request = _request(document)
            if request is None:
                return
            labelled = _labelled(request, labels)
            if labelled == request:
                return
            with suppress(Conflict):
                self._store.put(COLLECTION, document.key, msgspec.json.encode(labelled), document.version)
                return

    def get(self, correlation_id: str) -> Request | None:
        """As Requests says."""
        document = self._store.get(COLLECTION, _key(correlation_id))
        return None if document is None else _request(document)

    def _tidy(self) -> None:
        """Forget those that began first, where there are too many."""
        known = self._store.scan(COLLECTION)
        oldest = sorted(known, key=_began_at)[: max(0, len(known) - MAX_REQUESTS)]
        if oldest:
            self._store.write([DocumentChange(COLLECTION, document.key, None) for document in oldest])


def _key(correlation_id: str) -> str:
    """Any text may be a correlation id."""
    return sha256(correlation_id.encode(errors="surrogatepass")).hexdigest()[:32]


def _request(document: Document) -> Request | None:
    """What it says; None for one that cannot be read: it counts as not known, which is the careful side."""
    return read_or_none(COLLECTION, document.key, document.data, _decode)


_decode = msgspec.json.Decoder(ready(Request)).decode


def _began_at(document: Document) -> float:
    """When it began; one that cannot be read comes before all others, and is forgotten first."""
    request = _request(document)
    return float("-inf") if request is None else request.at


def _labelled(request: Request, labels: Iterable[str]) -> Request:
    return msgspec.structs.replace(request, labels=tuple(dict.fromkeys((*request.labels, *labels))))
