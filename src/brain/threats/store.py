"""The threats' collection in a Store: a thin typed face."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from brain.store import Store
from brain.threats.models import Threat

COLLECTION = "threats"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Threat).decode


class ThreatStore:
    """Threats by id. Raises what Store raises."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: tuple[int, Sequence[Threat]] = (0, ())

    def get(self, threat_id: str) -> tuple[Threat, int] | None:
        """The threat with its version, or None."""
        found = self._store.get(COLLECTION, threat_id)
        return None if found is None else (_decode(found.data), found.version)

    def put(self, threat: Threat, expected: int) -> None:
        """Store it over the version `expected` (0: it must be new). Raises Conflict when that was overtaken."""
        self._store.put(COLLECTION, threat.id, _encode(threat), expected)

    def all(self) -> Sequence[Threat]:
        """Every threat, the latest detected first; decoded anew only after a change, so that polling is cheap."""
        revision = self._store.revision(COLLECTION)  # read first: what changes meanwhile is then read again next time
        if revision != self._known[0]:
            threats = [_decode(document.data) for document in self._store.scan(COLLECTION)]
            threats.sort(key=lambda threat: (threat.detected_at, threat.id), reverse=True)
            self._known = (revision, threats)
        return self._known[1]
