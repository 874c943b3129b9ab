"""References to decisions: which places of a page may be of an agent or a correlation id."""

from __future__ import annotations

from brain.incidents.evidence_page import EvidencePage, pack_marks, pack_positions


def test_the_last_ones_of_the_agents_and_of_the_story_are_found() -> None:
    positions = [f"170300123456{n}-{n}" for n in range(6)]
    agents = ["a", "b", "a", "", "c", "b"]
    stories = ["s", "s", "t", "u", "v", "w"]
    page = EvidencePage(pack_positions(positions), pack_marks(agents), pack_marks(stories))
    assert list(page.find("nobody", ["a"])) == [positions[2], positions[0]]
    assert list(page.find("s", ["b", "c"])) == [positions[5], positions[4], positions[1], positions[0]]
    assert list(page.find("v", [])) == [positions[4]]
    assert list(page.find("nobody", ["nobody"])) == []


def test_marks_are_found_at_their_own_places_only() -> None:
    marks = pack_marks(["x", "y"])
    between = marks[2:6]  # four bytes that lie across two marks
    page = EvidencePage(pack_positions(["1", "2"]), between + marks[:4], b"\0" * 8)
    assert list(page.find("nobody", ["x"])) == ["2"]
