"""The threats' collection in a Store: a thin typed face."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from brain.errors import InvalidInput
from brain.store import Store
from brain.threats.models import Threat
from brain.unreadable import FAULTS, collecting, left_out, readable

COLLECTION = "threats"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Threat).decode


class ThreatStore:
    """Threats by id. Raises what Store raises."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: tuple[int, Sequence[Threat], Sequence[str]] = (0, (), ())

    def get(self, threat_id: str) -> tuple[Threat, int] | None:
        """The threat with its version, or None. Raises InvalidInput when what is stored cannot be read."""
        found = self._store.get(COLLECTION, threat_id)
        if found is None:
            return None
        try:
            return _decode(found.data), found.version
        except FAULTS as error:
            raise InvalidInput(f"stored threat {threat_id!r} cannot be read: {error}") from error

    def put(self, threat: Threat, expected: int) -> None:
        """Store it over the version `expected` (0: it must be new). Raises Conflict when that was overtaken."""
        self._store.put(COLLECTION, threat.id, _encode(threat), expected)

    def all(self) -> Sequence[Threat]:
        """Every threat that can be read, the latest detected first; decoded only after a change: polling is cheap."""
        revision = self._store.revision(COLLECTION)  # read first: what changes meanwhile is then read again next time
        if revision != self._known[0]:
            items = [(document.key, document.data) for document in self._store.scan(COLLECTION)]
            with collecting() as unreadable:
                threats = list(readable(COLLECTION, items, _decode))
            threats.sort(key=lambda threat: (threat.detected_at, threat.id), reverse=True)
            self._known = (revision, threats, unreadable)
        for name in self._known[2]:
            left_out(COLLECTION, name.partition("/")[2], "as before")
        return self._known[1]
