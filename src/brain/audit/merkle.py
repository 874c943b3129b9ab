"""The Merkle tree of RFC 6962: hashes, roots, inclusion and consistency proofs, and their verification.

Nothing here knows where hashes are kept: proofs are made through a function that gives the hash of a complete subtree.
Source: RFC 6962, section 2.1; the verification follows RFC 9162, sections 2.1.3.2 and 2.1.4.2, which specify it for
the same tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

from brain.errors import InvalidInput

SIZE = 32
"""Bytes of a hash."""
EMPTY_ROOT = sha256(b"").digest()
"""The root of the tree without leaves."""

NodeHash = Callable[[int, int], bytes]
"""`(level, index)` to the hash of the complete subtree over the leaves `index << level` to `(index + 1) << level`."""


class BadProof(InvalidInput):
    """A proof does not prove its claim."""

    title = "The proof does not hold"


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf over these bytes."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node over its two children."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: the roots of its complete subtrees, the widest first.

    Enough to append to a tree of any size and to know its root; one bit of `size` for each of `peaks`.
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if len(peaks) != size.bit_count():
            raise InvalidInput(f"peaks: a tree of {size} leaves has {size.bit_count()} of them, not {len(peaks)}")
        self.size: int = size
        self.peaks: list[bytes] = list(peaks)

    def append(self, leaf: bytes) -> list[bytes]:
        """Add a leaf hash; the roots of the subtrees that it completes, from level 0 (the leaf itself) up."""
        completed = [leaf]
        size, peaks = self.size, self.peaks
        while size & 1:
            leaf = sha256(b"\x01" + peaks.pop() + leaf).digest()
            completed.append(leaf)
            size >>= 1
        peaks.append(leaf)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        return root_of_peaks(self.peaks)


def root_of_peaks(peaks: Sequence[bytes]) -> bytes:
    """The root over complete subtrees of falling width that lie side by side."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root of the tree over these leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The complete subtrees `(level, index)` that make up the leaves from `start` to before `end`, left to right.

    `start` must be a multiple of the least power of two that is not less than `end - start`, as it is for every subtree
    that RFC 6962 hashes.
    """
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def frontier_at(size: int, node: NodeHash) -> Frontier:
    """The right edge of the tree of `size` leaves."""
    return Frontier(size, [node(level, index) for level, index in subtrees(0, size)])


def root_at(size: int, node: NodeHash) -> bytes:
    """The root of the tree of `size` leaves."""
    return frontier_at(size, node).root()


def inclusion_proof(index: int, size: int, node: NodeHash) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves (RFC 6962, 2.1.1), from the leaf up.

    Raises InvalidInput when there is no such leaf.
    """
    if not 0 <= index < size:
        raise InvalidInput(f"index: there is no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_root_between(middle, end, node))
            end = middle
        else:
            path.append(_root_between(start, middle, node))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node: NodeHash) -> list[bytes]:
    """The proof that the tree of `old` leaves is a prefix of that of `new` leaves (RFC 6962, 2.1.2).

    Raises InvalidInput unless 0 < old <= new: the empty tree needs no proof.
    """
    if not 0 < old <= new:
        raise InvalidInput(f"sizes: cannot prove that {old} leaves are the first of {new}")
    path: list[bytes] = []
    start, end = 0, new
    while end != old:  # the subtree still holds leaves beyond the old tree
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_root_between(middle, end, node))
            end = middle
        else:
            path.append(_root_between(start, middle, node))
            start = middle
    if start:  # else the old tree is this very subtree, whose root the verifier knows
        path.append(_root_between(start, end, node))
    return path[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Return when the proof shows `leaf` (a leaf hash) to be at `index` of the tree of that size and root.

    Raises BadProof.
    """
    if not 0 <= index < size:
        raise BadProof(f"index: there is no leaf {index} in a tree of {size}")
    _check_hashes(leaf, *proof)
    position, last, found = index, size - 1, leaf
    for sibling in proof:
        if not last:
            raise BadProof(f"proof: {len(proof)} hashes are too many for leaf {index} of {size}")
        if position & 1 or position == last:
            found = node_hash(sibling, found)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            found = node_hash(found, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise BadProof(f"proof: {len(proof)} hashes are too few for leaf {index} of {size}")
    if found != root:
        raise BadProof(f"root: the proof of leaf {index} leads to another root than the tree's of {size}")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return when the proof shows the tree of `old` leaves to be a prefix of that of `new` leaves.

    Raises BadProof; also for `old` = 0, of which every tree is a continuation.
    """
    if not 0 < old <= new:
        raise BadProof(f"sizes: nothing proves a tree of {new} to continue one of {old}")
    if old == new:
        if proof or old_root != new_root:
            raise BadProof("proof: trees of the same size are consistent when their roots are equal, with no proof")
        return
    _check_hashes(*proof)
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        raise BadProof("proof: is empty")
    position, last = old - 1, new - 1
    while position & 1:
        position >>= 1
        last >>= 1
    found_old = found_new = path[0]
    for sibling in path[1:]:
        if not last:
            raise BadProof(f"proof: {len(proof)} hashes are too many for {old} and {new}")
        if position & 1 or position == last:
            found_old, found_new = node_hash(sibling, found_old), node_hash(sibling, found_new)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            found_new = node_hash(found_new, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise BadProof(f"proof: {len(proof)} hashes are too few for {old} and {new}")
    if found_old != old_root:
        raise BadProof(f"root: the proof leads to another root than the tree's of {old}")
    if found_new != new_root:
        raise BadProof(f"root: the proof leads to another root than the tree's of {new}")


def _split(width: int) -> int:
    """The largest power of two below `width`."""
    return 1 << ((width - 1).bit_length() - 1)


def _root_between(start: int, end: int, node: NodeHash) -> bytes:
    return root_of_peaks([node(level, index) for level, index in subtrees(start, end)])


def _check_hashes(*hashes: bytes) -> None:
    for found in hashes:
        if len(found) != SIZE:
            raise BadProof(f"proof: a hash has {SIZE} bytes, not {len(found)}")
