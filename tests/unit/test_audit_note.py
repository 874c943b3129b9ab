"""Signed notes, checkpoints and keys, in the forms that C2SP's signed-note and tlog-checkpoint give."""

from __future__ import annotations

import stat
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from brain.audit.checkpoint import Checkpoint
from brain.audit.keys import load_keys, load_or_make_key
from brain.audit.note import BadNote, Signer, Verifier
from brain.errors import InvalidInput, NotFound, Unavailable
from support.audit import KEY, ORIGIN

SIGNER = Signer(ORIGIN, KEY)
CHECKPOINT = Checkpoint(ORIGIN, 12, bytes(range(32)))
NOTE = SIGNER.sign(CHECKPOINT.text())


def test_a_checkpoint_is_written_as_the_format_says() -> None:
    text, blank, line = NOTE.decode().rpartition("\n\n")
    assert text == f"{ORIGIN}\n12\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    assert blank
    dash, name, signature = line.rstrip("\n").split(" ")
    assert (dash, name) == ("—", ORIGIN)
    assert line.endswith("\n")
    assert len(signature) == 4 * ((4 + 64 + 2) // 3)
    assert Checkpoint.open(NOTE, SIGNER.verifier) == CHECKPOINT


def test_a_public_key_of_another_tool_is_read() -> None:
    # The key of Go's checksum database, as its documentation has it.
    text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    key = Verifier.parse(text)
    assert (key.name, key.id.hex(), str(key)) == ("sum.golang.org", "033de0ae", text)


def test_a_public_key_survives_being_written_down() -> None:
    assert Verifier.parse(f" {SIGNER.verifier}\n") == SIGNER.verifier


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "public key"),
        ("name", "brain audit key"),
        ("name+00000000", "brain audit key"),
        ("name+00000000+!!!", "no Ed25519 key"),
        ("name+00000000+" + b64encode(b"\x02" + bytes(32)).decode(), "no Ed25519 key"),
        ("name+00000000+" + b64encode(b"\x01" + bytes(31)).decode(), "no Ed25519 key"),
        (str(SIGNER.verifier).replace(ORIGIN, "example.com/other"), "altered"),
        ("two words+00000000+" + b64encode(b"\x01" + bytes(32)).decode(), "origin"),
    ],
)
def test_a_public_key_that_is_none(text: str, fault: str) -> None:
    with pytest.raises(InvalidInput, match=fault):
        Verifier.parse(text)


def test_other_signatures_are_passed_over() -> None:
    other = Signer("example.com/witness", Ed25519PrivateKey.generate())
    line = other.sign(CHECKPOINT.text()).decode().rpartition("\n\n")[2]
    both = NOTE + line.encode()
    assert Checkpoint.open(both, SIGNER.verifier) == CHECKPOINT
    assert Checkpoint.parse(other.verifier.open(both)) == CHECKPOINT
    with pytest.raises(BadNote, match="is of the log"):
        Checkpoint.open(both, other.verifier)


def test_a_signature_by_a_key_of_the_same_name_does_not_count() -> None:
    impostor = Signer(ORIGIN, Ed25519PrivateKey.generate())
    with pytest.raises(BadNote, match="none is by the key"):
        Checkpoint.open(impostor.sign(CHECKPOINT.text()), SIGNER.verifier)


def test_no_single_bit_can_be_changed() -> None:
    for place in range(len(NOTE)):
        for bit in range(8):
            altered = bytearray(NOTE)
            altered[place] ^= 1 << bit
            with pytest.raises(BadNote):
                Checkpoint.open(bytes(altered), SIGNER.verifier)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"text\n",
        NOTE[:-1],
        NOTE.replace("—".encode(), b"-"),
        NOTE.rpartition(b"\n\n")[0] + b"\n\n",
        NOTE.replace(b"12\n", b"12\r\n"),
        NOTE + b"x" * (1 << 16),
        b"\xff" + NOTE,
    ],
)
def test_what_is_no_note(note: bytes) -> None:
    with pytest.raises(BadNote):
        SIGNER.verifier.open(note)


@pytest.mark.parametrize(
    "text",
    [
        "name\n1\n",
        "name\n01\n" + b64encode(bytes(32)).decode() + "\n",
        "name\n-1\n" + b64encode(bytes(32)).decode() + "\n",
        "name\n1\n" + b64encode(bytes(31)).decode() + "\n",
        "name\n1\nnot base64\n",
        "\n1\n" + b64encode(bytes(32)).decode() + "\n",
        "name\n1\n" + b64encode(bytes(32)).decode() + "\n\nextension\n",
        "name\n1\n" + b64encode(bytes(32)).decode(),
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(BadNote):
        Checkpoint.parse(text)


def test_extension_lines_are_passed_over() -> None:
    assert Checkpoint.parse(CHECKPOINT.text() + "an extension\n") == CHECKPOINT


@pytest.mark.parametrize("name", ["", "two words", "with+plus", "line\nbreak", "no\u00a0space", "bell\x07"])
def test_names_that_no_key_can_have(name: str) -> None:
    with pytest.raises(InvalidInput):
        Signer(name, KEY)


def test_a_derived_secret_is_bound_to_key_name_and_purpose() -> None:
    secrets = {
        SIGNER.seal_secret(),
        Signer(ORIGIN, KEY, None, bytes(32)).seal_secret(),
        Signer("other", KEY).seal_secret(),
        Signer(ORIGIN, Ed25519PrivateKey.generate()).seal_secret(),
    }
    assert len(secrets) == 4
    assert SIGNER.seal_secret() in secrets


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "audit.key"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(load_or_make_key, [path] * 8))
    assert len({key.private_bytes_raw() for key in keys}) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["audit.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "audit.key"
    load_or_make_key(path)
    path.chmod(mode)
    with pytest.raises(InvalidInput, match=f"mode {mode:04o}.*chmod 600"):
        load_or_make_key(path)


def test_files_that_hold_no_key(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    with pytest.raises(NotFound):
        load_keys(path)
    path.write_text("not PEM")
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match="PEM"):
        load_or_make_key(path)
    other = generate_private_key(SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(InvalidInput, match="Ed25519"):
        load_or_make_key(path)
    with pytest.raises(Unavailable, match="cannot be read"):
        load_or_make_key(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="cannot be"):
        load_or_make_key(tmp_path / "file" / "audit.key")
