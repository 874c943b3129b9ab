"""The repository of threats in a Store; it restores threats that the store has lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from brain.errors import InvalidInput, Unavailable
from brain.store import START, Document, DocumentChange, Mark, Store, forking
from brain.store.mirror import Entries, Mirror, Restoration
from brain.threats.models import Threat
from brain.unreadable import FAULTS, collecting, left_out, readable

COLLECTION = "threats"
REMEMBERED = 10_000
"""How many of the threats that changed last a process can restore in a store that came back without them."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Threat).decode


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
        self._known: tuple[Mark, Sequence[Threat], Sequence[str]] = (START, (), ())
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
            self._mirror.wrote([change], written.versions[:1], written.steps[COLLECTION])

    def all(self) -> Sequence[Threat]:
        """Every threat that can be read, the latest detected first; decoded only after a change: polling is cheap."""
        self.look()
        mark = self._store.mark(COLLECTION)  # read first: what changes meanwhile is then read again next time
        if mark != self._known[0]:
            items = [(document.key, document) for document in self._store.scan(COLLECTION)]
            with collecting() as unreadable:
                threats = list(readable(COLLECTION, items, _read))
            threats.sort(key=lambda threat: (threat.detected_at, threat.id), reverse=True)
            self._known = (mark, threats, unreadable)
        for name in self._known[2]:
            left_out(COLLECTION, name.partition("/")[2], "as before")
        return self._known[1]


def _read(document: Document) -> Threat:
    """The threat with the document's version, which counts also what processes without versions wrote."""
    threat = _decode(document.data)
    msgspec.structs.force_setattr(threat, "version", document.version)
    return threat
