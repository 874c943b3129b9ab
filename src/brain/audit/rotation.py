"""Rotates the log's key: a new key, and a hand-over to it that both keys and the witnesses sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, func, insert, select

from brain.audit.handover import Handover, Keychain
from brain.audit.keys import LogKeys, add_key, changing_keys, drop_former_keys, load_keys
from brain.audit.note import Signer
from brain.audit.repository import log_keychain, newest_checkpoint, require_checkpoint
from brain.audit.settings import AuditSettings
from brain.audit.tables import checkpoints, handovers
from brain.audit.witness_client import NotSigned, WitnessAhead
from brain.audit.witnessing import Answer, ask_all, have_signed, keep, with_lines
from brain.errors import Conflict
from brain.kit.database import reachable, reading

_ATTEMPTS = 5
"""How often the log may grow between the hand-over and its storing."""


@dataclass(frozen=True)
class Rotated:
    """A key that gave the log to the next."""

    handover: Handover
    signed: Sequence[str]
    """The witnesses that signed the hand-over."""


async def rotate(database: Engine, settings: AuditSettings, path: Path, now: float) -> Rotated:
    """Give the log to a new key, which is put first into the file at `path`.

    Servers that append take the new key with their next batch. Until the one before it is retired, both sign.
    Raises Conflict when the log's key is not in the file or another rotation runs, NotFound for a log without entries,
    and NotSigned when fewer witnesses than `quorum` sign the hand-over: then the old key goes on.
    """
    with changing_keys(path):
        chain = log_keychain(database)
        keys, new = add_key(path, chain)
        for _ in range(_ATTEMPTS):
            handover = _prepare(database, chain, keys, new, path)
            answers = await ask_all(database, settings, handover.note)
            signed = [answer.witness.name for answer in answers if answer.line is not None]
            if len(signed) < settings.quorum:
                if any(isinstance(answer.problem, WitnessAhead) for answer in answers):
                    continue  # the log has grown, and a witness signed that; the next hand-over is later
                raise _too_few(answers, settings.quorum)
            witnessed = Handover.open(with_lines(handover.note, answers))
            if _store(database, len(chain.handovers), witnessed):
                keep(database, handover.note, answers, now)
                return Rotated(witnessed, signed)
        raise Conflict("audit key: the log grows too quickly to be handed over now; the old key goes on; try again")


async def retire(database: Engine, settings: AuditSettings, path: Path) -> int:
    """Remove the keys before the current one from the file; how many there were.

    Before that, every witness must have signed the newest checkpoint of the new key. Raises NotSigned, naming those
    that did not, and what `rotate` raises.
    """
    with changing_keys(path):
        chain = log_keychain(database)
        await have_signed(database, settings)
        note = _signed_by_new_key(database, chain, path)
        answers = await ask_all(database, settings, note)
        refused = [str(answer.problem) for answer in answers if answer.problem is not None]
        if refused:
            raise NotSigned(f"audit key: not retired, as these witnesses do not take the new key: {'; '.join(refused)}")
        return drop_former_keys(path, chain)


def _signed_by_new_key(database: Engine, chain: Keychain, path: Path) -> bytes:
    """The newest checkpoint, signed by the new key alone."""
    key = load_keys(path).find(chain.current.key)
    with reachable(database), reading(database).connect() as connection:
        checkpoint = chain.open(require_checkpoint(connection))
    if key is None:
        raise Conflict(f"audit key: the key {chain.current.id.hex()} is not in {path}")
    return Signer(chain.name, key).sign(checkpoint.text())


def _prepare(database: Engine, chain: Keychain, keys: LogKeys, new: Signer, path: Path) -> Handover:
    with reachable(database), reading(database).connect() as connection:
        checkpoint = chain.open(require_checkpoint(connection))
    current = keys.find(chain.current.key)
    if current is None:
        raise Conflict(f"audit key: the key {chain.current.id.hex()} is not in {path}")
    return Handover.sign(checkpoint, Signer(chain.name, current), new)


def _store(database: Engine, number: int, handover: Handover) -> bool:
    """Store the hand-over, unless the log has grown since; no batch is appended between the look and the storing."""
    size = handover.checkpoint.size
    with reachable(database), database.begin() as connection:
        newest_checkpoint(connection, locked=True)
        if connection.scalar(select(func.max(checkpoints.c.size))) != size:
            return False
        if connection.scalar(select(func.count()).select_from(handovers)) != number:
            raise Conflict("audit key: another process has rotated it meanwhile")
        connection.execute(insert(handovers), {"number": number, "note": handover.note})
    return True


def _too_few(answers: Sequence[Answer], quorum: int) -> NotSigned:
    problems = "; ".join(str(answer.problem) for answer in answers if answer.problem is not None)
    return NotSigned(
        f"audit key: not rotated, as fewer witnesses than the quorum of {quorum} sign the hand-over: {problems}"
    )
