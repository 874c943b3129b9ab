"""The package that docs/plugins.md shows, as a stranger uses it: built, installed, configured, run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.outside import BRAIN, ROOT, Environment, Started, files_on_page, write
from support.scripted import Reply, ScriptedServer
from support.tracker import Tracker
from support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("outside")

LINES = 40
"""Most lines of a file on the page."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(files_on_page(), tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def served(outside: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "brain.toml").write_text("[weather]\nstorm_at = 20.0\n")
    with Started(outside, "serve", folder=folder) as server:
        yield server


@pytest.fixture
def client(served: Started) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=60, trust_env=False) as client:
        yield client


def test_each_file_on_the_page_is_short() -> None:
    files = files_on_page()
    assert len(files) > 10
    assert {path: len(text.splitlines()) for path, text in files.items() if len(text.splitlines()) > LINES} == {}


def test_its_own_tests_pass(outside: Environment, package: Path) -> None:
    ran = outside.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", folder=package)
    assert (ran.returncode, "2 passed" in ran.stdout) == (0, True), ran.stdout + ran.stderr


def test_its_imports_keep_to_the_floor(outside: Environment, package: Path) -> None:
    """The contract on the page holds for the package, and fails for an import that it forbids."""
    check = "from importlinter.cli import lint_imports_command as check; check()"
    ran = outside.run("-c", check, folder=package)
    assert (ran.returncode, "1 kept, 0 broken" in ran.stdout) == (0, True), ran.stdout + ran.stderr
    config = (package / ".importlinter").read_text()
    (package / "wrong").mkdir()
    (package / "wrong" / ".importlinter").write_text(config.replace("    brain.policy\n", "    brain.kit\n"))
    ran = outside.run("-c", check, folder=package / "wrong")
    assert (ran.returncode, "brain_weather is not allowed to import brain.kit" in ran.stdout) == (1, True)


def test_its_routes_answer_and_its_consumer_runs_by_default(client: httpx.Client) -> None:
    """Settings from brain.toml count: 21 m/s is a storm here, and none by default."""
    reports = [client.post("/api/weather/measurements", json={"station": "north", "wind": wind}) for wind in (7, 21)]
    assert [report.json() for report in reports] == [{"storm": False}, {"storm": True}]

    def stations() -> list[tuple[str, float, int]]:
        listed = client.get("/api/weather/stations").json()
        return [(station["station"], station["wind"], station["storms"]) for station in listed]

    wait_until(lambda: stations() == [("north", 21.0, 1)])
    groups = {group["name"]: group["pattern"] for group in client.get("/api/groups").json()}
    assert groups["brain.weather"] == "weather.*"
    bad = client.post("/api/weather/measurements", json={"station": "north", "wind": -1})
    assert (bad.status_code, bad.json()["faults"][0].partition(":")[0]) == (422, "wind")
    assert "/api/weather/stations" in client.get("/openapi.json").json()["paths"]


def test_its_metrics_and_its_check_are_the_servers(client: httpx.Client) -> None:
    client.post("/api/weather/measurements", json={"station": "south", "wind": 3})
    wait_until(lambda: 'weather_wind{station="south"} 3.0' in client.get("/metrics").text)
    assert client.get("/readyz").json()["checks"]["weather"] == "ok"


