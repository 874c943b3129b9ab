"""`brain audit` as a user runs it, on a log that was made beside it."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest

from brain.audit.keys import load_or_make_key
from brain.audit.open import open_projector
from brain.audit.settings import AuditSettings
from brain.audit.tree import Tampered
from brain.kit.database import open_database
from support.audit import append, denial, records
from support.command import Command

SIZE = 60
DAY = 86_400.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the log of 40 old and 20 new events, where `brain` looks for it."""
    engine = open_database(f"sqlite:///{tmp_path / 'brain-consumers.db'}")
    now = time.time()
    append(engine, open_projector(engine, AuditSettings(), lambda: now - 200 * DAY), records(0, 40))
    append(engine, open_projector(engine, AuditSettings(), lambda: now), records(40, SIZE - 40))
    engine.dispose()
    return tmp_path


def tamper(folder: Path, statement: str) -> None:
    engine = open_database(f"sqlite:///{folder / 'brain-consumers.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_verify(brain: Command, folder: Path) -> None:
    good = brain("audit", "verify")
    assert good.code == 0, good.err
    assert "good: brain-audit/" in good.out
    assert f"{SIZE} entries (all), 2 checkpoints" in good.out
    report = brain("audit", "verify", "--json").json
    assert (report["ok"], report["size"], report["sealed"]) == (True, SIZE, True)
    public = brain("audit", "key").out.strip()
    assert brain("audit", "verify", "--key", public, "--json").json["sealed"] is False

    tamper(folder, "UPDATE audit_entries SET payload = x'7b7d' WHERE idx = 44")
    bad = brain("audit", "verify")
    assert bad.code == 1
    assert "from entry 44 on" in bad.out
    assert "payload was altered" in bad.out
    report = brain("audit", "verify", "--key", public, "--json")
    assert (report.code, report.json["first_bad_index"]) == (1, 44)


def test_verify_from_a_checkpoint_that_was_kept(brain: Command, folder: Path) -> None:
    assert brain("audit", "checkpoint", "-o", "kept").code == 0
    engine = open_database(f"sqlite:///{folder / 'brain-consumers.db'}")
    append(engine, open_projector(engine, AuditSettings()), records(SIZE, 5))
    engine.dispose()
    report = brain("audit", "verify", "--from-checkpoint", "kept", "--json").json
    assert (report["ok"], report["verified_from"], report["size"]) == (True, SIZE, SIZE + 5)

    assert brain("audit", "consistency", "kept", "-o", "proof.json").code == 0
    public = brain("audit", "key").out.strip()
    proven = brain("audit", "verify-proof", "proof.json", "--key", public)
    assert proven.code == 0
    assert f"of {SIZE + 5} entries begins with that of {SIZE}" in proven.out

    kept = folder / "kept"
    kept.write_bytes(kept.read_bytes().replace(b"\n60\n", b"\n61\n"))
    refused = brain("audit", "verify", "--from-checkpoint", "kept")
    assert refused.code == 2
    assert "altered" in refused.err
    kept.write_bytes(b"")
    for arguments in (["verify", "--from-checkpoint", "kept"], ["consistency", "kept"]):
        refused = brain("audit", *arguments)
        assert refused.code == 2
        assert "kept: is no checkpoint as `brain audit checkpoint` writes it: note: needs a text" in refused.err


def test_a_proof_is_checked_with_nothing_but_the_public_key(brain: Command, folder: Path, tmp_path: Path) -> None:
    event = denial(45)
    assert brain("audit", "prove", event.id, "-o", "proof.json").code == 0
    (folder / "public").write_text(brain("audit", "key").out)
    elsewhere = Command(tmp_path / "elsewhere")
    elsewhere.folder.mkdir()
    proof, public = folder / "proof.json", folder / "public"
    proven = elsewhere("audit", "verify-proof", proof, "--key", public)
    assert proven.code == 0, proven.err
    assert "proven: entry 45" in proven.out
    assert event.id in proven.out
    assert [path.name for path in elsewhere.folder.iterdir() if not path.name.startswith(".")] == []
    assert elsewhere("audit", "verify-proof", proof, "--key", public, "--json").json["index"] == 45

    proof.write_text(proof.read_text().replace('"index": 45', '"index": 44'))
    false = elsewhere("audit", "verify-proof", proof, "--key", public)
    assert false.code == 1
    assert "does not hold" in false.err
    for arguments in ((proof, "--key", "nonsense"), (folder / "missing", "--key", public), (proof,)):
        assert elsewhere("audit", "verify-proof", *arguments).code == 2


def test_what_is_not_there(brain: Command, folder: Path, tmp_path: Path) -> None:
    missing = brain("audit", "prove", "evt_policy_1_000000000000")
    assert missing.code == 2
    assert "evt_policy_1_000000000000" in missing.err
    empty = Command(tmp_path / "empty")
    empty.folder.mkdir()
    for command in (["verify"], ["key"], ["checkpoint"], ["search"], ["export"], ["hold", "list"], ["prune"]):
        ran = empty("audit", *command)
        assert (ran.code, ran.out) == (2, ""), command
        assert "brain worker" in ran.err
    assert not (empty.folder / "brain-consumers.db").exists()


def test_a_key_that_others_may_read_is_refused(brain: Command, folder: Path) -> None:
    (folder / "brain-audit.key").chmod(0o644)
    refused = brain("audit", "verify")
    assert refused.code == 2
    assert "chmod 600" in refused.err


def test_a_worker_does_not_run_without_the_right_key(brain: Command, folder: Path) -> None:
    key = folder / "brain-audit.key"
    key.rename(folder / "elsewhere")
    for remedy in ("your copy", "PEM", "chmod 600", "another key"):
        if remedy == "PEM":
            key.write_text("no key")
            key.chmod(0o600)
        elif remedy == "chmod 600":
            key.chmod(0o604)
        elif remedy == "another key":
            key.unlink()
            load_or_make_key(key)
        ran = brain("worker", "audit")
        assert ran.code == 2, remedy
        assert remedy in ran.err


def test_another_key_is_refused(brain: Command, folder: Path) -> None:
    tamper(folder, "UPDATE audit_log SET public_key = zeroblob(32)")
    refused = brain("audit", "verify")
    assert refused.code == 2
    assert "another public key" in refused.err


def test_a_database_that_was_rolled_back(brain: Command, folder: Path) -> None:
    tamper(folder, "DELETE FROM audit_entries WHERE idx >= 40")
    tamper(folder, "DELETE FROM audit_checkpoints WHERE size > 40")
    bad = brain("audit", "verify")
    assert bad.code == 1
    assert f"entry 40 is missing: a checkpoint outside the database has {SIZE} entries" in bad.out
    engine = open_database(f"sqlite:///{folder / 'brain-consumers.db'}")
    for log in (open_projector(engine, AuditSettings()) for _ in range(2)):
        with pytest.raises(Tampered, match="rolled back"):
            append(engine, log, records(40, 1))
    (folder / "brain-audit.checkpoint").unlink()
    append(engine, open_projector(engine, AuditSettings()), records(40, 1))
    engine.dispose()
    assert brain("audit", "verify").code == 0


def test_search(brain: Command, folder: Path) -> None:
    found = brain("audit", "search", "--agent", "agent-3", "--text", "DB/5", "--json").json
    assert [entry["index"] for entry in found] == [58, 53]
    assert found[1]["event"]["id"] == denial(53).id
    shown = brain("audit", "search", "-c", "story-4", "-n", "2")
    assert denial(48).id in shown.out
    assert brain("audit", "search", "--pattern", "threat.*", "--json").json == []
    assert brain("audit", "search", "--pattern", "Not One").code == 2
    assert brain("audit", "search", "--before", "10", "-n", "1", "--json").json[0]["index"] == 9


def test_export(brain: Command, folder: Path) -> None:
    lines = brain("audit", "export").out.splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(SIZE))
    assert brain("audit", "export", "-f", "csv", "-o", "out.csv", "--agent", "agent-1").code == 0
    with (folder / "out.csv").open(newline="") as file:
        assert {row["agent"] for row in csv.DictReader(file)} == {"agent-1"}
    assert json.loads(brain("audit", "export", "-f", "ocsf").out.splitlines()[0])["class_uid"] == 6003
    assert brain("audit", "export", "-f", "cef").out.startswith("CEF:0|BRAiN|EventStream|")
    assert brain("audit", "export", "-f", "parquet", "-o", "out.parquet").code == 0
    assert (folder / "out.parquet").read_bytes()[:4] == b"PAR1"
    assert brain("audit", "export", "-f", "xml").code == 2
    assert brain("audit", "export", "-o", folder / "no" / "such").code == 2


