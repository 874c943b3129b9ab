"""An installation without its metadata, with that of another version, from a zip, or with files missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from brain.plugins import plugins
from brain.plugins.own import points

ROOT = Path(__file__).parents[2]
BRAIN = ROOT / "src" / "brain"
CORE_USER = ROOT / "tests" / "support" / "core_user.py"
LOOK = """
import json
from brain import catalogue
from brain.plugins import plugin_faults, plugins
print(json.dumps([list(plugins()), plugin_faults(), len(catalogue())]))
"""
OPEN = """
import asyncio
from brain import EventStream
async def main():
    await EventStream.open("memory://")
asyncio.run(main())
"""
OWN = list(plugins())
"""The names of its own plug-ins: no other is installed where the tests run."""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of packages with what the core needs, and no metadata of anything."""
    folder = tmp_path / "site"
    folder.mkdir()
    needed = [find_spec("msgspec"), find_spec("re2"), find_spec("_re2")]
    assert all(needed[:2])
    for spec in filter(None, needed):  # google-re2 1.1 has its library beside it
        assert spec.origin is not None
        found = Path(spec.origin)
        found = found.parent if spec.submodule_search_locations else found
        (folder / found.name).symlink_to(found)
    return folder


def run(site: Path, *program: str | Path, also: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python with these packages alone: neither the environment's own nor the program's folder."""
    path = str(site) if also is None else f"{also}{os.pathsep}{site}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRAIN_", "PYTHON"))}
    command = [sys.executable, "-S", "-P", *map(str, program)]
    environment = {**kept, "PYTHONPATH": path}
    return subprocess.run(command, cwd=site.parent, env=environment, capture_output=True, text=True, timeout=60)


def look(site: Path) -> tuple[list[object], str]:
    """The plug-ins, their faults, the number of event types; and what was logged."""
    done = run(site, "-c", LOOK)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def metadata(site: Path, version: str, points: str) -> None:
    """Install metadata of this package."""
    folder = site / f"brain_eventstream-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: brain-eventstream\nVersion: {version}\n")
    (folder / "entry_points.txt").write_text(points)


def without_caches(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name == "__pycache__"}


def test_what_is_known_without_metadata_is_what_the_metadata_says() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for group in ("brain.plugins", "brain.notifiers", "brain.ticket_systems"):
        assert {point.name: point.value for point in points(group)} == declared[group]


def test_without_metadata_everything_of_ours_works_and_what_is_unknown_is_said(site: Path) -> None:
    (site / "brain").symlink_to(BRAIN)
    done = run(site, CORE_USER)
    seen = json.loads(done.stdout)
    assert "threat.escalated" in seen["critical"]
    assert "the metadata of brain-eventstream is missing" in done.stderr
    assert "those of other packages only where their metadata is there" in done.stderr
    (found, faults, types), _ = look(site)
    assert (found, faults, types) == (OWN, [], seen["catalogue"])


def test_from_a_zip(site: Path, tmp_path: Path) -> None:
    packed = tmp_path / "brain.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for path in BRAIN.rglob("*.py"):
            file.write(path, path.relative_to(BRAIN.parent))
    done = run(site, CORE_USER, also=packed)
    assert done.returncode == 0, done.stderr
    assert {"threat.escalated", "policy.action_denied"} < set(json.loads(done.stdout)["critical"])


def test_metadata_of_an_older_version(site: Path) -> None:
    (site / "brain").symlink_to(BRAIN)
    metadata(site, "0.0.9", "[brain.plugins]\nsoc = brain.soc.plugin:PLUGIN\npolicy = brain.policy:PLUGIN\n")
    (found, faults, _), logged = look(site)
    assert (found, faults) == (OWN, [])
    assert "the metadata of brain-eventstream is that of 0.0.9, and this is 0.1.0; install it again" in logged


@pytest.fixture
def copied(site: Path) -> Iterator[Path]:
    """A copy of the package, to take files out of."""
    shutil.copytree(BRAIN, site / "brain", ignore=without_caches)
    yield site / "brain"
    shutil.rmtree(site / "brain")


def test_a_plugin_whose_files_are_gone_is_a_fault(site: Path, copied: Path) -> None:
    shutil.rmtree(copied / "incidents")
    metadata(site, "0.1.0", "[brain.plugins]\nincidents = brain.incidents.plugin:PLUGIN\n")
    (found, faults, _), logged = look(site)
    assert found == [name for name in OWN if name != "incidents"]
    assert faults == [
        "plug-in 'incidents': brain.incidents.plugin:PLUGIN of brain-eventstream cannot be loaded: No module named "
        "'brain.incidents'; repair or remove it"
    ]
    assert "a plug-in is left out" in logged


def test_without_any_plugin_a_stream_refuses_to_open(site: Path, copied: Path) -> None:
    for path in copied.glob("*/plugin.py"):
        path.unlink()
    done = run(site, "-c", OPEN)
    assert done.returncode == 1
    assert "none of its own plug-ins can be found in" in done.stderr
    assert "install it again: pip install --force-reinstall --no-deps brain-eventstream" in done.stderr
