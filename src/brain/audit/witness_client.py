"""Asks a witness to sign a checkpoint.

Source: C2SP tlog-witness (https://c2sp.org/tlog-witness), `add-checkpoint`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence

import httpx

from brain.audit.checkpoint import Checkpoint
from brain.audit.cosignature import WitnessKey
from brain.audit.note import BadNote, split_note
from brain.errors import Unavailable
from brain.text import clip_text

SIZE_TYPE = "text/x.tlog.size"
"""The media type of an answer that says which size the witness signed last."""
SECONDS = 5.0
"""How long a witness may take to answer."""
_LONGEST = 64 << 10  # bytes of an answer

Prove = Callable[[int], Sequence[bytes]]
"""The size of an older tree to the consistency proof from it to the checkpoint's."""


class NotSigned(Unavailable):
    """A witness did not sign a checkpoint."""

    title = "A witness did not sign"


class WitnessAhead(NotSigned):
    """The witness has signed a larger tree already."""


async def cosign(
    client: httpx.AsyncClient, url: str, witness: WitnessKey, note: bytes, old: int, prove: Prove
) -> bytes:
    """The witness's signature line for the note, verified. `old` is the size that it signed last, as far as is known.

    Raises NotSigned, with what the witness said.
    """
    size = Checkpoint.parse(split_note(note)[0]).size
    answer = await _post(client, url, witness, note, old, prove)
    if answer.status_code == 409 and answer.headers.get("content-type", "").split(";")[0] == SIZE_TYPE:
        known = _size(witness, answer)
        if known > size:
            raise WitnessAhead(f"witness {witness.name}: has signed {known} entries, this checkpoint has {size}")
        if known != old:  # it knows better what it signed last
            answer = await _post(client, url, witness, note, known, prove)
    if answer.status_code != 200:
        said = clip_text(answer.text, 200).strip()
        raise NotSigned(f"witness {witness.name}: did not sign {size} entries: {answer.status_code} {said}")
    return _own_line(witness, note, answer.content)


async def _post(
    client: httpx.AsyncClient, url: str, witness: WitnessKey, note: bytes, old: int, prove: Prove
) -> httpx.Response:
    size = Checkpoint.parse(split_note(note)[0]).size
    hashes = prove(old) if 0 < old < size else []
    lines = [f"old {old}", *(b64encode(value).decode() for value in hashes), "", ""]
    try:
        answer = await client.post(f"{url}/add-checkpoint", content="\n".join(lines).encode() + note, timeout=SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotSigned(f"witness {witness.name}: cannot be asked at {url}: {type(error).__name__} {error}") from error
    if len(answer.content) > _LONGEST:
        raise NotSigned(f"witness {witness.name}: answered {len(answer.content)} bytes")
    return answer


def _size(witness: WitnessKey, answer: httpx.Response) -> int:
    text = answer.text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise NotSigned(f"witness {witness.name}: answered {text[:40]!r}, which is no size")
    return int(text)


def _own_line(witness: WitnessKey, note: bytes, lines: bytes) -> bytes:
    """The line of this witness alone; a wrong one would spoil the note for those who know the witness."""
    for line in lines.splitlines(keepends=True):
        try:
            if witness.signed_at(note + line) is not None:
                return line
        except BadNote as error:
            raise NotSigned(f"witness {witness.name}: {error}") from error
    raise NotSigned(f"witness {witness.name}: answered no signature by {witness}")
