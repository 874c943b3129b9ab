"""docs/webhooks-in.md: its settings load, its table lists them all, its mapping maps, its commands run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from brain.errors import InvalidInput
from brain.links.commands import app
from brain.links.inbound import inbound_connectors
from brain.links.mapping import map_items
from brain.links.settings import ConnectorSettings, InboundSettings
from brain.policy.models import Rule
from brain.settings import load_settings
from support import tap
from support.webhook_senders import SECRET

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks-in.md").read_text()
TOML = "\n".join(re.findall(r"^```toml\n(.*?)^```", PAGE, re.M | re.S))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "brain.toml").write_text(TOML)
    (tmp_path / "deploy-secret").write_text("a secret of the deployments")
    monkeypatch.setenv("GITHUB_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("ALERTMANAGER_TOKEN", SECRET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_settings_and_the_mapping(folder: Path) -> None:
    settings = load_settings().table(ConnectorSettings)
    assert list(settings.inbound) == ["github", "alerts", "orders", "deploys"]
    mapping = inbound_connectors(settings)["deploys"].mapping
    body = {"run": 7, "deployments": [{"service": "shop", "tag": "v1"}, {"service": "cart", "version": "v2"}]}
    shop, cart = map_items(mapping, body, {}, "digest")
    assert (shop.key, shop.fields) == ("7 shop", {"service": "shop", "version": "v1", "run": 7, "origin": "ci"})
    assert (cart.key, cart.fields["version"]) == ("7 cart", "v2")
    (rule,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.M | re.S)
    assert Rule(**json.loads(rule)).id == "ops-may-alert"


def test_every_setting_is_in_the_table() -> None:
    section = PAGE.partition("In `[connectors.inbound.NAME]`:")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.M))
    assert rows.keys() == InboundSettings.model_fields.keys()
    for name, field in InboundSettings.model_fields.items():
        if isinstance(field.default, str | int | float):
            assert rows[name] == f"`{field.default}`"
    named = PAGE.partition("In `[connectors]`:")[2].partition("\n\n")[0]
    assert {*re.findall(r"`(\w+)`", named)} >= ConnectorSettings.model_fields.keys()


def brain(command: str) -> Result:
    """Run `brain connectors ...` in this process: each of its own would take a second."""
    return CliRunner().invoke(app, shlex.split(command)[1:])


def test_the_commands(folder: Path) -> None:
    orders = f'command = [{json.dumps("python3")}, {json.dumps(tap.__file__)}, "60"]'
    (folder / "brain.toml").write_text(TOML.replace('command = ["tap-jsonl", "--config", "orders.json"]', orders))
    ran = brain("connectors singer orders")
    assert (ran.exit_code, ran.stdout) == (0, "orders: 60 records, 0 known, 1 states\n"), ran.exception
    commands = re.findall(r"^    \$ brain (connectors .*?)(?: > .*)?$", PAGE, re.M)
    assert len(commands) == 7
    for command in commands:
        ran = brain(command)
        assert ran.exit_code == 0, (command, ran.exception)
    assert ran.stdout == '{"bookmarks": {"orders": 49}}\n'
    names = [one["name"] for one in json.loads(brain("connectors list --json").stdout)]
    assert names == ["alerts", "deploys", "github", "orders", "am"]
    assert isinstance(brain("connectors singer github").exception, InvalidInput)
    assert brain("connectors test am").exit_code == 1
