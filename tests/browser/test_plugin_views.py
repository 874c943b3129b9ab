"""Views that plug-ins bring to the page: shown by their own script, and harmless when that is broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from browser.looks import check_looks
from browser.page import Watch
from support.outside import Environment, Started, files_on_page, write

KEY = "a-long-key"
ALONE = 'consumers = ["weather"]\n'
"""No other plug-in runs tasks in these servers."""
BROKEN = {
    "import": 'import "./no-such-file.js";\nexport function show() {}\n',
    "export": "export const shows = 1;\n",
    "show": 'export function show(element) {\n  element.append("half");\n  throw new Error("no barometer");\n}\n',
    "update": 'export function show() {\n  return { update() { throw new Error("no barometer"); } };\n}\n',
    "watch": "export function show(element, api) {\n"
    '  api.watch("/api/plugins", () => { throw new Error("no barometer"); });\n}\n',
}
"""How a script can be broken, and how it reads."""
VIEW = "src/brain_weather/page/view.js"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with Environment(tmp_path_factory.mktemp("environment") / "env") as made:
        made.install(write(files_on_page(), tmp_path_factory.mktemp("package")))
        yield made


@pytest.fixture(scope="module")
def weather(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "brain.toml").write_text(ALONE)
    with Started(environment, "serve", folder=folder) as server:
        measure(server, "north", 26)
        measure(server, "<b>south</b>", 7.5)
        yield server


def measure(server: Started, station: str, wind: float, key: str = KEY) -> None:
    body = {"station": station, "wind": wind}
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.post(f"{server.url}/api/weather/measurements", json=body, headers=headers, trust_env=False)
    assert answer.is_success


def shown(tab: Page, server: Started) -> None:
    tab.goto(f"{server.url}/#/weather")
    expect(tab.locator("#main")).to_have_attribute("data-view", "weather")


def test_the_view_is_shown_by_its_own_script(tab: Page, weather: Started) -> None:
    shown(tab, weather)
    link = tab.locator("#views").get_by_role("link", name="Weather")
    expect(link).to_have_attribute("aria-current", "page")
    expect(tab.locator('#views [data-section="Now"] a')).to_have_text(["Overview", "Events", "Weather"])
    rows = tab.locator("#main tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("<b>south</b>7.5 m/s0")
    expect(tab).to_have_title("Weather · BRAiN EventStream")
    check_looks(tab)


def test_the_view_follows_its_events_and_stops_when_it_is_left(tab: Page, weather: Started) -> None:
    shown(tab, weather)
    expect(tab.locator("#main tbody tr")).to_have_count(2)
    measure(weather, "north", 30)
    expect(tab.locator("#main tbody tr", has_text="north")).to_contain_text("30 m/s")
    tab.locator("#views").get_by_role("link", name="Policy").press("Enter")
    expect(tab.get_by_role("heading", level=1, name="Policy")).to_be_focused()
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    measure(weather, "north", 31)
    tab.locator("#views").get_by_role("link", name="Events").press("Enter")
    expect(tab.locator(".event-row", has_text="weather.storm_seen").first).to_contain_text("31")
    assert not [url for url in asked if "weather" in url and "pattern" not in url]
    tab.locator("#views").get_by_role("link", name="Weather").press("Enter")
    expect(tab.get_by_role("heading", level=1, name="Weather")).to_be_focused()
    expect(tab.locator("#main tbody tr", has_text="north")).to_contain_text("31 m/s")


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_script_is_named_and_breaks_nothing_else(
    tab: Page, watch: Watch, weather: Started, environment: Environment, how: str
) -> None:
    (folder,) = environment.folder.glob("lib/*/site-packages/brain_weather/page")
    script = folder / "view.js"
    try:
        script.unlink()  # it may be a link into uv's cache
        script.write_text(BROKEN[how])
        shown(tab, weather)
        fault = tab.get_by_role("alert").filter(has_text="Weather: /plugins/weather/view.js failed")
        expect(fault).to_contain_text("it exports no function" if how == "export" else "")
        expect(fault).to_contain_text("no barometer" if how in ("show", "update", "watch") else "")
        expect(fault).to_be_visible()
        tab.locator("#views").get_by_role("link", name="Policy").press("Enter")
        expect(tab.get_by_role("heading", level=1, name="Policy")).to_be_focused()
        expect(tab.locator(".badge")).to_have_attribute("data-state", "live")
        expect(fault).to_have_count(0)
    finally:
        script.write_text(files_on_page()[VIEW])
    assert len(watch.faults) >= 1
    assert all("/plugins/weather/view.js failed" in line for line in watch.faults)
    watch.faults.clear()


def test_the_view_waits_for_the_key(tab: Page, watch: Watch, tmp_path: Path, environment: Environment) -> None:
    """Nothing of a plug-in is served without the key, its script included; after signing in the view is there."""
    (tmp_path / "brain.toml").write_text(f'{ALONE}api_key = "{KEY}"\n')
    with Started(environment, "serve", folder=tmp_path) as server:
        assert httpx.get(f"{server.url}/plugins/weather/view.js", trust_env=False).status_code == 401
        measure(server, "north", 5)
        tab.goto(f"{server.url}/#/weather")
        tab.get_by_label("API key").fill(KEY)
        tab.get_by_role("button", name="Sign in").click()
        expect(tab.locator("#main tbody tr")).to_have_count(1)
        tab.context.clear_cookies()  # the session ends while another view is shown
        tab.locator("#views").get_by_role("link", name="Policy").press("Enter")
        tab.get_by_label("API key").fill(KEY)
        tab.get_by_role("button", name="Sign in").click()
        expect(tab.get_by_role("dialog")).to_be_hidden()  # while it is shown, nothing else takes a key
        tab.locator("#views").get_by_role("link", name="Weather").press("Enter")
        expect(tab.locator("#main tbody tr")).to_have_count(1)
