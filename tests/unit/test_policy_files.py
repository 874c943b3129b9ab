"""Policy files: read with lines, refused with every fault, written so that they read back; their schema and tests."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given

from brain.errors import InvalidInput
from brain.policy import PolicyEngine, Rule
from brain.policy.cases import junit, read_cases, run_cases
from brain.policy.files import dump_policy, parse_policy, read_policy
from brain.policy.schema import policy_schema
from support.hostile import ACTS, HOSTILE
from support.policy_strategies import rule_sets

PROJECT = Path(__file__).parents[2]
SCHEMA = jsonschema.Draft202012Validator(policy_schema())

TEN_FAULTS = """\
version: 2
colour: red
rules:
  - id: one
    name: One
    effect: MAYBE
    priority: high
  - id: two
    effect: DENY
    conditions:
      - field: action
        operator: "~"
        value: 1
      - {field: action, operator: matches, value: "a(b"}
      - field: params.amount
        operator: ">"
        value: true
      - field: action
        operator: >
        value: 3
  - id: three
    name: Three
    effect: DENY
    enabled: perhaps
  - id: three
    name: Again
    effect: DENY
"""


def faults(text: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        parse_policy(text, "p.yaml")
    return list(caught.value.faults)


def test_ten_faults_are_ten_messages_with_their_lines() -> None:
    found = {fault.split(": ")[0] + " " + fault.split(": ")[1]: fault for fault in faults(TEN_FAULTS)}
    assert list(found) == [
        "p.yaml:1 version",
        "p.yaml:2 colour",
        "p.yaml:6 rules[0].effect",
        "p.yaml:7 rules[0].priority",
        "p.yaml:8 rules[1].name",
        "p.yaml:12 rules[1].conditions[0].operator",
        "p.yaml:14 rules[1].conditions[1].value",
        "p.yaml:17 rules[1].conditions[2].value",
        "p.yaml:19 rules[1].conditions[3].operator",
        "p.yaml:24 rules[2].enabled",
    ]
    assert "a(b" in found["p.yaml:14 rules[1].conditions[1].value"]
    assert 'write ">" with its quotes' in found["p.yaml:19 rules[1].conditions[3].operator"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "p.yaml:1: is empty"),
        ("version: 2\nrules: []", "p.yaml:1: version: 2 is unknown; write `version: 1`"),
        ("rules: 3", "p.yaml:1: is no policy file; give it `rules`, a list"),
        ("a: [1", "p.yaml:1: not readable: expected ',' or ']', but got '<stream end>'"),
        ("rules:\n  - 7", "p.yaml:2: rules[0]: a rule is an object with id, name and effect, not 7"),
        (
            "- {id: a, name: a, effect: DENY}\n- {id: a, name: b, effect: DENY}",
            "p.yaml:2: [1].id: 'a' is taken by line 1",
        ),
        ("rules:\n- id: a\n  id: b\n  name: n\n  effect: DENY", "p.yaml:3: id: is written twice"),
        ('{"rules": [\n\t{"id": "a",\n\t"name": "n", "effect": "NO"}]}', "p.yaml:3: rules[0].effect: 'NO' is unknown"),
    ],
)
def test_other_faults(text: str, fault: str) -> None:
    assert faults(text)[0].startswith(fault)


def test_ids_and_tags_of_measures_are_faults_of_a_file() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_policy(
            """\
rules:
  - {id: "containment:a1", name: A, effect: DENY}
  - id: b
    name: B
    effect: DENY
    tags: [night, kill-switch]
