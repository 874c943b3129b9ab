"""Has the log's checkpoints signed by witnesses, and keeps their signatures."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import httpx
from sqlalchemy import Connection, Engine, delete, func, select

from brain.audit.checkpoint import Checkpoint
from brain.audit.cosignature import WitnessKey
from brain.audit.merkle import consistency_proof
from brain.audit.note import split_note
from brain.audit.repository import newest_checkpoint
from brain.audit.settings import AuditSettings, WitnessSettings
from brain.audit.tables import witnessed, witnesses
from brain.audit.tree import StoredTree
from brain.audit.witness_client import NotSigned, cosign
from brain.kit.database import reading
from brain.kit.database_threads import for_tasks
from brain.kit.sql import upsert
from brain.logs import Log

log: Log = Log("brain.audit")

KEPT = 1000
"""How many checkpoints with signatures of witnesses are kept."""


@dataclass(frozen=True)
class WitnessState:
    """What is known of one witness."""

    name: str
    size: int
    """How many entries it signed for last."""
    signed_at: float | None
    """When that was, in Unix seconds; None before the first time."""
    failures: int
    """How often it could not be asked, or did not sign."""
    failure: str | None
    """What went wrong since it signed last; None when nothing did."""


@dataclass(frozen=True)
class Answer:
    """A witness's line, or why there is none."""

    witness: WitnessKey
    line: bytes | None
    problem: NotSigned | None


async def ask_all(database: Engine, settings: AuditSettings, note: bytes) -> Sequence[Answer]:
    """Ask all witnesses to sign the note, beside each other. What they answer is not stored."""
    sizes = await for_tasks(database, _sizes, database)
    async with httpx.AsyncClient(trust_env=False, verify=_tls()) as client:

        async def ask(one: WitnessSettings) -> Answer:
            witness = WitnessKey.parse(one.key)
            try:
                old = sizes.get(str(witness), 0)
                proof = await for_tasks(database, _prover, database, note, old)
                line = await cosign(client, one.url, witness, note, old, proof)
            except NotSigned as problem:
                return Answer(witness, None, problem)
            return Answer(witness, line, None)

        return await asyncio.gather(*(ask(one) for one in settings.witnesses))


async def have_signed(database: Engine, settings: AuditSettings, clock: Callable[[], float] = time.time) -> int | None:
    """Have the newest checkpoint signed, and keep that; how many witnesses signed, None where there is nothing new."""
    note = await for_tasks(database, _unsigned, database, len(settings.witnesses))
    if note is None:
        return None
    answers = await ask_all(database, settings, note)
    for answer in answers:
        if answer.problem is not None:
            log.warning("a witness did not sign a checkpoint", error=str(answer.problem))
    await for_tasks(database, keep, database, note, answers, clock())
    return sum(answer.line is not None for answer in answers)


@cache
def _tls() -> ssl.SSLContext:
    """The certificates that are trusted, read once: that takes longer than a witness does."""
    return httpx.create_ssl_context()


def with_lines(note: bytes, answers: Sequence[Answer]) -> bytes:
    """The note with the signatures of those witnesses that gave one."""
    return note + b"".join(answer.line for answer in answers if answer.line is not None)


def keep(database: Engine, note: bytes, answers: Sequence[Answer], now: float) -> None:
    """Store what the witnesses answered for this note of the log."""
    size = Checkpoint.parse(split_note(note)[0]).size
    signed = [answer for answer in answers if answer.line is not None]
    with database.begin() as connection:
        for answer in answers:
            _keep_state(connection, answer, size, now)
        if signed:
            before = connection.scalar(select(witnessed.c.signatures).where(witnessed.c.size == size)) or 0
            if len(signed) >= before:
                row = {"size": size, "note": with_lines(note, signed), "signatures": len(signed)}
                upsert(connection, witnessed, [row])
        oldest = connection.scalar(select(witnessed.c.size).order_by(witnessed.c.size.desc()).offset(KEPT).limit(1))
        if oldest is not None:
            connection.execute(delete(witnessed).where(witnessed.c.size <= oldest))


def states(database: Engine, settings: AuditSettings) -> list[WitnessState]:
    """What is known of each witness of the settings."""
    with reading(database).connect() as connection:
        rows = {row.key: row for row in connection.execute(select(witnesses))}
    found = []
    for key in settings.witness_keys():
        row = rows.get(str(key))
        if row is None:
            found.append(WitnessState(key.name, 0, None, 0, None))
        else:
            found.append(WitnessState(key.name, row.size, row.signed_at, row.failures, row.failure))
    return found


def _keep_state(connection: Connection, answer: Answer, size: int, now: float) -> None:
    key = str(answer.witness)
    row = connection.execute(select(witnesses).where(witnesses.c.key == key)).one_or_none()
    values = {"key": key, "size": 0, "signed_at": None, "failures": 0} | (dict(row._mapping) if row is not None else {})
    if answer.problem is None:
        values |= {"size": size, "signed_at": now, "failure": None}
    else:
        values |= {"failures": values["failures"] + 1, "failure": str(answer.problem)}
    upsert(connection, witnesses, [values])


def _sizes(database: Engine) -> dict[str, int]:
    with reading(database).connect() as connection:
        return {row.key: row.size for row in connection.execute(select(witnesses.c.key, witnesses.c.size))}


def _unsigned(database: Engine, wanted: int) -> bytes | None:
    """The newest checkpoint, unless so many witnesses have signed one of its size."""
    with reading(database).connect() as connection:
        note = newest_checkpoint(connection)
        if note is None:
            return None
        size = Checkpoint.parse(split_note(note)[0]).size
        signed = connection.scalar(select(func.max(witnessed.c.signatures)).where(witnessed.c.size == size)) or 0
        return note if signed < wanted else None


def _prover(database: Engine, note: bytes, likely: int) -> Callable[[int], list[bytes]]:
    """Proves that the note's tree continues older ones. The proof from the `likely` size is made here, in a thread."""
    size = Checkpoint.parse(split_note(note)[0]).size

    def prove(old: int) -> list[bytes]:
        with reading(database).connect() as connection:
            return consistency_proof(old, size, StoredTree(connection).node)

    made = {likely: prove(likely)} if 0 < likely < size else {}
    return lambda old: made[old] if old in made else prove(old)
