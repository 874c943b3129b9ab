"""Fixtures for all tests: a real Redis and a real PostgreSQL of the session, emptied for each test that asks for it.

With pytest-xdist each worker is a session: it has servers, ports and folders of its own.
"""

from __future__ import annotations

import gc
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from multiprocessing.util import Finalize
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from brain import logs
from support.made_once import make_once
from support.memory import memory_folder
from support.postgres_server import PostgresServer
from support.processes import share_server
from support.redis_groups import Cluster
from support.redis_server import RedisServer, StartRedis

pytest_plugins = ["support.second_tries", "support.open_streams", "support.costs"]

# docs/testing.md says which profile is for what.
settings.register_profile("default", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.register_profile("long", settings.get_profile("default"), max_examples=5_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

make_once()

os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory_folder() or tempfile.gettempdir()))

FOLDERS = ("chaos", "browser", "integration", "conformance", "unit")
"""Slow ones first, so that no worker is left with a long test at the end."""
LAST = -1_000
"""The priority of what is done when the process ends; multiprocessing removes its own folder with -100."""
LONGEST_ID = 100
"""Characters of a parameter that the name of a test shows."""


def pytest_configure(config: pytest.Config) -> None:
    """Every other worker begins to collect at the other end: each finds half of the files compiled by the others."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        _keep_temporary_files()
    if config.getoption("numprocesses", None):
        gc.enable()  # this process collects no tests: its workers do
        # Unit tests need none; and where costs are counted, a worker's own server is counted with its tests.
        if not config.getoption("costs") and any("unit" not in arg for arg in config.args):
            share_server()
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    if config.args == config.getini("testpaths") and worker[-1] in "13579":
        config.args = [f"tests/{folder}" for folder in sorted(FOLDERS, reverse=True)]


def _keep_temporary_files() -> None:
    """In a folder of this run, which ends with it: a process that is killed leaves its temporary files behind."""
    os.environ["TMPDIR"] = folder = tempfile.mkdtemp(prefix="brain-tests-", dir=memory_folder())
    tempfile.tempdir = None  # look again
    # After what multiprocessing removes at the end, which it has there too.
    Finalize(None, shutil.rmtree, (folder,), {"ignore_errors": True}, exitpriority=LAST)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the folders, and keep on one worker what shares a server or a browser (`--dist loadgroup`)."""
    items.sort(key=lambda item: (FOLDERS.index(item.path.parent.name), item.path))
    for item in items:
        if item.path.parent.name == "browser":  # by one browser its worker ends last; more are too many
            half = "browser, a to k" if item.path.name < "test_l" else "browser, l to z"
            item.add_marker(pytest.mark.xdist_group(half))
        elif _shares(item) and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_make_parametrize_id(val: object) -> str | None:
    """A short name for a long text: pytest would make its names of 100,000 characters, and take seconds over each."""
    if not isinstance(val, str | bytes) or len(val) <= LONGEST_ID:
        return None
    start = val[:LONGEST_ID]
    shown = start if isinstance(start, str) else start.decode("ascii", "backslashreplace")
    return f"{shown.encode('unicode_escape').decode('ascii')}... of {len(val)}"


def _shares(item: pytest.Item) -> bool:
    """Whether the test asks for a fixture that its whole file shares."""
    fixtures = item._fixtureinfo.name2fixturedefs.values() if isinstance(item, pytest.Function) else ()
    return any(found[-1].scope == "module" for found in fixtures if found)


gc.disable()  # until the tests are collected: nothing of that is garbage


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays for the whole run, modules and items, and let it look less often."""
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


def pytest_unconfigure() -> None:
    """Spare it all that is still there: the process ends, and takes seconds over it otherwise."""
    gc.freeze()


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """An empty folder of the test's own. Counted here: pytest looks through all its folders for the next number."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    folder = tmp_path_factory.getbasetemp() / f"{name}{next(_folders)}"
    folder.mkdir(0o700)
    return folder


_folders = count()


@pytest.fixture(autouse=True)
def _logs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that runs a command, or configures logs, leaves the next one's as they were."""
    monkeypatch.setattr(logs, "_is_command", False)
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in ("", *logs.CHATTY)}
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(autouse=True)
def _folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test leaves in the current folder (a journal, a database, a key) is neither the next one's nor anybody's.

    A journal above all: the next stream on the same, emptied Redis would ship its events anew.
    """
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def session_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture
def redis_url(session_redis: RedisServer) -> str:
    """The URL of a real, empty Redis. Tests that kill or freeze a server start one of their own (`redis_server`)."""
    session_redis.flush()
    return session_redis.url


@pytest.fixture(scope="session")
def session_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster.start()
    finally:
        cluster.kill()


@pytest.fixture
def redis_cluster(session_cluster: Cluster) -> Cluster:
    """A real Cluster, empty. A test may make its nodes change places, and must leave all of them running."""
    session_cluster.flush()
    return session_cluster


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[StartRedis]:
    """Starts a real Redis of the test's own with the given options; ends it, however the test ends."""
    servers: list[RedisServer] = []

    def start(*options: str, password: str | None = None) -> RedisServer:
        folder = tmp_path / f"redis{len(servers)}"
        folder.mkdir()
        servers.append(RedisServer(folder, *options, password=password))
        return servers[-1].start()

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis of the test's own, with an append-only file, to be killed, frozen and restarted."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder, "--appendonly", "yes").start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def session_postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def postgres(session_postgres: PostgresServer) -> PostgresServer:
    """A real, empty PostgreSQL."""
    session_postgres.empty()
    return session_postgres