def test_the_server_lists_it_with_its_view(client: httpx.Client) -> None:
    (entry,) = [found for found in client.get("/api/plugins").json() if found["name"] == "weather"]
    assert entry == {
        "name": "weather",
        "purpose": "Keeps the wind at each station, and warns of storms.",
        "event_types": ["weather.wind_measured", "weather.storm_seen"],
        "listens": ["weather.*"],
        "group": "brain.weather",
        "runs_here": True,
        "view": {"title": "Weather", "section": "Now", "script": "/plugins/weather/view.js"},
    }
    script = client.get("/plugins/weather/view.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["cache-control"] == "no-cache"
    assert script.text == files_on_page()["src/brain_weather/page/view.js"]
    assert client.get("/plugins/weather/../plugin.py").status_code == 404
    assert client.get("/plugins/weather/%2e%2e/plugin.py").status_code == 404


def test_its_events_are_in_every_catalogue(client: httpx.Client, outside: Environment, tmp_path: Path) -> None:
    listed = {entry["name"]: entry for entry in client.get("/api/events/catalogue").json()}
    assert listed["weather.storm_seen"]["example"] == {"station": "north", "wind": 26.0}
    printed = json.loads(outside.brain("events", "catalogue", "--json", folder=tmp_path).stdout)
    assert listed["weather.storm_seen"] in printed
    outside.brain("events", "catalogue", "--write", "docs/events", folder=tmp_path)
    document = (tmp_path / "docs" / "events" / "WEATHER.md").read_text()
    assert "Weather: the wind at each station" in document
    assert "| weather | `brain.weather` | `weather.*` | all |" in document
    assert "weather.storm_seen" in (tmp_path / "docs" / "asyncapi.json").read_text()


def test_its_command_reads_what_the_server_wrote(client: httpx.Client, outside: Environment, served: Started) -> None:
    client.post("/api/weather/measurements", json={"station": "west", "wind": 30})
    wait_until(lambda: "west: 30 m/s, 1 storms" in outside.brain("weather", "list", folder=served.folder).stdout)
    listed = json.loads(outside.brain("weather", "list", "--json", folder=served.folder).stdout)
    assert {"station": "west", "wind": 30.0, "storms": 1}.items() <= listed[-1].items()
    helped = outside.run("-c", BRAIN, "--help", folder=served.folder)
    assert "Weather: list stations and their wind." in helped.stdout


def test_misspelt_settings_are_refused_with_the_nearest_name(outside: Environment, tmp_path: Path) -> None:
    (tmp_path / "brain.toml").write_text("[weather]\nstorm_att = 20.0\n")
    ran = outside.brain("events", "tail", folder=tmp_path)
    assert ran.returncode == 2
    assert "did you mean storm_at?" in ran.stderr
    (tmp_path / "brain.toml").write_text("[wether]\nstorm_at = 20.0\n")
    assert "did you mean weather?" in outside.brain("events", "tail", folder=tmp_path).stderr


def test_its_tasks_run_in_a_worker_of_their_own(outside: Environment, tmp_path: Path) -> None:
    (tmp_path / "brain.toml").write_text('consumers = ["audit"]\n')
    with Started(outside, "serve", folder=tmp_path) as server:
        client = httpx.Client(base_url=server.url, timeout=60, trust_env=False)
        (entry,) = [found for found in client.get("/api/plugins").json() if found["name"] == "weather"]
        assert entry["runs_here"] is False
        client.post("/api/weather/measurements", json={"station": "east", "wind": 9})
        wait_until(lambda: client.get("/api/events?pattern=weather.*").json()["events"])
        assert client.get("/api/weather/stations").json() == []
        with Started(outside, "worker", "weather", folder=tmp_path):
            wait_until(lambda: [station["wind"] for station in client.get("/api/weather/stations").json()] == [9.0])
        client.close()


async def test_its_notifier_is_paged(outside: Environment, tmp_path: Path) -> None:
    table = '[alerting.notifiers.coast]\nkind = "radio"\ntoken = "t0ken"\n'
    async with ScriptedServer() as radio:
        radio.replies = [Reply(200, "ok"), Reply(200, "ok")]
        (tmp_path / "brain.toml").write_text(f'{table}url = "{radio.url}"\n')
        checked = await asyncio.to_thread(outside.brain, "alerts", "check-config", folder=tmp_path)
        assert "coast (radio)" in checked.stdout, checked.stderr
        tested = await asyncio.to_thread(outside.brain, "alerts", "test", "coast", folder=tmp_path)
    assert tested.returncode == 0, tested.stderr
    trigger, _ = radio.requests
    assert "Authorization: Bearer t0ken" in trigger
    assert '"title":"TEST' in trigger
    (tmp_path / "brain.toml").write_text(table.replace("radio", "radoi"))
    refused = await asyncio.to_thread(outside.brain, "alerts", "check-config", folder=tmp_path)
    assert "apprise, email, pagerduty, radio, slack, webhook" in " ".join(refused.stderr.split())


def test_its_ticket_system_has_a_ticket_for_each_incident(outside: Environment, tmp_path: Path) -> None:
    with Tracker().running() as logbook:
        settings = (
            f'[incidents]\ncomment_seconds = 0.0\npoll_seconds = 0.2\n[incidents.logbook]\nurl = "{logbook.url}"\n'
        )
        (tmp_path / "brain.toml").write_text(settings)
        with (
            Started(outside, "serve", folder=tmp_path) as server,
            httpx.Client(base_url=f"{server.url}/api", timeout=60, trust_env=False) as client,
        ):
            id = client.post("/incidents", json={"title": "the pier is under water"}).json()["id"]

            def ticket() -> dict[str, object]:
                (found,) = client.get(f"/incidents/{id}").json()["mirrors"]
                return dict(found)

            wait_until(lambda: ticket()["state"] == "NEW")
            assert ticket()["url"] == f"{logbook.url}/entries/brain-{id}"
            assert "the pier is under water" in logbook.tickets[f"brain-{id}"]["title"]
            logbook.tickets[f"brain-{id}"]["state"] = "RESOLVED"  # by the harbour master
            wait_until(lambda: client.get(f"/incidents/{id}").json()["state"] == "RESOLVED")
    (tmp_path / "brain.toml").write_text('[incidents.logbok]\nurl = "x"\n')
    assert "did you mean logbook?" in outside.brain("incidents", "list", folder=tmp_path).stderr


def test_the_page_in_the_docs_names_this_test() -> None:
    assert Path(__file__).relative_to(ROOT).as_posix() in (ROOT / "docs" / "plugins.md").read_text()
