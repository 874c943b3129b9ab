"""A ticket system of another package, as docs/connectors.md shows it: built, installed, configured, and used."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from brain.connectors.webhook import sign
from brain.secret import Secret
from support.outside import ROOT, Environment, Started, files_in, ticket_system
from support.tracker import Tracker
from support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("outside")

FILES = files_in(ticket_system())
TABLE = re.findall(r"```toml\n(\[incidents.*?)```", ticket_system(), re.S)[0]
SECRET = "a secret that only the tracker and we know"


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    with Tracker().running() as server:
        yield server


@pytest.fixture
def client(tmp_path: Path, outside: Environment, tracker: Tracker) -> Iterator[httpx.Client]:
    common = 'consumers = ["incidents"]\n[incidents]\ncomment_seconds = 0.0\npoll_seconds = 3600\n'
    (tmp_path / "brain.toml").write_text(common + TABLE.replace("http://127.0.0.1:8800", tracker.url))
    (tmp_path / "tracker-secret").write_text(SECRET)
    with (
        Started(outside, "serve", folder=tmp_path) as server,
        httpx.Client(base_url=f"{server.url}/api", timeout=60, trust_env=False) as made,
    ):
        yield made


def test_it_is_short() -> None:
    assert {path for path, text in FILES.items() if len(text.splitlines()) > 40} == set()
    assert sorted(FILES) == ["pyproject.toml", "src/brain_tracker/__init__.py"]


def test_it_is_used_as_jira_and_servicenow_are(
    tmp_path: Path, outside: Environment, tracker: Tracker, client: httpx.Client
) -> None:
    id = client.post("/incidents", json={"title": "wrong invoices"}).json()["id"]

    def ticket() -> dict[str, Any]:
        (found,) = client.get(f"/incidents/{id}").json()["mirrors"]
        return dict(found)

    wait_until(lambda: ticket()["state"] == "NEW")
    key = f"brain-{id}"
    assert ticket() == {"system": "tracker", "key": key, "url": f"{tracker.url}/tickets/{key}"} | {
        "state": "NEW",
        "error": None,
    }
    assert tracker.tickets[key]["title"] == "Incident 1: wrong invoices"
    client.post(f"/incidents/{id}/notes", json={"text": "the tax table is old", "by": "ann"})
    wait_until(lambda: any("the tax table is old" in text for text in tracker.tickets[key]["comments"].values()))

    tracker.tickets[key]["state"] = "RESOLVED"
    body = json.dumps({"ticket": key}).encode()
    headers = {"Content-Type": "application/json", **sign(Secret(SECRET), "change-1", body, time.time())}
    unsigned = {"Content-Type": "application/json"}
    assert client.post("/incidents/webhooks/tracker", content=body, headers=unsigned).status_code == 401
    answer = client.post("/incidents/webhooks/tracker", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (202, {"ticket": key, "known": True})
    wait_until(lambda: client.get(f"/incidents/{id}").json()["state"] == "RESOLVED")

    shown = outside.brain("incidents", "show", "1", folder=tmp_path)
    assert f"ticket: tracker {key} RESOLVED {tracker.url}/tickets/{key}" in shown.stdout


def test_a_wrong_table_is_refused_with_the_nearest_kind(tmp_path: Path, outside: Environment) -> None:
    (tmp_path / "brain.toml").write_text(TABLE.replace("incidents.tracker", "incidents.trackr"))
    ended = outside.brain("incidents", "list", folder=tmp_path)
    assert ended.returncode == 2
    assert "did you mean tracker?" in ended.stderr
    (tmp_path / "brain.toml").write_text("[incidents.tracker]\ncolour = 'red'\n")
    ended = outside.brain("incidents", "list", folder=tmp_path)
    assert ended.returncode == 2
    assert "incidents.tracker.url" in ended.stderr  # the model of the package says what is missing
    assert "incidents.tracker.colour" in ended.stderr


def test_the_page_names_no_ticket_system() -> None:
    scripts = sorted((ROOT / "src" / "brain" / "server" / "static").glob("*.js"))
    assert len(scripts) > 10
    assert not [script.name for script in scripts if re.search("jira|servicenow", script.read_text(), re.I)]
