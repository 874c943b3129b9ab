"""docs/alerting.md names every setting, and its example is usable."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from brain.alerting import settings
from brain.alerting.configuration import configuration
from brain.alerting.settings import AlertingSettings
from brain.connectors.notifiers import NOTIFIERS

DOCS = (Path(__file__).parents[2] / "docs" / "alerting.md").read_text()
TABLES: list[Any] = [
    AlertingSettings,
    settings.RouteSettings,
    settings.EscalationSettings,
    settings.InhibitSettings,
    settings.HoursSettings,
    settings.RotationSettings,
    *(NOTIFIERS.find(kind).settings_model for kind in NOTIFIERS.kinds()),
]


@pytest.mark.parametrize("table", TABLES)
def test_every_setting_is_in_the_docs(table: Any) -> None:
    for name, field in table.model_fields.items():
        assert re.search(rf"`[^`]*\b{field.alias or name}\b[^`]*`|^ +{name} =", DOCS, re.M), name


def test_the_examples_are_usable() -> None:
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", DOCS, re.M)
    written = "\n".join(dedent(block) for block in blocks if "[alerting" in block)
    table = tomllib.loads(written)["alerting"]
    table["notifiers"] |= {name: {"kind": "slack", "webhook_url": "https://x"} for name in ("ann", "ben")}
    found = configuration(AlertingSettings.model_validate(table))
    assert [route.name for route in found.routes] == ["urgent", "all"]
    assert found.resolve_receiver("oncall", 1_767_600_000.0) in ("ann", "ben")
