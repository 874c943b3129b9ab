"""Witnesses for tests: the product's own, each in a server of its own on a free port."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from brain.audit.cosignature import Witness, WitnessKey
from brain.audit.note import Verifier
from brain.audit.settings import WitnessSettings
from brain.audit.witness_http import witnessing
from brain.audit.witness_server import WitnessService
from brain.audit.witness_store import WitnessStore


@dataclass(frozen=True)
class Running:
    """A witness that answers at `url`."""

    url: str
    key: WitnessKey

    @property
    def settings(self) -> WitnessSettings:
        return WitnessSettings(url=self.url, key=str(self.key))


def signer(number: int) -> Witness:
    return Witness(f"w{number}.example.org", Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


def service(folder: Path, log: Verifier, number: int = 1, clock: Callable[[], float] | None = None) -> WitnessService:
    store = WitnessStore(folder / f"witness-{number}.db")
    return WitnessService(signer(number), store, [log], *((clock,) if clock is not None else ()))


@asynccontextmanager
async def running_witnesses(folder: Path, log: Verifier, count: int = 3) -> AsyncIterator[Sequence[Running]]:
    """Witnesses of this log inside the block. Entered again with the same folder, they remember what they signed."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(1, count + 1):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            one = service(folder, log, number)
            await stack.enter_async_context(witnessing(one, listener))
            found.append(Running(f"http://127.0.0.1:{listener.getsockname()[1]}", one.witness.key))
        yield found
