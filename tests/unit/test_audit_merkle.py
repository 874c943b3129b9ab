"""The tree against the definitions of RFC 6962, section 2.1, written down as they stand there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.audit.merkle import (
    EMPTY_ROOT,
    BadProof,
    Frontier,
    consistency_proof,
    frontier_at,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from brain.errors import InvalidInput

LEAVES = [leaf_hash(b"entry %d" % number) for number in range(70)]


def k(n: int) -> int:
    """The largest power of two below n."""
    power = 1
    while power * 2 < n:
        power *= 2
    return power


def mth(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    middle = k(len(leaves))
    return sha256(b"\x01" + mth(leaves[:middle]) + mth(leaves[middle:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    middle = k(len(leaves))
    if m < middle:
        return [*path(m, leaves[:middle]), mth(leaves[middle:])]
    return [*path(m - middle, leaves[middle:]), mth(leaves[:middle])]


def subproof(m: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    middle = k(len(leaves))
    if m <= middle:
        return [*subproof(m, leaves[:middle], whole), mth(leaves[middle:])]
    return [*subproof(m - middle, leaves[middle:], False), mth(leaves[:middle])]


def node(level: int, index: int) -> bytes:
    leaves = LEAVES[index << level : (index + 1) << level]
    assert len(leaves) == 1 << level
    return mth(leaves)


def test_the_hashes_of_the_specification() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert node_hash(b"left", b"right") == sha256(b"\x01leftright").digest()


def test_every_tree_proof_and_edge_up_to_70_leaves() -> None:
    for size in range(len(LEAVES) + 1):
        root = mth(LEAVES[:size])
        frontier = frontier_at(size, node)
        assert root_of(LEAVES[:size]) == frontier.root() == root
        for index in range(size):
            proof = inclusion_proof(index, size, node)
            assert proof == path(index, LEAVES[:size])
            verify_inclusion(index, size, LEAVES[index], proof, root)
            old = index + 1
            proof = consistency_proof(old, size, node)
            assert proof == subproof(old, LEAVES[:size], True)
            verify_consistency(old, size, mth(LEAVES[:old]), root, proof)


def test_appending_tells_which_subtrees_are_complete() -> None:
    frontier = Frontier()
    for index, leaf in enumerate(LEAVES):
        for level, completed in enumerate(frontier.append(leaf)):
            assert completed == node(level, index >> level)
        assert (index + 1) % (1 << level) == 0


def alter(proof: list[bytes], how: str, at: int) -> list[bytes]:
    altered = list(proof)
    if how == "flip":
        altered[at] = bytes([altered[at][0] ^ 1]) + altered[at][1:]
    elif how == "drop":
        del altered[at]
    elif how == "add":
        altered.insert(at, bytes(32))
    elif how == "short":
        altered[at] = altered[at][:31]
    return altered


@given(st.data(), st.sampled_from(["flip", "drop", "add", "short", "leaf", "index", "root"]))
def test_no_altered_inclusion_proof_holds(data: st.DataObject, how: str) -> None:
    size = data.draw(st.integers(2, len(LEAVES)))
    index = data.draw(st.integers(0, size - 1))
    proof, leaf, root = inclusion_proof(index, size, node), LEAVES[index], mth(LEAVES[:size])
    proof = alter(proof, how, data.draw(st.integers(0, len(proof) - 1)))
    if how == "leaf":
        leaf = leaf_hash(b"another")
    elif how == "index":
        index = data.draw(st.integers(-1, size).filter(lambda other: other != index))
    elif how == "root":
        root = mth(LEAVES[: size - 1])
    with pytest.raises(BadProof):
        verify_inclusion(index, size, leaf, proof, root)


@given(st.data(), st.sampled_from(["flip", "drop", "add", "short", "old_root", "new_root", "swapped"]))
def test_no_altered_consistency_proof_holds(data: st.DataObject, how: str) -> None:
    new = data.draw(st.integers(2, len(LEAVES)))
    old = data.draw(st.integers(1, new - 1))
    proof, old_root, new_root = consistency_proof(old, new, node), mth(LEAVES[:old]), mth(LEAVES[:new])
    proof = alter(proof, how, data.draw(st.integers(0, len(proof) - 1)))
    if how == "old_root":
        old_root = leaf_hash(b"another")
    elif how == "new_root":
        new_root = leaf_hash(b"another")
    elif how == "swapped":
        old_root, new_root = new_root, old_root
    with pytest.raises(BadProof):
        verify_consistency(old, new, old_root, new_root, proof)


ROOT = mth(LEAVES[:3])


@pytest.mark.parametrize(
    ("old", "new", "old_root", "new_root", "proof"),
    [
        (0, 0, EMPTY_ROOT, EMPTY_ROOT, []),
        (0, 3, EMPTY_ROOT, ROOT, []),
        (3, 2, ROOT, mth(LEAVES[:2]), []),
        (3, 3, ROOT, LEAVES[0], []),
        (3, 3, ROOT, ROOT, [LEAVES[0]]),
        (2, 3, mth(LEAVES[:2]), ROOT, []),
        (3, 5, ROOT, mth(LEAVES[:5]), []),
    ],
)
def test_what_proves_nothing(old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]) -> None:
    with pytest.raises(BadProof):
        verify_consistency(old, new, old_root, new_root, proof)


def test_trees_of_the_same_size_and_root_are_consistent() -> None:
    verify_consistency(3, 3, ROOT, ROOT, [])
    with pytest.raises(BadProof):
        verify_consistency(3, 3, ROOT, mth(LEAVES[:2]), [])


@pytest.mark.parametrize(
    "ask",
    [
        lambda: inclusion_proof(3, 3, node),
        lambda: inclusion_proof(-1, 3, node),
        lambda: inclusion_proof(0, 0, node),
        lambda: consistency_proof(0, 3, node),
        lambda: consistency_proof(4, 3, node),
        lambda: Frontier(3, [ROOT]),
    ],
)
def test_what_cannot_be_asked_for(ask: Callable[[], object]) -> None:
    with pytest.raises(InvalidInput):
        ask()
