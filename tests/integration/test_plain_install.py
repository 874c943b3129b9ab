"""What works with a plain install, and what is said of the rest; `long`: the wheel itself, in a fresh environment."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import brain
from support.framework_environments import uv

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parents[1] / "support"
ABSENT, CORE_USER, SERVED_USER = (SUPPORT / f"{name}.py" for name in ("absent", "core_user", "served_user"))
DID = ["/tmp/x", "/tmp/y", "denied by etc", "denied by etc", "12", "ESCALATED", "1", "DEGRADED"]
OF_CLI = "typer,rich,shellingham"
OF_SERVER = "fastapi,starlette,uvicorn,sqlalchemy,prometheus_client,cryptography"
OF_CONNECTORS = "httpx,httpcore,aiosmtplib"
LOOK_FOR_WAYS_IN = """
import importlib, pkgutil, sys
import brain
from brain.errors import MissingExtra
from brain.extras import EXTRAS
known = {package for packages in EXTRAS.values() for package in packages}
for found in pkgutil.walk_packages(brain.__path__, "brain."):
    if found.name.startswith("brain.policy.guards.frameworks."):
        continue
    try:
        importlib.import_module(found.name)
    except MissingExtra as error:
        print(found.name, "says", error)
    except ModuleNotFoundError as error:
        print(found.name, "needs", "a known one" if error.name.partition(".")[0] in known else error.name)
    else:
        print(found.name, "works")
