"""Witnesses' signatures, in the form of C2SP tlog-cosignature, and what a witness signs."""

from __future__ import annotations

from base64 import b64encode
from http import HTTPStatus
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from brain.audit.checkpoint import Checkpoint
from brain.audit.cosignature import AHEAD, Quorum, WitnessKey, signed_by
from brain.audit.handover import Handover, Keychain
from brain.audit.merkle import Frontier, consistency_proof, leaf_hash, root_of
from brain.audit.note import BadNote, Signer, Verifier
from brain.audit.witness_server import NotWitnessed
from brain.errors import InvalidInput
from support.audit import KEY, ORIGIN
from support.clock import Clock
from support.witnesses import service, signer

SIGNER = Signer(ORIGIN, KEY)
CHECKPOINT = Checkpoint(ORIGIN, 12, bytes(range(32)))
NOTE = SIGNER.sign(CHECKPOINT.text())
LEAVES = [leaf_hash(bytes([number])) for number in range(40)]

# What a witness of another make (aics-witness 0.1.0) answered for NOTE, and its public key.
OTHER = WitnessKey.parse("w1.example.org+9fae5264+BLISCjVFKt48no2oCaOiuWp5XgPjALPtnB/aFpKV6obD")
OTHER_LINE = (
    "— w1.example.org n65SZAAAAABrDatRi9sjR5nJdp7e3GYIq5+Ana2gdS5LeJZJF0EmglCdpCB9yqbU90ba2uZOgvpEQsMyeWIK"
    "E0Inszu89MGielHaDQ==\n"
).encode()


def test_a_cosignature_of_another_witness_is_read() -> None:
    assert str(OTHER) == "w1.example.org+9fae5264+BLISCjVFKt48no2oCaOiuWp5XgPjALPtnB/aFpKV6obD"
    both = NOTE + OTHER_LINE + signer(2).line(NOTE, 1_800_000_000)
    assert signed_by(both, [OTHER, signer(2).key, signer(3).key]) == {
        "w1.example.org": 1796057937,
        "w2.example.org": 1_800_000_000,
    }
    assert Checkpoint.open(both, SIGNER.verifier) == CHECKPOINT
    for altered in (both.replace(b"\n12\n", b"\n13\n"), both.replace(b"n65SZAAAAABrDatR", b"n65SZAAAAABrDatS")):
        with pytest.raises(BadNote, match="does not verify"):
            OTHER.signed_at(altered)


def test_a_quorum_counts_witnesses_and_not_lines() -> None:
    clock = Clock()
    now = int(clock())
    note = NOTE + signer(1).line(NOTE, now) + signer(1).line(NOTE, now - 5) + signer(2).line(NOTE, now + 2 * AHEAD)
    keys = tuple(signer(number).key for number in (1, 2, 3))
    assert Quorum(keys, 1).check(note, clock) == {"w1.example.org": now}
    with pytest.raises(BadNote, match=r"1 of them signed the checkpoint, 2 are needed; not: w2\S+, w3"):
        Quorum(keys, 2).check(note, clock)
    assert Quorum().check(NOTE, clock) == {}
    for witnesses, needed in (((keys[0], keys[0]), 1), (keys, 4), (keys, -1)):
        with pytest.raises(InvalidInput):
            Quorum(witnesses, needed)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "witness key"),
        ("w+00000000+!!!", "is not one"),
        (str(SIGNER.verifier), "no Ed25519 key of a witness"),
        ("w+00000000+" + b64encode(b"\x04" + bytes(31)).decode(), "no Ed25519 key of a witness"),
        (str(OTHER).replace("w1", "w2"), "altered"),
    ],
)
def test_keys_of_witnesses_that_are_none(text: str, fault: str) -> None:
    with pytest.raises(InvalidInput, match=fault):
        WitnessKey.parse(text)


def test_the_key_of_a_witness_is_no_key_of_a_log() -> None:
    with pytest.raises(InvalidInput, match="is the key of a witness; give it with --witness"):
        Verifier.parse(str(OTHER))


def note_of(size: int, by: Signer = SIGNER, leaves: list[bytes] = LEAVES) -> bytes:
    return by.sign(Checkpoint(by.verifier.name, size, root_of(leaves[:size])).text())


def body(old: int, size: int, note: bytes | None = None, proof: list[bytes] | None = None) -> bytes:
    if proof is None:
        proof = consistency_proof(old, size, node) if 0 < old < size else []
    lines = [f"old {old}", *(b64encode(value).decode() for value in proof), "", ""]
    return "\n".join(lines).encode() + (note or note_of(size))


def node(level: int, index: int) -> bytes:
    return root_of(LEAVES[index << level : (index + 1) << level])


