"""A package in the first version's form, a module and a consumer: read for one release."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from support.outside import Environment, Started
from support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("outside")


def test_its_module_and_its_consumer_run_as_before(outside: Environment, tmp_path: Path) -> None:
    with (
        Started(outside, "serve", folder=tmp_path) as server,
        httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client,
    ):
        assert client.post("/api/tides/east").json() is True
        wait_until(lambda: client.get("/api/floods").json() == ["east"])
        assert "tides 3.0" in client.get("/metrics").text
        assert client.get("/readyz").json()["checks"]["tides"] == "ok"
        assert "tides.high" in {entry["name"] for entry in client.get("/api/events/catalogue").json()}
        listed = {entry["name"]: entry for entry in client.get("/api/plugins").json()}
    assert listed["tides"]["purpose"] == "Tides at each harbour."
    assert (listed["floods"]["listens"], listed["floods"]["runs_here"]) == (["*"], True)


def test_its_author_is_warned(outside: Environment, tmp_path: Path) -> None:
    ran = outside.run("-W", "always", "-c", "from brain.plugins import plugins; plugins()", folder=tmp_path)
    assert ran.returncode == 0
    for name, group in (("tides", "brain.modules"), ("floods", "brain.consumers")):
        assert f"DeprecationWarning: entry point '{name}' of {group} (brain_{name}): use the group brain.plugins" in (
            ran.stderr
        )


def test_it_can_be_left_out_of_the_server(outside: Environment, tmp_path: Path) -> None:
    (tmp_path / "brain.toml").write_text('consumers = ["audit"]\n')
    with Started(outside, "serve", folder=tmp_path) as server:
        listed = httpx.get(f"{server.url}/api/plugins", timeout=60, trust_env=False).json()
        with Started(outside, "worker", "floods", folder=tmp_path):
            pass
    assert {entry["name"]: entry["runs_here"] for entry in listed}["floods"] is False
