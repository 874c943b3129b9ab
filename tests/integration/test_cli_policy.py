"""`brain policy`: each command as a user runs it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from brain import EventStream
from brain.approvals.links import Links
from brain.policy import PolicyEngine
from brain.policy.approvals import Approvals
from brain.store import open_store
from support.command import Command
from support.server import BRAIN

POLICY = """\
version: 1
rules:
  - id: guests-delete
    name: Guests may not delete
    effect: DENY
    priority: 100
    conditions:
      - {field: agent_role, operator: "==", value: guest}
      - {field: action, operator: in, value: [delete, drop]}
  - id: read
    name: All may read
    effect: ALLOW
    conditions:
      - {field: action, operator: "==", value: read}
"""
CHANGED = POLICY.replace("priority: 100", "priority: 90").replace("id: read", "id: look")
DELETE = '{"agent_id": "a1", "agent_role": "guest", "action": "delete"}'
READ = '{"agent_id": "a1", "agent_role": "guest", "action": "read"}'


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def events(folder: Path, pattern: str) -> list[dict[str, object]]:
    async def read() -> list[dict[str, object]]:
        async with EventStream.open(f"sqlite:///{folder}/brain.db") as stream:
            return [{"type": row.event.type, **row.event.payload} for row in await stream.read(pattern, limit=1000)]

    return asyncio.run(read())


def test_import_list_export(brain: Command, policy: Path, tmp_path: Path) -> None:
    assert brain("policy", "import", policy).out == "2 created, 0 updated, 0 deleted, 0 unchanged\n"
    assert brain("policy", "import", policy).out == "0 created, 0 updated, 0 deleted, 2 unchanged\n"
    assert [rule["id"] for rule in brain("policy", "list", "--json").json] == ["guests-delete", "read"]
    assert "Guests may not delete" in brain("policy", "list").out
    assert brain("policy", "export").out.startswith("version: 1\nrules:\n- id: guests-delete\n")
    assert brain("policy", "export", "--output", "out.json").code == 0
    assert len(json.loads((tmp_path / "out.json").read_text())["rules"]) == 2
    assert brain("policy", "diff", "out.json").out == "no difference\n"
    created = events(tmp_path, "policy.rule_created")
    assert [event["rule_id"] for event in created] == ["guests-delete", "read"]
    assert created[0]["note"] == "import of policy.yaml"
    assert created[0]["by"]


def test_diff_replace_versions_rollback(brain: Command, policy: Path) -> None:
    brain("policy", "import", policy)
    policy.write_text(CHANGED)
    found = brain("policy", "diff", policy)
    assert (found.code, found.out) == (
        1,
        "~ guests-delete: Guests may not delete\n    priority: 100 -> 90\n+ look: All may read\n- read: All may read\n",
    )
    assert [row["kind"] for row in brain("policy", "diff", policy, "--json").json] == ["changed", "added", "removed"]
    assert brain("policy", "import", policy, "--replace").out == "1 created, 1 updated, 1 deleted, 0 unchanged\n"
    assert [version["version"] for version in brain("policy", "versions", "--json").json] == [2, 1]
    assert "id: read" in brain("policy", "export", "--version", "1").out
    assert brain("policy", "rollback", "1").out == "1 created, 1 updated, 1 deleted, 0 unchanged\n"
    assert brain("policy", "export", "--output", "now.yaml").code == 0
    policy.write_text(POLICY)
    assert brain("policy", "diff", policy).code == 0
    assert brain("policy", "rollback", "77").code == 2


def test_a_file_with_faults_is_refused(brain: Command, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(POLICY.replace("DENY", "MAYBE").replace('"=="', '"~"'))
    for command in ("check", "import", "diff"):
        ran = brain("policy", command, bad)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith(f"error: {bad}: 3 faults; the whole file is refused\n")
        assert f"  {bad}:5: rules[0].effect: 'MAYBE' is unknown" in ran.err
        assert f"  {bad}:8: rules[0].conditions[0].operator: '~' is unknown" in ran.err
    assert not (tmp_path / "brain.db").exists() or brain("policy", "list", "--json").json == []


def test_check_finds_what_is_odd(brain: Command, policy: Path) -> None:
    assert brain("policy", "check", policy).out == f"{policy}: 2 rules, no faults, 0 findings\n"
    policy.write_text(
        POLICY
        + "  - {id: again, name: Again, effect: DENY, priority: -1}\n"
        + "  - {id: z, name: Z, effect: ALLOW, everyone: true}\n"
    )
    ran = brain("policy", "check", policy)
    assert ran.code == 0
    assert f"{policy}:15: never-wins: rule 'again': can never win: wherever it matches, 'z'" in ran.out
    assert brain("policy", "check", policy, "--strict").code == 1
    found = brain("policy", "check", policy, "--json").json
    assert [(one["kind"], one["rule_id"], one["line"]) for one in found] == [("never-wins", "again", 15)]
    brain("policy", "import", policy)
    assert "rule 'again': can never win" in brain("policy", "check").out


def test_eval(brain: Command, policy: Path, tmp_path: Path) -> None:
    assert brain("policy", "eval", READ).out == "DENY: denied by default: no rule matches\n"
    brain("policy", "import", policy)
    assert brain("policy", "eval", READ, "--json").json["rule_id"] == "read"
    denied = brain("policy", "eval", DELETE, "--fail")
    assert denied.code == 1
    assert "guests-delete" in denied.out
    explained = brain("policy", "eval", READ, "--explain").out
    assert "It is the only one of 2 rules that matched." in explained
    assert "action in ['delete', 'drop']: fails, it is 'read'" in explained
    assert brain("policy", "eval", READ, "--rules", policy).code == 0
    assert brain("policy", "eval", READ, "--dry-run").code == 0
    assert len(events(tmp_path, "policy.rule_evaluated")) == 3
    for bad in ("{", "[]", '"x"', '{"a": 1, "a": 2}', '{"a": 1e400}', '{"a": ' + "[" * 33 + "]" * 33 + "}"):
        ran = brain("policy", "eval", bad)
        assert ran.code == 2
        assert ran.err.startswith("error: CONTEXT: ")


def test_texts_beyond_their_bounds_are_refused(brain: Command) -> None:
    for name in ("agent_id", "agent_role", "action", "resource"):
        ran = brain("policy", "eval", json.dumps({"action": "read", name: "x" * 10_001}))
        fault = f"{name}: 10,001 characters are more than the 10,000 allowed; shorten it"
        assert (ran.code, ran.err) == (2, f"error: CONTEXT: {fault}\n")
        assert brain("policy", "eval", json.dumps({"action": "read", name: "x" * 10_000})).code == 0
    for option, most in (("--reason", 10_000), ("--by", 200)):
        given = {"--reason": "leak", "--by": "ann", option: "x" * (most + 1)}
        ran = brain("policy", "contain", "a1", *(part for pair in given.items() for part in pair))
        fault = f"{option[2:]}: {most + 1:,} characters are more than the {most:,} allowed; shorten it"
        assert (ran.code, ran.err) == (2, f"error: {fault}\n")
    assert brain("policy", "containments", "--json").json == []


def test_single_rules(brain: Command, policy: Path) -> None:
    brain("policy", "import", policy)
    assert brain("policy", "disable", "read").out == "read is disabled\n"
    assert brain("policy", "eval", READ, "--fail").code == 1
    assert brain("policy", "enable", "read").out == "read is enabled\n"
    assert brain("policy", "delete", "read").out == "read is deleted\n"
    missing = brain("policy", "delete", "read")
    assert missing.code == 2
    assert missing.err == "error: there is no rule 'read'; `brain policy list` lists the rules\n"
    reserved = brain("policy", "delete", "containment:a1")
    assert reserved.code == 2
    assert reserved.err.count("is kept for containments") == reserved.err.count("\n") == 1


def test_check_refuses_what_import_would_refuse(brain: Command, policy: Path) -> None:
    policy.write_text(POLICY.replace("id: read", "id: kill-switch"))
    for command in ("check", "import"):
        ran = brain("policy", command, policy)
        assert ran.code == 2
        assert f"{policy}:10: rules[1].id: 'kill-switch' is kept for the kill switch" in ran.err
    policy.write_text(POLICY)
    assert brain("policy", "check", policy).out == f"{policy}: 2 rules, no faults, 0 findings\n"


def test_policy_tests(brain: Command, policy: Path, tmp_path: Path) -> None:
    cases = tmp_path / "cases.yaml"
    read, delete = f"- context: {READ}\n  expect: ALLOW\n", f"- name: no\n  context: {DELETE}\n  expect: ALLOW\n"
    cases.write_text(f"policy: policy.yaml\ncases:\n{read}{delete}")
    ran = brain("policy", "test", cases, "--junit", "out.xml")
    assert ran.code == 1
    assert ran.out.startswith(f"FAILED {cases}:5: no: effect is 'DENY', expected 'ALLOW'\n")
    assert ran.out.endswith("1 passed, 1 failed\n")
    assert ElementTree.parse(tmp_path / "out.xml").getroot().get("failures") == "1"
    other = tmp_path / "other.yaml"
    other.write_text("rules: [{id: a, name: a, effect: ALLOW, everyone: true}]")
    assert brain("policy", "test", cases, "--rules", other).out == "2 passed, 0 failed\n"
    assert [row["passed"] for row in brain("policy", "test", cases, "--json").json] == [True, False]


def test_replay(brain: Command, policy: Path, tmp_path: Path) -> None:
    brain("policy", "import", policy)
    for _ in range(2):
        brain("policy", "eval", READ)
    brain("policy", "eval", DELETE)
    candidate = tmp_path / "candidate.yaml"
    candidate.write_text("rules: [{id: no, name: Closed, effect: DENY, priority: 999}]")
    ran = brain("policy", "replay", "--candidate", candidate, "--since", "1h")
    assert ran.code == 0
    assert "newly denied            2" in ran.out
    assert "a1: 2 newly denied" in ran.out
    assert "newly denied: agent_id=a1, action=read, resource=None: ALLOW -> DENY" in ran.out
    assert "decisions a second" in ran.err
    found = brain("policy", "replay", "--candidate", candidate, "--json", "--fail")
    assert found.code == 1
    assert (found.json["decisions"], found.json["newly_denied"]) == (3, 2)
    alone = brain("policy", "replay", "--candidate", policy, "--alone", "--json").json
    assert alone["unchanged"] == 3
    assert brain("policy", "replay", "--candidate", candidate, "--since", "soon").code == 2


def test_a_misspelt_field_of_a_context_is_named_with_the_nearest(brain: Command, policy: Path) -> None:
    brain("policy", "import", policy)
    ran = brain("policy", "eval", '{"agent_id": "a1", "agnet_role": "guest", "action": "read", "tenant": "t1"}')
    assert ran.err == ("note: agnet_role in CONTEXT: no rule compares this field; did you mean agent_role?\n")
    assert ran.out.startswith("ALLOW: ")
    assert brain("policy", "eval", READ).err == ""


def test_measures(brain: Command, policy: Path) -> None:
    brain("policy", "import", policy)
    ran = brain("policy", "contain", "a1", "--reason", "stolen key", "--ttl", "15m")
    assert re.fullmatch(r"a1 is contained until [-0-9]+ [:0-9]+ UTC, for 15m\n", ran.out)
    shorter = brain("policy", "contain", "a1", "--reason", "again", "--ttl", "5")
    ends = ran.out.removesuffix(", for 15m\n")
    assert shorter.out == f"{ends}, the end of an earlier containment, which is later\n"
    assert brain("policy", "contain", "a2", "--reason", "x", "--ttl", "5").out.endswith(" UTC, for 5s\n")
    assert brain("policy", "lift", "a2").code == 0
    assert "measure until" in brain("policy", "list").out
    assert "again" in brain("policy", "eval", READ).out
    assert [rule["id"] for rule in brain("policy", "containments", "--json").json] == ["containment:a1"]
    assert "containment" not in brain("policy", "export").out
    assert brain("policy", "lift", "a1").out == "a1 is no longer contained\n"
    assert brain("policy", "lift", "a1").code == 2
    assert brain("policy", "contain", "a1", "--reason", "x", "--ttl", "soon").code == 2
    on = brain("policy", "kill-switch", "on", "--reason", "incident", "--allow", "ops")
    assert on.out == "the kill switch is on; allowed: ops\n"
    assert brain("policy", "eval", READ, "--fail").code == 1
    assert brain("policy", "eval", READ.replace("a1", "ops"), "--fail").code == 0
    assert brain("policy", "kill-switch", "off").out == "the kill switch is off\n"
    assert brain("policy", "eval", READ, "--fail").code == 0


def test_approvals(brain: Command, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/brain.db")
    approvals = Approvals(store, None)
    decision = PolicyEngine(default_effect="AUDIT").evaluate({})
    ids = [approvals.request(decision, {"agent_id": f"a{n}\x1b[31m", "action": "void"}).id for n in range(2)]
    listed = brain("policy", "approvals").out
    assert all(one in listed for one in ids)
    assert "\x1b" not in listed
    assert brain("policy", "grant", ids[0], "--by", "ann", "--reason", "fine").out == f"{ids[0]} is GRANTED\n"
    assert brain("policy", "refuse", ids[1]).out == f"{ids[1]} is REFUSED\n"
    for command in ("grant", "refuse"):
        none = brain("policy", command, "")
        assert (none.code, "there is no approval ''; `brain policy approvals` lists" in none.err) == (2, True), none.err
    former = brain("policy", "approve", ids[1])
    assert (former.code, "is REFUSED already" in former.err) == (2, True)
    assert [one["answered_by"] for one in brain("policy", "approvals", "--status", "granted", "--json").json] == ["ann"]
    assert approvals.get(ids[0]).answer == "fine"
    assert [event["type"] for event in events(tmp_path, "policy.approval_*")] == [
        "policy.approval_granted",
        "policy.approval_refused",
    ]
    store.close()


def test_a_link_is_made_for_a_person_of_the_settings(brain: Command, tmp_path: Path) -> None:
    (tmp_path / "brain.toml").write_text('[access]\nurls = ["https://b.example.org"]\n[approvals.people.ada]\n')
    store = open_store(f"sqlite:///{tmp_path / 'brain.db'}")
    with PolicyEngine(store=store) as engine:
        context = {"agent_id": "ada", "action": "pay"}
        own = engine.approvals.request(engine.evaluate(context), context).id
        other = {**context, "agent_id": "a1"}
        asked = engine.approvals.request(engine.evaluate(other), other).id
        made = brain("approvals", "link", asked, "--for", "ada", "--json").json
        assert made["url"].startswith("https://b.example.org/open/approvals/brl_")
        link = Links(store).read(made["url"].rpartition("/")[2])
        assert link is not None
        assert (link.approval_id, link.name) == (asked, "ada")
        (event,) = events(tmp_path, "approval.link_made")
        assert (event["via"], "brl_" in str(event)) == ("command", False)
        for name, approval, why in (
            ("bob", asked, "'bob' is not in [approvals.people]"),
            ("ada", own, "ada asked for it, and so cannot grant it"),
            ("ada", "apr_nothing", "there is no approval"),
        ):
            refused = brain("approvals", "link", approval, "--for", name)
            assert (refused.code, why in refused.err, refused.out) == (2, True, ""), refused.err
    store.close()


def test_watch_imports_again_when_the_file_changes(brain: Command, policy: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BRAIN_")}
    process = subprocess.Popen(
        [*BRAIN, "policy", "import", str(policy), "--replace", "--watch"],
        cwd=tmp_path,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A suite that runs in the background hands on that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "2 created, 0 updated, 0 deleted, 0 unchanged\n"
        policy.write_text(CHANGED.replace("DENY", "MAYBE"))
        assert process.stdout.readline().startswith(f"error: {policy}: 1 fault")
        assert "'MAYBE' is unknown" in process.stdout.readline()
        policy.unlink()
        time.sleep(0.5)
        policy.write_text(CHANGED)
        assert process.stdout.readline() == "1 created, 1 updated, 1 deleted, 0 unchanged\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    assert [rule["priority"] for rule in brain("policy", "list", "--json").json] == [90, 0]


def test_in_a_folder_without_a_database_nothing_is_ordered_and_none_is_made(brain: Command, tmp_path: Path) -> None:
    """A stop order in the wrong folder would stop nobody."""
    stops = (["contain", "a1", "--reason", "x"], ["kill-switch", "on", "--reason", "x"])
    for command in (*stops, ["approvals"], ["enable", "r"]):
        refused = brain("policy", *command)
        assert (refused.code, refused.out) == (2, ""), command
        assert "there is no database" in refused.err
    assert not list(tmp_path.glob("brain.db*"))


def test_schema(brain: Command) -> None:
    assert brain("policy", "schema").json["title"] == "BRAiN policy file"
