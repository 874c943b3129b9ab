from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brain.charter import Pattern
from brain.demo.tally import CORE_TYPES
from brain.docs_gen import consumers, modules
from brain.docs_gen.asyncapi import asyncapi_document
from brain.docs_gen.files import generated_files
from brain.docs_gen.markdown import type_text
from brain.plugins import catalogue

PROJECT = Path(__file__).parents[2]


def test_the_files_in_the_repository_are_what_the_code_generates() -> None:
    files = generated_files(PROJECT / "docs" / "events")
    stale = [path.name for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text]
    assert stale == [], "run `make docs`"
    written = set((PROJECT / "docs" / "events").iterdir())
    assert written <= files.keys(), "a document of a module that is no more"


def test_the_thirteen_core_types_are_declared_with_the_priority_and_frequency_of_the_specification() -> None:
    specified = {
        "policy.rule_evaluated": ("HIGH", "High"),
        "policy.rule_created": ("MEDIUM", "Low"),
        "policy.rule_updated": ("MEDIUM", "Low"),
        "policy.rule_deleted": ("MEDIUM", "Low"),
        "policy.rule_enabled": ("MEDIUM", "Low"),
        "policy.rule_disabled": ("MEDIUM", "Low"),
        "policy.action_denied": ("CRITICAL", "Medium"),
        "threat.detected": ("CRITICAL", "Medium"),
        "threat.status_changed": ("HIGH", "Medium"),
        "threat.escalated": ("CRITICAL", "Low"),
        "threat.mitigated": ("HIGH", "Medium"),
        "immune.event_published": ("HIGH", "Medium"),
        "immune.critical_event": ("CRITICAL", "Low"),
    }
    assert set(CORE_TYPES) == specified.keys()
    declared = {name: (event.priority.value, event.frequency.value) for name, event in catalogue().items()}
    assert {name: declared.get(name) for name in specified} == specified


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_document_has_every_part_for_every_event(module: Any) -> None:
    path = PROJECT / "docs" / "events" / f"{module.name.upper()}.md"
    text = generated_files(PROJECT / "docs" / "events")[path]
    for heading in ("## Overview", "## Event catalogue", "## Event specifications", "## Consumer guide"):
        assert heading in text
    examples = [json.loads(found) for found in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    assert [example["type"] for example in examples] == [event.name for event in module.events]
    for example, event in zip(examples, module.events, strict=True):
        assert list(example) == ["id", "type", "source", "target", "timestamp", "payload", "meta"]
        for key in event.payload.__annotations__:
            assert f"| `{key}` |" in text
    for scenario in module.scenarios:
        assert f"### {scenario.title}\n" in text
        assert all(event in module.events for event, _ in scenario.steps)
    linked = set(re.findall(r"\(#(\w+)\)", text))
    headings = {re.sub(r"[^\w-]", "", heading) for heading in re.findall(r"^### `(.*)`$", text, re.MULTILINE)}
    assert linked == headings


def test_recommended_consumers_subscribe_to_types_that_exist() -> None:
    for consumer in consumers():
        for pattern in consumer.listens:
            if pattern.startswith("*"):  # types of users too, which are in no catalogue
                continue
            assert any(Pattern(pattern).matches(name) for name in catalogue()), (consumer.name, pattern)


def test_the_asyncapi_document_describes_every_type_and_all_its_references_resolve() -> None:
    document = asyncapi_document(modules())
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == set(catalogue())
    references = list(_references(document))
    assert len(references) > len(catalogue())
    for reference in references:
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    for name, message in document["components"]["messages"].items():
        assert message["examples"][0]["payload"]["type"] == name
        assert message["payload"]["properties"]["type"]["const"] == name


def test_generating_twice_gives_the_same(tmp_path: Path) -> None:
    assert generated_files(tmp_path) == generated_files(tmp_path)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "string"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"type": "array", "items": {"type": "integer"}}, "array of integer"),
        ({"type": "array"}, "array"),
        ({"enum": ["A", "B"]}, "`A`, `B`"),
        ({"$ref": "Named"}, "object"),
        ({}, "any value"),
    ],
)
def test_types_in_words(schema: dict[str, Any], text: str) -> None:
    assert type_text(schema, {"Named": {"type": "object"}}) == text


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
