"""The repository of threats in a Store; it restores threats that the store has lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from brain.charter import Severity
from brain.errors import InvalidInput, Unavailable
from brain.lifecycle import ACTIVE_THREAT
from brain.store import Document, DocumentChange, Store, forking
from brain.store.mirror import Entries, Mirror, Restoration
from brain.threats.list_schema import COLLECTION
from brain.threats.listing import (
    Filters,
    count_rows,
    find_place,
    find_places,
    list_of_store,
    oldest_place,
    unreadable_keys,
)
from brain.threats.models import Threat, ThreatStats
from brain.threats.statistics import statistics
from brain.typed import ready
from brain.unreadable import FAULTS, readable

REMEMBERED = 10_000
"""How many of the threats that changed last a process can restore in a store that came back without them."""
_PAGE = 1_000
_DECODED = 2_000
"""Threats that are kept decoded."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ready(Threat)).decode


class ThreatRepository:
    """Threats by id. Raises what Store raises, and Unavailable while lost threats cannot be restored."""

    def __init__(
        self,
        store: Store,
        entries: Entries = lambda _: (),
        restored: Callable[[Restoration], None] = lambda _: None,
    ) -> None:
        """`entries` are stored with a restoration, `restored` is called after it: see Mirror."""
        self._store = store
        self._list = list_of_store(store)
        self._decoded: dict[str, tuple[Document, Threat]] = {}
        self._mirror = Mirror(store, COLLECTION, limit=REMEMBERED, entries=entries, restored=restored)
        self._looking = forking.ForkLock(forking.Level.SERVICE)
        forking.register(self._looking)

    @property
    def losses(self) -> int:
        """How often the store came back with less than is known here."""
        return self._mirror.losses

    def look(self) -> None:
        """Read what is new in the store, and restore what it has lost."""
        with self._looking:
            self._mirror.look()
            if self._mirror.beside is not None:
                raise Unavailable(
                    "threats: the store lost some that this process knows, and does not take them back; check the store"
                )

    def get(self, threat_id: str) -> Threat | None:
        """The threat, or None. Raises InvalidInput when it cannot be read."""
        self.look()
        found = self._store.get(COLLECTION, threat_id)
        if found is None:
            return None
        try:
            return _read(found)
        except FAULTS as error:
            raise InvalidInput(
                f"stored threat {threat_id!r} cannot be read: {error}; was it written by a newer version?"
            ) from error

    def put(self, threat: Threat, more: Sequence[DocumentChange] = ()) -> None:
        """Store it over the version before its own (1: it must be new), in one write with `more`.

        Raises Conflict when that was overtaken.
        """
        change = DocumentChange(COLLECTION, threat.id, _encode(threat), threat.version - 1)
        with self._looking:
            written = self._store.write([change, *more])
            self._mirror.wrote([change], written)

    def page(self, filters: Filters, limit: int, before: str | None = None) -> list[Threat]:
        """At most `limit` threats that fit, the latest detected first; those that come after the one with that id.

        What cannot be read is left out. Raises InvalidInput when there is no threat with the id `before`.
        """
        self.look()
        place = None if before is None else find_place(self._list, before)
        if before is not None and place is None:
            raise InvalidInput(
                f"before: there is no threat {before[:100]!r}; give the id of the last one that you have"
            )
        found: list[Threat] = []
        while len(found) < limit:
            wanted = limit - len(found)
            places = find_places(self._list, filters, wanted, place)
            found += self._read_all([one.key for one in places])
            if len(places) < wanted:
                break
            place = places[-1]
        self._report_unreadable()
        return found

    def worst(self, limit: int) -> list[Threat]:
        """At most `limit` active ones: those of the highest severity first, among these the latest detected."""
        found: list[Threat] = []
        for severity in reversed(Severity):
            if len(found) < limit:
                found += self.page(Filters(sorted(ACTIVE_THREAT), [severity]), limit - len(found))
        return found

    def all(self) -> Iterator[Threat]:
        """Every threat that can be read, the latest detected first."""
        last: str | None = None
        while page := self.page(Filters(), _PAGE, last):
            yield from page
            last = page[-1].id

    def statistics(self, now: float) -> ThreatStats:
        """The statistics of all threats at `now` (Unix seconds)."""
        self.look()
        self._report_unreadable()
        return statistics(list(count_rows(self._list)), oldest_place(self._list, ACTIVE_THREAT), now)

    def count_open(self) -> Mapping[Severity, int] | None:
        """How many threats of each severity wait to be mitigated; None when there never was a threat."""
        self.look()
        counts = list(count_rows(self._list))
        found: Counter[Severity] = Counter()
        for one in counts:
            if one.status in ACTIVE_THREAT:
                found[Severity(one.severity)] += one.number
        return found if counts else None

    def _read_all(self, keys: Sequence[str]) -> list[Threat]:
        """The threats with these keys; decoded only after a change: polling is cheap."""
        stored = self._list.documents(keys)
        items = [(key, stored[key]) for key in keys if key in stored]
        return list(readable(COLLECTION, items, self._decode))

    def _decode(self, document: Document) -> Threat:
        known = self._decoded.get(document.key)
        if known is not None and known[0] == document:
            return known[1]
        threat = _read(document)
        if len(self._decoded) >= _DECODED:
            self._decoded = {}
        self._decoded[document.key] = (document, threat)
        return threat

    def _report_unreadable(self) -> None:
        for key in unreadable_keys(self._list):
            if (found := self._list.documents([key]).get(key)) is not None:
                list(readable(COLLECTION, [(key, found)], _read))


def _read(document: Document) -> Threat:
    """The threat with the document's version, which counts also what processes without versions wrote."""
    threat = _decode(document.data)
    msgspec.structs.force_setattr(threat, "version", document.version)
    return threat
