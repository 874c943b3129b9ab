"""YAML that cannot be read, or is read as something else: the exact line, what was found, and the remedy."""

from __future__ import annotations

import pytest

from brain.errors import InvalidInput
from brain.policy.files import parse_policy

HEAD = "version: 1\nrules:\n  - id: a\n    name: A\n    effect: DENY\n    conditions:\n"  # 6 lines
CONDITION = HEAD + "      - field: action\n"  # 7 lines
OPERATOR = CONDITION + '        operator: "=="\n'  # 8 lines
QUOTES = "must be in quotes"

BROKEN = [
    (OPERATOR.replace('"=="', ">") + "        value: 3\n", 8, 'write ">" with its quotes'),
    (OPERATOR.replace('"=="', ">") + "          value: 3\n", 8, 'write ">" with its quotes'),
    (OPERATOR.replace('"=="', ">=") + "        value: 3\n", 8, 'write ">" with its quotes'),
    (OPERATOR.replace('"=="', "|") + "        value: 3\n", 8, 'write ">" with its quotes'),
    (HEAD + "      - {field: action, operator: >, value: 3}\n", 7, 'write ">" with its quotes'),
    (OPERATOR.replace('"=="', "!=") + "        value: 3\n", 8, 'write "!=" with its quotes'),
    (HEAD + "      - {field: action, operator: !=, value: 3}\n", 7, 'write "!=" with its quotes'),
    (OPERATOR + "\tvalue: 3\n", 9, "blanks instead of tabs"),
    ("rules:\n\t- id: a\n", 2, "blanks instead of tabs"),
    (OPERATOR + "        value: *\n", 9, "a bare * refers to an anchor"),
    (OPERATOR + "        value: *.log\n", 9, "put the text in quotes"),
    (OPERATOR + "        value: *all\n", 9, "undefined alias 'all'"),
    (OPERATOR + "        value: @home\n", 9, QUOTES),
    (OPERATOR + "        value: %x\n", 9, QUOTES),
    (OPERATOR + "        value: `x`\n", 9, QUOTES),
    (OPERATOR + "        value: {x\n    tags: [a]\n", 9, "is not closed"),
    (OPERATOR + "        value: {{x}}\n", 9, "in quotes"),
    (OPERATOR + "        value: [x, y\n    tags: [a]\n", 9, "is not closed"),
    (HEAD + "      - {field: action, operator: in, value: [a]\n      - {field: b}\n", 7, "is not closed"),
    (OPERATOR + "        value: !secret x\n", 9, "begins with ! in quotes"),
    (OPERATOR + "        value: &\n", 9, "a bare & begins an anchor"),
    (OPERATOR + '        value: "\\d+"\n', 9, "single quotes"),
    (OPERATOR + "        value: 'it's'\n", 9, "write a quote inside twice"),
    (OPERATOR + '        value: "a" or b\n', 9, "nothing may follow a closing quote"),
    (OPERATOR + '        value: "a\n', 9, "is not closed"),
    (OPERATOR + '        value: "a\n    tags: ["b"]\n', 9, "close it on this one"),
    (OPERATOR + "        value: a: b\n", 9, "a colon and a blank must be in quotes"),
    (OPERATOR + "          value: 3\n", 9, "indent"),
    (OPERATOR + "       value: 3\n", 9, "indent it exactly as the lines it belongs to"),
    (HEAD.replace("name: A", "name"), 4, "a key is followed by a colon and a blank"),
    ("rules:\n  -id: a\n   name: b\n", 2, "a dash and a blank"),
    ("rules:\n  - id: a\n---\nrules: []\n", 3, "a file holds one policy"),
    ("rules:\n  - &r {id: a}\n  - &r {id: b}\n", 3, "give each anchor a name of its own"),
    ("rules:\n  - {id: a,, name: b}\n", 2, "a comma too many"),
    ("%rules:\n  - id: a\n", 1, "a directive"),
    ('rules:\n  - id: "\x07"\n', 2, "take the character out"),
    ("rules:\n  - id: a\n    id: b\n    name: n\n    effect: DENY\n", 3, "is written twice"),
    ("rules:\n  - id: a\n    value: " + "[" * 1_500, 3, "nested deeper than 64 levels"),
    (OPERATOR + "        value: " + "[" * 33 + "]" * 33, 9, "nested deeper than 32 levels"),
    (
        CONDITION.replace("action", "k" + ".k" * 249) + '        operator: "=="\n        value: 1\n',
        7,
        "more than 64 parts",
    ),
]


@pytest.mark.parametrize(("text", "line", "remedy"), BROKEN)
def test_a_broken_file_is_refused_with_line_and_remedy(text: str, line: int, remedy: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_policy(text, "p.yaml")
    (fault,) = caught.value.faults
    assert fault.startswith(f"p.yaml:{line}: "), fault
    assert remedy in fault
    assert len(fault) < 700


def test_the_text_that_a_bare_operator_swallowed_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_policy(BROKEN[1][0], "p.yaml")
    assert caught.value.faults[0].startswith("p.yaml:8: rules[0].conditions[0].operator: has swallowed the lines below")


def test_texts_of_several_lines_are_taken_where_they_are_meant() -> None:
    text = OPERATOR + "        value: read\n    description: >\n      Ask the\n      team.\n"
    assert parse_policy(text).rules[0].description == "Ask the team.\n"
