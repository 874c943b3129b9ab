"""The keys as one server knows them: in memory, so that a request needs no store, and read again when they change."""

from __future__ import annotations

import time
from collections.abc import Callable

from brain.access.key_form import digest_of, is_well_formed
from brain.access.models import Key, Role
from brain.access.repository import COLLECTION, read_keys
from brain.access.uses import Uses
from brain.charter.principal import SHARED_KEY
from brain.server.following import Following
from brain.store import START, Mark, Store

FROM_SETTINGS = SHARED_KEY
"""The name of the key in the settings, which is an administrator's."""


class KnownKeys:
    """All keys by the digests that they have and had. `clock` gives Unix seconds."""

    def __init__(self, store: Store | None, api_key: str | None, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._store = store
        self._mark: Mark = START
        self._own: dict[str, Key] = {}
        if api_key is not None:
            digest = digest_of(api_key)
            self._own[digest] = Key(
                name=FROM_SETTINGS, kind="service", role=Role.ADMIN, digest=digest, begins="", created_at=0.0
            )
        self._by_digest = dict(self._own)
        self.uses: Uses = Uses(store, clock)
        self.following: Following = Following("keys and agents", self.refresh)

    @property
    def guarded(self) -> bool:
        """Whether requests need a key: there is one, or was one."""
        return bool(self._by_digest)

    def find(self, digest: str) -> Key | None:
        """The key with this digest, be it over or not."""
        return self._by_digest.get(digest)

    def by_sign(self, sign: str) -> str | None:
        """The digest that begins so."""
        return next((digest for digest in self._by_digest if digest.startswith(sign)), None)

    def refresh(self) -> None:
        """Write when keys were used, and read the keys again if they have changed. Blocks. Raises Unavailable."""
        self.uses.flush()
        if self._store is None or self._store.mark(COLLECTION) == self._mark:
            return
        read = self._store.read(COLLECTION)
        found = dict(self._own)
        for key in read_keys(read.documents):
            found |= {former.digest: key for former in key.former}
            found[key.digest] = key
        self._by_digest, self._mark = found, read.mark

    async def token(self, token: str) -> tuple[str, Key | None]:
        """The digest of a token, and its key; one that is not known is looked for in the store."""
        digest = digest_of(token)
        found = self._by_digest.get(digest)
        if found is None and is_well_formed(token):
            await self.following.look()
            found = self._by_digest.get(digest)
        return digest, found
