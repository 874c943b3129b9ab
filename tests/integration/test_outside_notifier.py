"""A notifier from another package, as docs/connectors.md writes it: installed, configured and paged."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from support import looking_anew
from support.command import Ran, start
from support.scripted import Reply, ScriptedServer

PAGE = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text()
SECTION = PAGE.partition("## A notifier of your own\n")[2].partition("\n## ")[0]
(CODE,) = re.findall(r"```python\n(.*?)```", SECTION, re.S)
ENTRY, SETTINGS = re.findall(r"```toml\n(.*?)```", SECTION, re.S)


def install(folder: Path, entry: Mapping[str, str], code: str = CODE) -> None:
    """Install the package into the folder, as pip does: its module, and the metadata that names its entry points."""
    metadata = folder / "brain_mattermost-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "brain_mattermost.py").write_text(code)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: brain-mattermost\nVersion: 1.0\n")
    points = "\n".join(f"{kind} = {target}" for kind, target in entry.items())
    (metadata / "entry_points.txt").write_text(f"[brain.notifiers]\n{points}\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder below which the package is installed, in `site`."""
    install(tmp_path / "site", tomllib.loads(ENTRY)["project"]["entry-points"]["brain.notifiers"])
    return tmp_path


def run(folder: Path, *arguments: str, **variables: str) -> Ran:
    """`brain ...` in a child that has imported Brain already, and looks for packages anew."""
    out, err = folder / ".out", folder / ".err"
    environment = {"NO_COLOR": "1", "BRAIN_LOG_LEVEL": "error", **variables}
    child = start(folder, arguments, out, err, environment, main=looking_anew.main)
    child.join(120)
    return Ran(child.exitcode, out.read_text(), err.read_text())


async def test_it_is_configured_checked_and_paged(folder: Path) -> None:
    (folder / "brain.toml").write_text(SETTINGS)
    async with ScriptedServer() as server:
        server.replies = [Reply(200, "ok"), Reply(200, "ok")]
        checked = await asyncio.to_thread(run, folder, "alerts", "check-config", MATTERMOST_WEBHOOK=server.url)
        assert checked.code == 0, checked.err
        assert "notifiers: room (mattermost)" in checked.out
        tested = await asyncio.to_thread(run, folder, "alerts", "test", "room", MATTERMOST_WEBHOOK=server.url)
    assert tested.code == 0, tested.err
    trigger, resolve = server.requests
    assert '"text":"TEST: this is a test' in trigger
    assert '"text":"TEST: resolved: ' in resolve


def test_a_fault_in_its_settings_names_the_field(folder: Path) -> None:
    (folder / "brain.toml").write_text(
        '[alerting.notifiers.room]\nkind = "mattermost"\nwebhook = "https://x"\nat_most = 0\n'
    )
    checked = run(folder, "alerts", "check-config")
    assert checked.code == 2
    assert "alerting.notifiers.room.webhook_url " in checked.err
    assert "alerting.notifiers.room.at_most " in checked.err
    assert "no such setting; did you mean webhook_url?" in checked.err


def test_its_secret_is_looked_for_by_name(folder: Path) -> None:
    (folder / "brain.toml").write_text(SETTINGS)
    checked = run(folder, "alerts", "check-config")
    assert checked.code == 2
    assert "alerting.notifiers.room.webhook_url: the environment variable MATTERMOST_WEBHOOK" in checked.err


def test_an_unknown_kind_lists_the_installed_ones(folder: Path) -> None:
    (folder / "brain.toml").write_text('[alerting.notifiers.room]\nkind = "matermost"\n')
    checked = run(folder, "alerts", "check-config")
    assert checked.code == 2
    assert "alerting.notifiers.room.kind " in checked.err
    assert "apprise, email, mattermost, pagerduty, slack, webhook" in " ".join(checked.err.split())


@pytest.mark.parametrize(
    ("entry", "code", "words"),
    [
        ({"mattermost": "brain_mattermost:Missing"}, CODE, "cannot be loaded"),
        ({"mattermost": "brain_mattermost:Mattermost"}, "import nothing_of_the_kind\n", "cannot be loaded"),
        ({"mattermost": "brain_mattermost:MattermostSettings"}, CODE, "is not a subclass of"),
    ],
)
def test_a_package_that_is_broken_is_named(tmp_path: Path, entry: dict[str, str], code: str, words: str) -> None:
    install(tmp_path / "site", entry, code)
    (tmp_path / "brain.toml").write_text('[alerting.notifiers.room]\nkind = "mattermost"\nwebhook_url = "https://x"\n')
    checked = run(tmp_path, "alerts", "check-config")
    assert checked.code == 2
    assert "notifier kind 'mattermost'" in checked.err
    assert words in " ".join(checked.err.split())


def test_a_kind_that_is_installed_twice_is_refused(tmp_path: Path) -> None:
    install(tmp_path / "site", {"slack": "brain_mattermost:Mattermost"})
    (tmp_path / "brain.toml").write_text('[alerting.notifiers.room]\nkind = "slack"\nwebhook_url = "https://x"\n')
    checked = run(tmp_path, "alerts", "check-config")
    assert checked.code == 2
    assert "both brain.connectors.slack:Slack and brain_mattermost:Mattermost" in " ".join(checked.err.split())