""",
            "p.yaml",
        )
    found = [fault.partition(", which")[0] for fault in caught.value.faults]
    assert found == [
        "p.yaml:2: rules[0].id: 'containment:a1' is kept for containments",
        "p.yaml:6: rules[1].tags: 'b' has the tag 'kill-switch'",
    ]


def test_faults_come_in_the_order_of_their_lines() -> None:
    text = "rules:\n- id: a\n  mode: x\n  priority: high\n  effect: DENY\n  description: [a]\n  name: A\n"
    with pytest.raises(InvalidInput) as caught:
        parse_policy(text, "p:1.yaml")
    assert [fault.removeprefix("p:1.yaml:")[:1] for fault in caught.value.faults] == ["3", "4", "6"]


@pytest.mark.parametrize("conditions", [None, []])
def test_an_allow_without_conditions_must_say_that_it_is_for_everyone(conditions: list[object] | None) -> None:
    given = {"id": "a", "name": "a", "effect": "ALLOW"} | ({} if conditions is None else {"conditions": conditions})
    fault = (
        "p.yaml:1: [0].conditions: are missing, and so this ALLOW lets everybody do everything; "
        "add conditions, or say `everyone: true`"
    )
    assert faults(json.dumps([given])) == [fault]
    (rule,) = parse_policy(json.dumps([{**given, "everyone": True}])).rules
    assert rule == Rule(id="a", name="a", effect="ALLOW")  # type: ignore[arg-type]
    assert "everyone: true" in dump_policy([rule])
    for effect in ("DENY", "WARN", "AUDIT"):
        (rule,) = parse_policy(json.dumps([{**given, "effect": effect}])).rules
        assert "everyone" not in dump_policy([rule])
    assert faults(json.dumps([{**given, "everyone": False}])) == [fault]
    assert "[0].everyone: 'yes' is not true or false" in faults(json.dumps([{**given, "everyone": "yes"}]))[0]
    held = [{"field": "action", "operator": "==", "value": "read"}]
    both = faults(json.dumps([{**given, "conditions": held, "everyone": True}]))
    assert both == ["p.yaml:1: [0].everyone: is true, but the rule has conditions; remove one of the two"]
    for written, valid in ((given, False), ({**given, "everyone": True}, True), ({**given, "conditions": held}, True)):
        schema = jsonschema.Draft202012Validator(policy_schema())
        assert schema.is_valid([written]) is valid


def test_plain_words_and_times_are_texts_as_in_yaml_1_2() -> None:
    words = [
        "no",
        "yes",
        "on",
        "NO",
        "12:30",
        "1_000",
        "2024-01-01",
        "0o17",
        "null",
        "~",
        "true",
        "1e5",
        "0x1f",
        ".inf",
    ]
    listed = [
        {"id": "a", "name": "a", "effect": "DENY", "conditions": [{"field": "f", "operator": "in", "value": words}]}
    ]
    (quoted,) = parse_policy(json.dumps(listed)).rules
    assert parse_policy(dump_policy([quoted])).rules == (quoted,)
    text = "- {id: a, name: a, effect: DENY, conditions: [{field: f, operator: in, value: [%s]}]}"
    (bare,) = parse_policy(text % ", ".join(words[:-1])).rules
    assert bare.conditions[0].value == [*words[:8], None, None, True, 100000.0, 31]
    assert ".inf" not in faults(text % ".inf")[0]


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_policy(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match=r"is not UTF-8 text: byte 0xff at position 0; save it as UTF-8"):
        read_policy(tmp_path / "binary.yaml")


def test_aliases_do_not_blow_up() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(
        f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "aliases" in faults(bomb + "rules: []")[0]


@pytest.mark.parametrize("as_json", [False, True])
@given(rules=rule_sets())
def test_what_is_written_reads_back(as_json: bool, rules: list[Rule]) -> None:
    text = dump_policy(rules, as_json=as_json)
    assert list(parse_policy(text).rules) == rules
    SCHEMA.validate(json.loads(dump_policy(rules, as_json=True)))


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_written_acts_nowhere(as_json: bool) -> None:
    rule = Rule(id="a", name="".join(HOSTILE), effect="DENY", metadata={text: [text] for text in HOSTILE})
    text = dump_policy([rule], as_json=as_json)
    assert ACTS.search(text) is None
    assert parse_policy(text).rules == (rule,)
    plain = Rule(id="a", name="Ünïcode stays", effect="DENY")
    assert plain.name in dump_policy([plain], as_json=as_json)


def test_the_published_schema_is_what_the_code_says() -> None:
    published = json.loads((PROJECT / "docs" / "policy-schema.json").read_text())
    assert published == policy_schema(), "run `brain policy schema > docs/policy-schema.json`"
    jsonschema.Draft202012Validator.check_schema(published)
    for bad in ({}, {"rules": [{"id": "a"}]}, {"rules": [], "colour": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, published)


CASES = """\
policy: p.yaml
cases:
  - name: guests may read
    context: {agent_role: guest, action: read}
    expect: ALLOW
  - name: guests may not delete <at all>
    context: {agent_role: guest, action: delete}
    expect: {effect: DENY, rule_id: other}
  - context: {agent_role: admin}
    expect: {allowed: true}
"""


def test_policy_tests(tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text(CASES)
    read = read_cases(tmp_path / "cases.yaml")
    assert read.policy == tmp_path / "p.yaml"
    engine = PolicyEngine()
    for rule_id, effect, action in (("r", "ALLOW", "read"), ("d", "DENY", "delete")):
        held = [{"field": "action", "operator": "==", "value": action}]
        engine.add_rule(Rule.from_dict({"id": rule_id, "name": rule_id, "effect": effect, "conditions": held}))
    results = run_cases(read.cases, engine.explain)
    assert [result.problem for result in results] == [
        "",
        "rule_id is 'd', expected 'other'",
        "allowed is False, expected True",
    ]
    root = ElementTree.fromstring(junit(read.path, results).encode())
    (suite,) = root
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    assert [case.get("line") for case in suite] == ["3", "6", "9"]
    assert [case.find("failure") is not None for case in suite] == [False, True, True]


def test_faults_of_policy_tests(tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text("cases:\n- context: 3\n  expect: MAYBE\n- expect: {colour: 1}\n- 7\n")
    with pytest.raises(InvalidInput) as caught:
        read_cases(tmp_path / "cases.yaml")
    lines = [fault.split(":")[1] + fault.split(":")[2] for fault in caught.value.faults]
    assert lines == [
        "2 cases[0].context",
        "3 cases[0].expect",
        "4 cases[1].context",
        "4 cases[1].expect",
        "5 cases[2].",
    ]