"""


def run(folder: Path, python: str | Path, *arguments: str | Path, path: str = str(ROOT / "src")) -> str:
    """What it prints on both outputs; the path of the program is not searched for modules."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRAIN_", "PYTEST_", "PYTHON"))}
    command = [str(python), "-P", *map(str, arguments)]
    environment = {**kept, "PYTHONPATH": path, "COLUMNS": "200"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def check_core_user(printed: str) -> None:
    """What the program of tests/support/core_user.py did, by what it printed."""
    seen = json.loads(printed)
    assert seen["did"] == DID
    assert {"policy.action_denied", "policy.approval_used", "threat.escalated"} < set(seen["types"])
    assert {"threat.escalated", "immune.critical_event"} < set(seen["critical"])


def test_guards_stream_threats_and_health_need_nothing_else(tmp_path: Path) -> None:
    check_core_user(run(tmp_path, sys.executable, ABSENT, "core", CORE_USER))


def test_each_name_of_brain_is_had(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import brain\nfrom brain import *\nprint(len(brain.__all__), limiter.__name__)\n")
    assert run(tmp_path, sys.executable, ABSENT, "core", program).split() == [str(len(brain.__all__)), "Limiter"]


def test_a_plain_install_limits_calls(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from brain import LimitExceeded, PolicyEngine, limiter\n"
        "call = limiter(PolicyEngine(), 'mail', rate=0.001, burst=2)(print)\n"
        "call('one'); call('two')\n"
        "try:\n    call('three')\nexcept LimitExceeded as error:\n    print(error)\n"
    )
    printed = run(tmp_path, sys.executable, ABSENT, "core", program)
    assert printed.startswith("one\ntwo\nlimit mail: more than 0.001 calls in 1 s")


def test_each_way_in_says_the_pip_line(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(LOOK_FOR_WAYS_IN)
    said = dict(line.split(" ", 1) for line in run(tmp_path, sys.executable, ABSENT, "core", program).splitlines())
    assert not [state for state in said.values() if state.startswith("needs") and state != "needs a known one"]
    public = re.findall(r"^### `([\w.]+)`", (ROOT / "docs" / "api.md").read_text(), re.M)
    assert len(public) > 15
    for module in (*public, "brain.server", "brain.cli", "brain.connectors", "brain.connectors.webhook"):
        assert said.get(module, "works") == "works" or re.fullmatch(
            r"says (brain[\w.]*|the command `brain`) needs [\w.]+, which is not installed; run: "
            r"pip install 'brain-eventstream\[\w+\]'",
            said[module],
        ), (module, said[module])
    works = {module for module, state in said.items() if state == "works"}
    assert {
        "brain.policy",
        "brain.policy.guards",
        "brain.stream",
        "brain.threats",
        "brain.immune",
        "brain.store",
    } < works


@pytest.mark.parametrize(
    ("absent", "command", "said"),
    [
        ("core", "policy schema", "the command `brain` needs typer, which is not installed; run: {cli}"),
        (OF_SERVER, "serve --port 0", "needs starlette, which is not installed; run: {server}"),
        (OF_SERVER, "audit verify", "needs cryptography, which is not installed; run: {server}"),
        (OF_CONNECTORS, "demo", "the demo needs httpx, which is not installed; run: {server,connectors}"),
        (
            "redis",
            "events replay --stream redis://x",
            "a stream on Redis needs redis, which is not installed; run: {redis}",
        ),
        (
            OF_CONNECTORS,
            "serve --port 0",
            "[alerting.notifiers] needs httpx, which is not installed; run: {connectors}",
        ),
    ],
)
def test_a_command_says_which_extra_it_needs(tmp_path: Path, absent: str, command: str, said: str) -> None:
    if said.startswith("[alerting"):
        (tmp_path / "brain.toml").write_text(
            '[alerting.notifiers.x]\nkind = "slack"\nwebhook_url = "https://hooks.example.org/x"\n'
        )
    program = (
        "import runpy, sys\nsys.argv[0] = 'brain'\n"
        "try:\n    runpy.run_module('brain', run_name='__main__')\n"
        "except SystemExit as ended:\n    print('ended with', ended.code)\n"
    )
    (tmp_path / "program.py").write_text(program)
    printed = run(tmp_path, sys.executable, ABSENT, absent, tmp_path / "program.py", *command.split())
    extras = re.sub(r"\{(.*)\}", r"pip install 'brain-eventstream[\1]'", said)
    assert extras in printed
    assert "ended with 2" in printed
    assert "Traceback" not in printed


def test_the_command_line_alone_reads_rules_and_events(tmp_path: Path) -> None:
    run(tmp_path, sys.executable, ABSENT, "core", CORE_USER)
    absent = f"{OF_SERVER},{OF_CONNECTORS},redis"
    main = ROOT / "src" / "brain" / "__main__.py"
    assert "threat.escalated" in run(tmp_path, sys.executable, ABSENT, absent, main, "events", "replay")
    assert "No system files" in run(tmp_path, sys.executable, ABSENT, absent, main, "policy", "list")
    examined = run(tmp_path, sys.executable, ABSENT, absent, main, "doctor")
    assert re.search(r"note +database: not looked at: this check needs sqlalchemy", examined)
    assert "pip install 'brain-eventstream[server]'" in examined
    assert " bad " not in examined


def test_a_server_alone_serves(tmp_path: Path) -> None:
    printed = run(tmp_path, sys.executable, ABSENT, f"{OF_CLI},{OF_CONNECTORS},redis,hiredis", SERVED_USER)
    assert '{"status": "ok"}' in printed
    assert '"allowed": false' in printed
    assert '"denial_rate"' in printed


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the archive of this source, and the wheel that was built from it, as `make dist` makes them."""
    folder = tmp_path_factory.mktemp("dist")
    uv("the packages", folder, "build", "--quiet", "--out-dir", str(folder), str(ROOT))
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The wheel of this source."""
    (built,) = dist.glob("*.whl")
    return built


def installed(wheel: Path, folder: Path, extras: str = "") -> Path:
    """The Python of a fresh environment with the wheel and these extras in it."""
    uv("a plain install", folder, "venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
    python = folder / "venv" / "bin" / "python"
    uv("a plain install", folder, "pip", "install", "--quiet", "--python", str(python), f"{wheel}{extras}")
    return python


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_archive_has_no_environment_of_this_machine(dist: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        members = {name.split("/", 2)[1] for name in source.getnames()}
    assert {"src", "tests", "docs", "README.md", "LICENSE", "pyproject.toml"} <= members
    assert not members & {".tools", ".venv", ".environments"}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_plain_install_is_small_and_does_it_all(wheel: Path, tmp_path: Path) -> None:
    python = installed(wheel, tmp_path)
    site = Path(run(tmp_path, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", path="").strip())
    packages = sorted(path.name.split("-")[0] for path in site.glob("*.dist-info"))
    assert packages == ["brain_eventstream", "google_re2", "msgspec"]
    files = [path for path in site.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) <= 12_000_000
    check_core_user(run(tmp_path, python, CORE_USER, path=""))
    assert "pip install 'brain-eventstream[cli]'" in run(tmp_path, python, "-m", "brain", path="")


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_plain_install_is_imported_in_no_time(wheel: Path, tmp_path: Path) -> None:
    python = installed(wheel, tmp_path)
    timed = "import time; t = time.perf_counter(); import brain; print(time.perf_counter() - t)"
    assert statistics.median(float(run(tmp_path, python, "-c", timed, path="")) for _ in range(20)) <= 0.045


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("extras", ["[server]", "[server,cli]", "[all]"])
def test_an_install_with_a_server_serves(wheel: Path, tmp_path: Path, extras: str) -> None:
    python = installed(wheel, tmp_path, extras)
    assert '{"status": "ok"}' in run(tmp_path, python, SERVED_USER, path="")
    helped = run(tmp_path, python, "-m", "brain", "--help", path="")
    assert ("dead-letters" in helped) is (extras != "[server]")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_command_line_installed_alone(wheel: Path, tmp_path: Path) -> None:
    python = installed(wheel, tmp_path, "[cli]")
    check_core_user(run(tmp_path, python, CORE_USER, path=""))
    assert "threat.escalated" in run(tmp_path, python, "-m", "brain", "events", "replay", path="")
    assert "pip install 'brain-eventstream[server]'" in run(tmp_path, python, "-m", "brain", "serve", path="")
