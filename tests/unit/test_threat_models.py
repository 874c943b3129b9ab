"""The table of moves, and the figures over many threats."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import pytest

from brain.charter import Principal, Severity, acting
from brain.charter import ThreatStatus as Status
from brain.charter.vocabulary import parse_name
from brain.errors import Conflict, InvalidInput
from brain.lifecycle import EVIDENCE_MOVES
from brain.lifecycle import THREAT_MOVES as MOVES
from brain.store.memory import MemoryStore
from brain.threats.models import COMMENTS, HISTORY, Comment, Move, Threat, ThreatStats, assigned, commented, moved
from brain.threats.repository import COLLECTION, ThreatRepository
from brain.threats.service import ThreatService

DOCS = Path(__file__).parents[2] / "docs/threats.md"


def threat(**values: object) -> Threat:
    usual: dict[str, object] = {
        "id": "thr_1",
        "type": "test",
        "severity": Severity.LOW,
        "source": "10.0.0.1",
        "correlation_id": "c",
        "detected_at": 1_000.0,
        "last_seen": 1_000.0,
        "updated_at": 1_000.0,
    }
    return Threat(**{**usual, **values})  # type: ignore[arg-type]


def test_every_status_has_its_row_and_no_move_stays_in_place() -> None:
    assert set(MOVES) == set(Status)
    assert all(status not in allowed for status, allowed in MOVES.items())


def test_the_tables_of_the_docs_are_the_tables_of_the_code() -> None:
    text = DOCS.read_text()
    for status in Status:
        allowed = ", ".join(MOVES[status]) or "none"
        assert f"| {status} | {allowed} |\n" in text
        evidence = EVIDENCE_MOVES[status] or ("a new threat", "a new threat")
        assert f"| {status} | {' | '.join(evidence)} |\n" in text


def test_the_path_of_the_specification_is_allowed() -> None:
    path = [Status.OPEN, Status.INVESTIGATING, Status.ESCALATED, Status.MITIGATED, Status.RESOLVED]
    assert all(new in MOVES[old] for old, new in itertools.pairwise(path))


@pytest.mark.parametrize("old", Status)
@pytest.mark.parametrize("new", Status)
def test_a_move_follows_the_table_or_is_refused_with_the_allowed_ones(old: Status, new: Status) -> None:
    before = threat(status=old)
    if new in MOVES[old]:
        after = moved(before, new, "why", 1_060.0)
        assert after.status is new
        assert after.updated_at == 1_060.0
        assert [(move.old, move.new, move.at, move.reason) for move in after.history] == [(old, new, 1_060.0, "why")]
        assert before.history == ()
        return
    with pytest.raises(Conflict) as caught:
        moved(before, new, "why", 1_060.0)
    allowed = ", ".join(MOVES[old]) or "none, that is final"
    assert str(caught.value) == f"threat thr_1 is {old} and cannot move to {new}; allowed: {allowed}"


def test_mitigated_at_is_kept_when_resolved_and_lost_when_the_mitigation_did_not_hold() -> None:
    mitigated = moved(threat(), Status.MITIGATED, "", 1_100.0)
    assert mitigated.mitigated_at == 1_100.0
    assert moved(mitigated, Status.RESOLVED, "", 1_200.0).mitigated_at == 1_100.0
    assert moved(mitigated, Status.INVESTIGATING, "", 1_200.0).mitigated_at is None


def test_a_clock_set_back_gives_no_negative_duration() -> None:
    assert moved(threat(), Status.MITIGATED, "", 10.0).mitigated_at == 1_000.0


def test_the_history_is_bounded_and_keeps_the_last_moves() -> None:
    one = moved(threat(), Status.INVESTIGATING, "", 1_000.0)
    for turn in range(HISTORY):
        new = Status.ESCALATED if one.status is Status.INVESTIGATING else Status.INVESTIGATING
        one = moved(one, new, str(turn), 1_000.0)
    assert len(one.history) == HISTORY
    assert one.history[-1].reason == str(HISTORY - 1)


def test_parse_takes_any_case_and_names_the_choices() -> None:
    assert parse_name(Status, "open", "status") is Status.OPEN
    with pytest.raises(InvalidInput, match="severity: 'huge' is not one of LOW, MEDIUM, HIGH, CRITICAL"):
        parse_name(Severity, "huge", "severity")
    with pytest.raises(InvalidInput, match="severity: 3 is not one of"):
        parse_name(Severity, 3, "severity")


def stats_of(threats: list[Threat], now: float) -> ThreatStats:
    repository = ThreatRepository(MemoryStore())
    for one in threats:
        repository.put(one)
    return repository.statistics(now)


def test_statistics_of_none() -> None:
    stats = stats_of([], 0.0)
    assert (stats.total, stats.active, stats.mitigated) == (0, 0, 0)
    assert stats.mttm_seconds is None
    assert stats.active_mean_age_seconds is None
    assert stats.active_oldest_age_seconds is None
    assert stats.by_status == dict.fromkeys(Status, 0)
    assert stats.by_severity == dict.fromkeys(Severity, 0)
    assert stats.by_type == {}


def test_statistics_count_and_average() -> None:
    stats = stats_of(
        [
            threat(id="a", status=Status.RESOLVED, mitigated_at=1_100.0, severity=Severity.HIGH),
            threat(id="b", status=Status.MITIGATED, mitigated_at=1_300.0),
            threat(id="c", status=Status.OPEN, type="other", detected_at=1_500.0),
            threat(id="d", status=Status.ESCALATED, detected_at=1_400.0),
            threat(id="e", status=Status.IGNORED),
        ],
        now=2_000.0,
    )
    assert stats.total == 5
    assert stats.active == 2
    assert stats.mitigated == 2
    assert stats.mttm_seconds == 200.0
    assert stats.active_mean_age_seconds == 550.0
    assert stats.active_oldest_age_seconds == 600.0
    assert stats.active_oldest_id == "d"
    assert stats.by_type == {"other": 1, "test": 4}
    assert stats.by_severity == {"LOW": 4, "MEDIUM": 0, "HIGH": 1, "CRITICAL": 0}
    assert stats.active_by_severity == {"LOW": 2, "MEDIUM": 0, "HIGH": 0, "CRITICAL": 0}
    assert stats.by_status["INVESTIGATING"] == 0
    assert stats.by_status["ESCALATED"] == 1


@pytest.mark.parametrize("first_seen", [5.0, -5.0, 1_796_000_000_000.0, 1_796_000_001.0, "yesterday", None])
def test_evidence_of_an_absurd_time_is_in_no_mean(first_seen: object) -> None:
    detected = threat(detected_at=1_796_000_000.0, metadata={"first_seen": first_seen})
    assert detected.detect_seconds is None


def test_statistics_of_detection_first_moves_and_resolutions() -> None:
    investigated = Move(Status.OPEN, Status.INVESTIGATING, 1_030.0)
    stats = stats_of(
        [
            threat(id="a", status=Status.RESOLVED, metadata={"first_seen": 980.0}, history=(investigated,)),
            threat(id="b", status=Status.ESCALATED, metadata={"first_seen": 1_001.0}),
            threat(id="c", history=(Move(Status.INVESTIGATING, Status.ESCALATED, 9_000.0),)),
            threat(id="d", status=Status.IGNORED, history=(Move(Status.OPEN, Status.IGNORED, 1_010.0),)),
        ],
        now=2_000.0,
    )
    assert (stats.mttd_seconds, stats.mtti_seconds) == (20.0, 20.0)
    assert stats.resolution_rate == pytest.approx(1 / 3)


async def test_a_stored_threat_from_before_comments_is_read_and_goes_on() -> None:
    store = MemoryStore()
    former = msgspec.json.decode(msgspec.json.encode(threat(history=(Move(Status.OPEN, Status.ESCALATED, 1_001.0),))))
    for younger in ("assignee", "comments"):
        del former[younger]
    del former["history"][0]["by"]
    store.put(COLLECTION, "thr_1", msgspec.json.encode(former))
    service = ThreatService(store=store, clock=lambda: 900.0)
    found = await service.get_threat("thr_1")
    assert (found.assignee, found.comments, found.history[0].by, found.version) == (None, (), None, 1)
    with acting(Principal(name="bob")):
        await service.comment("thr_1", "seen")
    after = await ThreatService(store=store).assign("thr_1", "ann")
    assert (after.assignee, after.version, after.comments[0].at) == ("ann", 3, 1_000.0)
    [comment] = after.comments
    assert (comment.text, comment.by, comment.at) == ("seen", "bob", 1_000.0)


def test_comments_are_bounded_and_keep_the_last() -> None:
    grown = threat()
    for number in range(COMMENTS + 2):
        grown = commented(grown, Comment(f"cmt_{number}", "x", 2_000.0 + number))
    assert [one.id for one in grown.comments] == [f"cmt_{number}" for number in range(2, COMMENTS + 2)]
    assert (grown.version, grown.updated_at) == (COMMENTS + 3, 2_000.0 + COMMENTS + 1)
    assert assigned(grown, None, 1.0) is grown