def test_holding_and_pruning(brain: Command, folder: Path) -> None:
    added = brain("audit", "hold", "add", "-c", "story-2", "--reason", "case 7", "--by", "ann", "--json").json
    assert (added["correlation_id"], added["by"]) == ("story-2", "ann")
    (listed,) = brain("audit", "hold", "list", "--json").json
    assert listed == added
    assert "case 7" in brain("audit", "hold", "list").out
    assert brain("audit", "hold", "add", "--reason", "case 8").code == 2

    refused = brain("audit", "prune", "--older-than", "30")
    assert refused.code == 2
    assert "--i-know" in refused.err
    assert "0 payloads" in brain("audit", "prune").out  # a year, unless set otherwise
    assert brain("audit", "prune", "--older-than", "100", "--dry-run", "--json").json["deleted"] == 0
    pruned = brain("audit", "prune", "--older-than", "30", "--i-know", "--json").json
    assert pruned["deleted"] == 40 - 10
    report = brain("audit", "verify", "--json").json
    assert (report["ok"], report["deleted"]) == (True, 30)
    kept = brain("audit", "search", "--json", "-c", "story-2").json[0]["event_id"]
    held = brain("audit", "redact", kept, "--reason", "case 9")
    assert (held.code, added["id"] in held.err) == (2, True)

    assert brain("audit", "hold", "remove", added["id"]).code == 0
    assert brain("audit", "hold", "remove", added["id"]).code == 2
    (gone,) = brain("audit", "redact", kept, "--reason", "case 9", "--by", "ann", "--json").json
    assert gone["event_id"] == kept
    report = brain("audit", "verify", "--json").json
    assert (report["ok"], report["deleted"]) == (True, 31)
    assert brain("audit", "redact", kept, "--reason", "case 9").code == 2
    published = brain("events", "replay", "--json").json
    assert [event["type"] for event in published] == [
        "audit.hold_added",
        "audit.payloads_deleted",
        "audit.hold_removed",
        "audit.payload_redacted",
    ]
    assert published[0]["payload"]["reason"] == "case 7"
    assert published[1]["payload"]["count"] == 30