def test_a_witness_signs_what_continues(tmp_path: Path) -> None:
    clock = Clock()
    witness = service(tmp_path, SIGNER.verifier, clock=clock)
    for old, size in ((0, 5), (5, 5), (5, 6), (6, 33), (33, 40)):
        line = witness.add_checkpoint(body(old, size))
        assert witness.witness.key.signed_at(note_of(size) + line) == int(clock())
    again = service(tmp_path, SIGNER.verifier)  # it remembers
    assert again.add_checkpoint(body(40, 40))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"old x\n\n" + NOTE, 400),
        (b"old 05\n\n" + NOTE, 400),
        (b"old 5\nAAAA\n\n" + note_of(6), 400),
        (body(5, 6, note=b"no note"), 400),
        (body(5, 6, proof=[bytes(32)] * 64), 400),
        (body(7, 6), 400),
        (body(5, 6, note=note_of(6, Signer("example.com/unknown", KEY))), 404),
        (body(5, 6, note=note_of(6).replace(b"\n6\n", b"\n7\n")), 403),
        (body(4, 6), 409),
        (body(0, 5), 409),
        (body(5, 6, proof=[bytes(32)]), 422),
        (body(5, 6, proof=[]), 422),
        (body(5, 5, note=note_of(5, leaves=LEAVES[::-1])), 422),
        (body(5, 6, note=note_of(6, leaves=LEAVES[::-1])), 422),
    ],
)
def test_a_witness_refuses_what_does_not(tmp_path: Path, data: bytes, status: int) -> None:
    witness = service(tmp_path, SIGNER.verifier)
    witness.add_checkpoint(body(0, 5))
    with pytest.raises(NotWitnessed) as refused:
        witness.add_checkpoint(data)
    assert refused.value.status == status
    if status == HTTPStatus.CONFLICT:
        assert (refused.value.body, refused.value.media_type) == ("5\n", "text/x.tlog.size")
    assert witness.add_checkpoint(body(5, 6))  # nothing has changed


def handed(old: Signer, new: Signer, size: int) -> Handover:
    return Handover.sign(Checkpoint(ORIGIN, size, root_of(LEAVES[:size])), old, new)


def keys(count: int) -> list[Signer]:
    return [Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([100 + n]) * 32)) for n in range(count)]


def test_a_witness_follows_hand_overs(tmp_path: Path) -> None:
    first, second, third = keys(3)
    witness = service(tmp_path, first.verifier)
    witness.add_checkpoint(body(0, 5, note_of(5, first)))
    witness.add_checkpoint(body(5, 5, handed(first, second, 5).note))
    witness.add_checkpoint(body(5, 6, note_of(6, first)))  # the hand-over may not have been stored
    witness.add_checkpoint(body(6, 6, handed(first, second, 6).note))
    witness.add_checkpoint(body(6, 7, note_of(7, second)))  # now it has
    for note in (note_of(8, first), handed(first, third, 8).note):
        with pytest.raises(NotWitnessed) as refused:
            witness.add_checkpoint(body(7, 8, note))
        assert refused.value.status == HTTPStatus.FORBIDDEN
    again = service(tmp_path, first.verifier)
    again.add_checkpoint(body(7, 8, handed(second, third, 8).note))
    again.add_checkpoint(body(8, 9, note_of(9, third)))


def test_a_chain_of_keys() -> None:
    first, second, third = keys(3)
    notes = [handed(first, second, 5).note, handed(second, third, 9).note]
    chain = Keychain.follow(first.verifier, notes)
    assert (chain.current, chain.name) == (third.verifier, ORIGIN)
    for size, by in ((4, first), (5, first), (6, second), (9, second), (10, third)):
        assert chain.open(note_of(size, by)).size == size
        for other in {first, second, third} - {by}:
            with pytest.raises(BadNote):
                chain.open(note_of(size, other))
    assert len(Keychain.follow(second.verifier, notes).handovers) == 1
    assert Keychain.follow(third.verifier, notes).handovers == ()
    backwards = [handed(first, second, 9).note, handed(second, third, 5).note]
    with pytest.raises(BadNote, match="smaller log"):
        Keychain.follow(first.verifier, backwards)


def test_hand_overs_that_are_none() -> None:
    first, second, third = keys(3)
    good = handed(first, second, 5).note
    lines = good.split(b"\n\n")[1].splitlines(keepends=True)
    text = good.split(b"\n\n")[0] + b"\n\n"
    for note, fault in (
        (note_of(5, first), "needs one line"),
        (text + lines[0], "none is by the key"),
        (text + lines[1], "none is by the key"),
        (good.replace(str(second.verifier).encode(), str(third.verifier).encode()), "none is by the key|altered"),
        (good.replace(b"\n5\n", b"\n6\n"), "altered"),
        (good.replace(str(second.verifier).encode(), b"nobody"), "hand-over"),
    ):
        with pytest.raises(BadNote, match=fault):
            Handover.open(note)
    with pytest.raises(BadNote, match="same key"):
        handed(first, first, 5)
    with pytest.raises(BadNote, match="without entries"):
        Handover.sign(Checkpoint(ORIGIN, 0, Frontier().root()), first, second)
