"""A ticket system of another package, as docs/connectors.md shows it: installed, configured, and used."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from brain.connectors.webhook import sign
from brain.secret import Secret
from support.installed import install
from support.ports import free_port
from support.server import BRAIN
from support.waiting import wait_until

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "docs" / "connectors.md").read_text().partition("\n## A ticket system of your own\n")[2]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", SECTION.partition("\n## ")[0], re.S)
MODULE, PYPROJECT, TABLE = (text for _, text in BLOCKS)
SECRET = "a secret that only the tracker and we know"


class Tracker(ThreadingHTTPServer):
    """The in-house tracker of the docs: tickets by key, in memory."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tickets: dict[str, dict[str, Any]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Tracker

    def _answer(self) -> None:
        key = self.path.rpartition("/")[2]
        content = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        new = key not in self.server.tickets
        ticket = self.server.tickets.setdefault(key, {"state": "NEW", "comments": {}, **content})
        if "comment" in content:
            ticket["comments"].setdefault(content["reference"], content["comment"])
        ticket["state"] = content.get("state", ticket["state"])
        body = json.dumps({"state": ticket["state"], "changed": new}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = _answer  # noqa: N815  (the names that http.server calls)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    with Tracker() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    packages = install(tmp_path / "packages", PYPROJECT, {"brain_tracker/__init__.py": MODULE})
    own = {name: value for name, value in os.environ.items() if not name.startswith("BRAIN_")}
    return {**own, "PYTHONPATH": str(packages), "TRACKER_WEBHOOK_SECRET": SECRET, "NO_COLOR": "1"}


def run(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*BRAIN, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def client(tmp_path: Path, environment: dict[str, str], tracker: Tracker) -> Iterator[httpx.Client]:
    common = 'consumers = ["incidents"]\n[incidents]\ncomment_seconds = 0.0\npoll_seconds = 3600\n'
    (tmp_path / "brain.toml").write_text(common + TABLE.replace("http://127.0.0.1:8800", tracker.url))
    port = free_port()
    command = [*BRAIN, "serve", "--port", str(port)]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=log, stdout=log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=60, trust_env=False) as made,
    ):
        try:
            wait_until(lambda: answers(made) or process.poll() is not None, 120)
            assert process.poll() is None, (tmp_path / "log").read_text()
            yield made
        finally:
            process.terminate()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/incidents").is_success
    except httpx.TransportError:
        return False


def test_it_is_used_as_jira_and_servicenow_are(
    tmp_path: Path, environment: dict[str, str], tracker: Tracker, client: httpx.Client
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

    shown = run(tmp_path, environment, "incidents", "show", "1")
    assert f"ticket: tracker {key} RESOLVED {tracker.url}/tickets/{key}" in shown.stdout


def test_a_wrong_table_is_refused_with_the_nearest_kind(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "brain.toml").write_text(TABLE.replace("incidents.tracker", "incidents.trackr"))
    ended = run(tmp_path, environment, "incidents", "list")
    assert ended.returncode == 2
    assert "did you mean tracker?" in ended.stderr
    (tmp_path / "brain.toml").write_text("[incidents.tracker]\ncolour = 'red'\n")
    ended = run(tmp_path, environment, "incidents", "list")
    assert ended.returncode == 2
    assert "incidents.tracker.url" in ended.stderr  # the model of the package says what is missing
    assert "incidents.tracker.colour" in ended.stderr


@pytest.mark.parametrize("kind", ["threats", "poll_seconds"])
def test_a_kind_with_the_name_of_something_else_is_refused(tmp_path: Path, kind: str) -> None:
    pyproject = PYPROJECT.replace("tracker = ", f"{kind} = ")
    packages = install(tmp_path / "packages", pyproject, {"brain_tracker/__init__.py": MODULE})
    ended = run(tmp_path, {**os.environ, "PYTHONPATH": str(packages), "NO_COLOR": "1"}, "incidents", "list")
    assert ended.returncode == 2
    assert f"ticket system '{kind}': this name is reserved" in " ".join(ended.stderr.split())


def test_the_page_names_no_ticket_system() -> None:
    scripts = sorted((ROOT / "src" / "brain" / "server" / "static").glob("*.js"))
    assert len(scripts) > 10
    assert not [script.name for script in scripts if re.search("jira|servicenow", script.read_text(), re.I)]
