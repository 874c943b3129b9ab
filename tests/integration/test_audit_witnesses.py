"""The keys of the audit log: rotated, signed by witnesses, and verified without the log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from brain.audit import proofs
from brain.audit.checkpoint import Checkpoint
from brain.audit.cosignature import Quorum, WitnessKey, signed_by
from brain.audit.handover import Handover
from brain.audit.keys import load_keys
from brain.audit.merkle import BadProof
from brain.audit.note import BadNote, Signer, Verifier
from brain.audit.open import key_path, open_key, open_projector
from brain.audit.repository import log_keychain, require_checkpoint
from brain.audit.rotation import retire, rotate
from brain.audit.settings import AuditSettings
from brain.audit.verify import verify
from brain.audit.witness_client import NotSigned, cosign
from brain.audit.witnessing import have_signed, states
from brain.errors import Conflict, InvalidInput
from brain.kit.database import open_database, reading
from support.audit import append, denial, records
from support.command import Command, start
from support.waiting import until
from support.witnesses import Running, running_witnesses, signer


class Log:
    """An audit log in a folder, as a server keeps it."""

    def __init__(self, folder: Path, name: str = "brain-consumers.db") -> None:
        self.database = open_database(f"sqlite:///{folder / name}")
        self.settings = AuditSettings()
        self.size = 0
        self.projector = open_projector(self.database, self.settings)
        self.first = self.projector.signer.verifier

    def use(self, witnesses: Sequence[Running], quorum: int) -> None:
        self.settings = AuditSettings(witnesses=tuple(one.settings for one in witnesses), quorum=quorum)

    def grow(self, count: int) -> None:
        append(self.database, self.projector, records(self.size, count))
        self.size += count

    async def rotate(self) -> Verifier:
        done = await rotate(self.database, self.settings, self.key_file, 1_800_000_000.0)
        return done.handover.new

    @property
    def key_file(self) -> Path:
        return key_path(self.database, self.settings)

    def note(self) -> bytes:
        with reading(self.database).connect() as connection:
            return require_checkpoint(connection)

    def proof(self, number: int) -> bytes:
        return proofs.encode(proofs.prove(self.database, denial(number).id, self.settings.quorum))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    made = Log(tmp_path)
    made.grow(20)
    return made


async def test_a_log_rotated_five_times_under_three_witnesses_verifies_offline(
    brain: Command, log: Log, tmp_path: Path
) -> None:
    async with running_witnesses(tmp_path, log.first) as witnesses:
        log.use(witnesses, 2)
        assert await have_signed(log.database, log.settings) == 3
        keys = [log.first]
        for _ in range(5):
            keys.append(await log.rotate())
            log.grow(7)
            assert await have_signed(log.database, log.settings) == 3
            assert await retire(log.database, log.settings, log.key_file) == 1
            log.grow(1)
        assert await have_signed(log.database, log.settings) == 3
    assert len(set(keys)) == 6
    assert [state.size for state in states(log.database, log.settings)] == [log.size] * 3
    assert verify(log.database, open_key(log.database, log.settings)).ok
    assert verify(log.database, keys[0]).ok

    (tmp_path / "proof.json").write_bytes(log.proof(3))
    (tmp_path / "key").write_text(str(keys[0]))
    told = [text for one in witnesses for text in ("--witness", str(one.key))]
    proven = brain("audit", "verify-proof", "proof.json", "--key", "key", *told, "--quorum", "2", "--json")
    assert proven.code == 0, proven.err
    assert (proven.json["index"], proven.json["size"], proven.json["keys"]) == (3, log.size, 6)
    assert sorted(proven.json["witnesses"]) == sorted(one.key.name for one in witnesses)
    quorum = Quorum(tuple(one.key for one in witnesses), 3)
    for number, key in enumerate(keys):  # whoever pinned a later key begins there
        assert proofs.check(log.proof(3), key, quorum).keys == 6 - number

    stranger = signer(9).key
    refused = brain("audit", "verify-proof", "proof.json", "--key", "key", *told[:2], "-w", str(stranger))
    assert refused.code == 1
    assert "1 of them signed the checkpoint, 2 are needed; not: w9.example.org" in refused.err


async def test_a_log_that_was_rolled_back_gets_no_signature(log: Log, tmp_path: Path) -> None:
    async with running_witnesses(tmp_path, log.first) as witnesses:
        log.use(witnesses, 2)
        copy = sa.create_engine(f"sqlite:///{tmp_path / 'copy.db'}")
        with log.database.connect() as source, copy.connect() as target:
            source.connection.backup(target.connection.driver_connection)  # type: ignore[union-attr]
        log.grow(10)
        assert await have_signed(log.database, log.settings) == 3
        with log.database.connect() as target, copy.connect() as source:
            source.connection.backup(target.connection.driver_connection)  # type: ignore[union-attr]
        copy.dispose()
        log.key_file.with_suffix(".checkpoint").unlink()

        rolled = Log(tmp_path)
        rolled.use(witnesses, 2)
        rolled.size = 20
        assert await have_signed(rolled.database, rolled.settings) == 0  # shorter than what was signed
        rolled.size = 100
        rolled.grow(10)  # another history of the same length
        assert await have_signed(rolled.database, rolled.settings) == 0
        rolled.grow(10)  # and a longer one
        assert await have_signed(rolled.database, rolled.settings) == 0
        with pytest.raises(NotSigned, match="quorum of 2"):
            await rolled.rotate()
        for state in states(rolled.database, rolled.settings):
            assert state.failures == 3
            assert "422" in str(state.failure)
    key, quorum = rolled.first, Quorum(tuple(one.key for one in witnesses), 2)
    with pytest.raises(BadNote, match="0 of them signed"):
        proofs.check(rolled.proof(3), key, quorum)
    assert proofs.check(rolled.proof(3), key).size == 40  # without witnesses nothing tells it


async def test_witnesses_remember_across_restarts(log: Log, tmp_path: Path) -> None:
    async with running_witnesses(tmp_path, log.first, 1) as witnesses:
        log.use(witnesses, 1)
        assert await have_signed(log.database, log.settings) == 1
        assert await have_signed(log.database, log.settings) is None  # nothing new
        signed = log.note()
    log.grow(5)
    async with running_witnesses(tmp_path, log.first, 1) as witnesses, httpx.AsyncClient() as client:
        url = witnesses[0].url
        body = b"old 0\n\n" + log.projector.signer.sign(Checkpoint(log.first.name, 3, bytes(32)).text())
        answer = await client.post(f"{url}/add-checkpoint", content=body)
        assert (answer.status_code, answer.text, answer.headers["content-type"]) == (409, "20\n", "text/x.tlog.size")
        log.use(witnesses, 1)
        assert await have_signed(log.database, log.settings) == 1
        name = sha256(log.first.name.encode()).hexdigest()
        last = await client.get(f"{url}/{name}/checkpoint")
        assert Checkpoint.open(last.content, log.first).size == 25
        assert witnesses[0].key.signed_at(last.content) is not None
        assert (await client.get(f"{url}/{'0' * 64}/checkpoint")).status_code == 404
        assert WitnessKey.parse((await client.get(f"{url}/")).text) == witnesses[0].key
    assert Checkpoint.open(signed, log.first).size == 20


async def test_a_witness_that_is_away_stops_nothing(log: Log, tmp_path: Path) -> None:
    async with running_witnesses(tmp_path, log.first, 2) as witnesses:
        log.use(witnesses, 1)
    async with running_witnesses(tmp_path, log.first, 1) as (here,):
        away = witnesses[1]
        log.use([here, away], 1)
        assert await have_signed(log.database, log.settings) == 1
        await log.rotate()
        log.grow(3)
        assert await have_signed(log.database, log.settings) == 1
        with pytest.raises(NotSigned, match=r"not retired.*w2\.example\.org"):
            await retire(log.database, log.settings, log.key_file)
        log.use([here, away], 2)
        with pytest.raises(NotSigned, match="fewer witnesses than the quorum of 2"):
            await log.rotate()
    assert len(load_keys(log.key_file).keys) == 3  # the next attempt takes the new one that is there
    found = {state.name: state for state in states(log.database, log.settings)}
    assert "cannot be asked" in str(found["w2.example.org"].failure)
    log.use([here, away], 1)
    assert proofs.check(log.proof(3), log.first, Quorum((here.key,), 1)).keys == 2
    log.grow(3)
    assert verify(log.database, open_key(log.database, log.settings)).ok


async def test_a_key_that_was_given_up_names_no_other_heir(log: Log, tmp_path: Path) -> None:
    stolen = load_keys(log.key_file).keys[0]
    async with running_witnesses(tmp_path, log.first, 2) as witnesses:
        log.use(witnesses, 2)
        await log.rotate()
        log.grow(3)
        assert await have_signed(log.database, log.settings) == 2
        genuine = log.proof(3)
        thief, chain = Signer(log.first.name, stolen), log_keychain(log.database)
        evil = Signer(log.first.name, Ed25519PrivateKey.generate())
        forged = Handover.sign(chain.handovers[0].checkpoint, thief, evil)
        log.use(witnesses, 0)
        later = Handover.sign(chain.open(log.note()), thief, evil)
        async with httpx.AsyncClient() as client:
            with pytest.raises(NotSigned, match="403"):
                await cosign(client, witnesses[0].url, witnesses[0].key, later.note, 23, lambda old: [])
    proof = json.loads(genuine)
    proof["handovers"][0]["note"] = forged.note.decode()
    lines = proof["checkpoint"].split("\n\n")[1].splitlines(keepends=True)
    text = proof["checkpoint"].split("\n\n")[0] + "\n"
    proof["checkpoint"] = evil.sign(text).decode() + "".join(lines[2:])
    quorum = Quorum(tuple(one.key for one in witnesses), 2)
    with pytest.raises(BadNote, match="0 of them signed"):
        proofs.check(json.dumps(proof).encode(), log.first, quorum)
    assert proofs.check(genuine, log.first, quorum).keys == 2


async def test_a_log_goes_back_to_no_key_that_it_had(log: Log, tmp_path: Path) -> None:
    first = load_keys(log.key_file).keys[0]
    async with running_witnesses(tmp_path, log.first, 1) as (witness,):
        log.use([witness], 1)
        second = await log.rotate()
        key = load_keys(log.key_file).find(second.key)
        assert key is not None
        name, checkpoint = log.first.name, log_keychain(log.database).open(log.note())
        back = Handover.sign(checkpoint, Signer(name, key), Signer(name, first))
        async with httpx.AsyncClient() as client:
            with pytest.raises(NotSigned, match=r"403 hand-over: .* had the log before"):
                await cosign(client, witness.url, witness.key, back.note, checkpoint.size, lambda old: [])
        log.grow(3)
        assert await have_signed(log.database, log.settings) == 1  # it answers as before


async def test_altered_proofs_of_rotated_logs_are_refused(log: Log, tmp_path: Path) -> None:
    async with running_witnesses(tmp_path, log.first, 2) as witnesses:
        log.use(witnesses, 2)
        await log.rotate()
        assert await retire(log.database, log.settings, log.key_file) == 1
        log.projector = open_projector(log.database, log.settings)
        log.grow(3)
        assert await have_signed(log.database, log.settings) == 2
    quorum, genuine = Quorum(tuple(one.key for one in witnesses), 2), json.loads(log.proof(3))
    assert proofs.check(json.dumps(genuine).encode(), log.first, quorum).keys == 2

    def altered(**changes: object) -> bytes:
        return json.dumps({**genuine, **changes}).encode()

    note = genuine["checkpoint"]
    handed = genuine["handovers"][0]
    wrong = handed["note"].replace("\n20\n", "\n19\n")
    for data in (
        altered(handovers=[]),
        altered(handovers=[{**handed, "note": wrong}]),
        altered(handovers=[{**handed, "hashes": ["00" * 32, *handed["hashes"][1:]]}]),
        altered(handovers=[{**handed, "hashes": []}]),
        altered(checkpoint=note[:-8] + ("AAAA" if not note.endswith("AAAA==\n") else "BBBB") + note[-4:]),
    ):
        with pytest.raises((BadNote, BadProof)):
            proofs.check(data, log.first, quorum)
    one = witnesses[0].key
    with pytest.raises(InvalidInput, match="twice"):
        Quorum((one, WitnessKey("another.example.org", one.key)), 2)
    with pytest.raises(InvalidInput, match="ask for 0 to 1"):
        Quorum((one,), 2)


async def test_a_running_projector_goes_on_with_the_new_key(log: Log, tmp_path: Path) -> None:
    second = open_projector(log.database, log.settings)  # of another process
    new = await log.rotate()
    append(log.database, second, records(20, 1))
    assert second.signer.verifier == new
    assert Checkpoint.open(log.note(), log.first).size == 21  # both sign until the old one is retired
    assert Checkpoint.open(log.note(), new).size == 21
    assert await retire(log.database, log.settings, log.key_file) == 1
    third = open_projector(log.database, log.settings)
    append(log.database, third, records(21, 1))
    with pytest.raises(BadNote):
        Checkpoint.open(log.note(), log.first)
    assert verify(log.database, third.signer).ok

    whole = log.key_file.read_bytes()
    log.key_file.write_bytes(whole[: whole.index(b"-----BEGIN BRAIN")])
    with pytest.raises(Conflict, match="lacks the secret of the log's seals"):
        open_projector(log.database, log.settings)


async def test_the_commands(brain: Command, log: Log, tmp_path: Path) -> None:
    (tmp_path / "log.key").write_text(str(log.first))
    log.database.dispose()
    out, err = tmp_path / "witness.out", tmp_path / "witness.err"
    arguments = ("audit", "witness", "--name", "w.example.org", "--log", "log.key", "--port", "0", "--folder", "w")
    err.touch()
    process = start(tmp_path, arguments, out, err, {})
    try:
        await until(lambda: "http://" in err.read_text())
        url, key = err.read_text().rsplit(" ", 1)[1].strip(), out.read_text().strip()
        (tmp_path / "brain.toml").write_text(
            f'[audit]\nquorum = 1\n\n[[audit.witnesses]]\nurl = "{url}"\nkey = "{key}"\n'
        )
        rotated = brain("audit", "rotate-key", "--by", "ann", "--json")
        assert rotated.code == 0, rotated.err
        assert (rotated.json["size"], rotated.json["witnesses"]) == (20, ["w.example.org"])
        assert signed_by(rotated.json["note"].encode(), [WitnessKey.parse(key)])
        assert brain("audit", "key").out.strip() == rotated.json["new_key"]
        (state,) = brain("audit", "witnesses", "--json").json
        assert (state["name"], state["size"], state["failure"]) == ("w.example.org", 20, None)
        assert brain("audit", "retire-key").out == "1 former keys removed\n"
        assert brain("audit", "verify").code == 0
        assert brain("audit", "prove", denial(1).id, "-o", "proof.json").code == 0
        shown = brain("audit", "verify-proof", "proof.json", "--key", "log.key", "--witness", key)
        assert shown.code == 0, shown.err
        assert "signed by the witness w.example.org" in shown.out
    finally:
        process.terminate()
        process.join(20)
    assert process.exitcode == 0
    refused = brain("audit", "witness", "--name", "x", "--log", "bad")
    assert (refused.code, "public key: 'bad' is not one" in refused.err) == (2, True)
