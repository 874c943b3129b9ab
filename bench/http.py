"""Decisions over HTTP: `brain serve`, journalled, and Cerbos with its decision log, by turns in one run.

    python -m bench.http CERBOS [--rules 10] [--turns 3] [--seconds 5] [--old CHECKOUT] [--key]

CERBOS is the server's binary (in the npm package `@cerbos/cerbos-linux-x64`). `wrk` (Debian) asks over 16 connections.
The rules mean the same: a role may do one action on one resource. Before anything is measured, each question is seen to
have the same answer everywhere. `--old` measures another commit of this repository too, in its own environment.

After the turns: `evaluate-many`; then, turn by turn, decisions alone, 200 other requests a second alone (reads of four
kinds), and both. Those reads may lower the rate by no more than the CPU time that they take by themselves.
`--key`: there are keys, and each question is sent with one of an evaluator, which is looked up and checked each time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from bench.followers import free_port, process

CONNECTIONS = 16
ACTIONS = 10
"""Actions of each resource, each with a rule."""
QUESTIONS = 40
BATCH = 1_000
MANY = 1_000
"""Questions of one request of evaluate-many."""
READS = ("/api/threats?limit=50", "/api/events?limit=50", "/api/policy/containments", "/api/immune/health")
READS_A_SECOND = 200
READERS = 64
"""Connections of the other requests."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figure:
    """Of one turn: questions answered a second, the latency of 99 % in milliseconds, microseconds of CPU a question."""

    rate: float
    p99: float
    cpu: float


@dataclass(frozen=True)
class Beside:
    """Of one turn with other requests: how many a second, how many were refused (503), by how much they lower the rate
    of decisions, the seconds of CPU a second that as many take alone, and the latency of 99 % of the decisions without
    and with them, in milliseconds."""

    reads: float
    refused: float
    lowered: float
    share: float
    p99_alone: float
    p99: float


@dataclass(frozen=True)
class Place:
    """A server under test: where it answers, its process, and how a question is put to it."""

    url: str
    pid: int
    body: Callable[[int, int], dict[str, Any]]
    allowed: Callable[[Any], bool]
    key: str = ""
    """An evaluator's, of the agent that asks."""
    reader: str = ""
    """A viewer's."""


def ours(resource: int, action: int) -> dict[str, Any]:
    """The question for us; action `act-10` has no rule."""
    return {
        "agent_id": "agent-7",
        "agent_role": "ops",
        "action": f"act-{action}",
        "resource": f"doc-{resource}",
        "environment": {},
        "params": {"limit": 10},
    }


def theirs(resource: int, action: int) -> dict[str, Any]:
    """The same question for Cerbos."""
    return {
        "requestId": "r",
        "principal": {"id": "agent-7", "roles": ["ops"]},
        "resources": [
            {"resource": {"kind": f"doc-{resource}", "id": "1", "attr": {"limit": 10}}, "actions": [f"act-{action}"]}
        ],
    }


@contextlib.contextmanager
def brain(checkout: Path, folder: Path, rules: int, with_keys: bool = False) -> Iterator[Place]:
    """`brain serve` of a checkout, with its rules."""
    port = free_port()
    environment = {**os.environ, "BRAIN_CONSUMERS": ",", "BRAIN_LOG_LEVEL": "error"}
    environment["BRAIN_ACCESS__DECISIONS_RATE"] = "1000000"  # more than anybody can ask for, and looked at all the same
    admin = secrets.token_hex(20) if with_keys else ""
    if with_keys:
        environment["BRAIN_API_KEY"] = admin
    wanted_keys = (
        {"name": "asks", "role": "evaluator", "agents": ["agent-7"]},
        {"name": "reads", "role": "viewer"},
    )
    python = checkout / ".venv" / "bin" / "python"  # its `brain` may name another environment, if that was moved
    options = ("--stream", f"sqlite:///{folder}/b.db", "--port", str(port))
    command = (python, "-m", "brain", "serve", *options)
    with process(*command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as server:
        base = f"http://127.0.0.1:{port}"
        _up(f"{base}/healthz")
        wanted = [
            {
                "id": f"rule-{n}",
                "name": f"rule {n}",
                "effect": "ALLOW",
                "conditions": [
                    {"field": "resource", "operator": "==", "value": f"doc-{n // ACTIONS}"},
                    {"field": "action", "operator": "==", "value": f"act-{n % ACTIONS}"},
                    {"field": "agent_role", "operator": "==", "value": "ops"},
                ],
            }
            for n in range(rules)
        ]
        for start in range(0, rules, BATCH):
            _post(f"{base}/api/policy/import", {"rules": wanted[start : start + BATCH], "replace": False}, admin)
        keys = ["", ""]
        if with_keys:
            keys = [_post(f"{base}/api/access/keys", asked, admin)["key"] for asked in wanted_keys]
        url = f"{base}/api/policy/evaluate"
        yield Place(url, server.pid, ours, lambda answer: bool(answer["allowed"]), *keys)


@contextlib.contextmanager
def cerbos(binary: Path, folder: Path, rules: int) -> Iterator[Place]:
    """Cerbos with its decision log in a file."""
    port, other = free_port(), free_port()
    policies = folder / "policies"
    policies.mkdir()
    for resource in range(rules // ACTIONS):
        found = [{"actions": [f"act-{n}"], "effect": "EFFECT_ALLOW", "roles": ["ops"]} for n in range(ACTIONS)]
        policy = {"resource": f"doc-{resource}", "version": "default", "rules": found}
        (policies / f"doc-{resource}.json").write_text(
            json.dumps({"apiVersion": "api.cerbos.dev/v1", "resourcePolicy": policy})
        )
    settings = {
        "server": {"httpListenAddr": f"127.0.0.1:{port}", "grpcListenAddr": f"127.0.0.1:{other}"},
        "storage": {"driver": "disk", "disk": {"directory": str(policies), "watchForChanges": False}},
        "audit": {
            "enabled": True,
            "accessLogsEnabled": False,
            "decisionLogsEnabled": True,
            "backend": "file",
            "file": {"path": str(folder / "decisions.log")},
        },
        "telemetry": {"disabled": True},
    }
    (folder / "cerbos.yaml").write_text(json.dumps(settings))
    with process(
        binary, "server", "--config", folder / "cerbos.yaml", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        base = f"http://127.0.0.1:{port}"
        _up(f"{base}/_cerbos/health", seconds=120)
        yield Place(
            f"{base}/api/check/resources",
            server.pid,
            theirs,
            lambda answer: "EFFECT_ALLOW" in answer["results"][0]["actions"].values(),
        )


def questions(rules: int) -> list[tuple[int, int]]:
    """Resource and action of each question; one of eleven has no rule."""
    resources = max(1, rules // ACTIONS)
    return [(n * 7919 % resources, n % (ACTIONS + 1)) for n in range(QUESTIONS)]


def check(places: Sequence[Place], asked: Sequence[tuple[int, int]]) -> None:
    """All places give the same answer to each question."""
    for resource, action in asked:
        answers = {place.allowed(_post(place.url, place.body(resource, action), place.key)) for place in places}
        assert answers == {action < ACTIONS}, (resource, action, answers)


def measure(
    place: Place, asked: Sequence[tuple[int, int]], seconds: int, folder: Path, connections: int = CONNECTIONS
) -> Figure:
    """One turn."""
    bodies = ",\n".join(f"[==[{json.dumps(place.body(*one), separators=(',', ':'))}]==]" for one in asked)
    script = folder / "ask.lua"
    script.write_text(
        f"local bodies = {{{bodies}}}\nlocal n = 0\n"
        f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n{_authorization(place.key)}'
        "request = function() n = n % #bodies + 1; return wrk.format(nil, nil, nil, bodies[n]) end\n"
    )
    before = cpu(place.pid)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), place.url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in said, said
    done = int(_found(r"(\d+) requests in", said)[1])
    latency = _found(r"99%\s+([\d.]+)(us|ms|s)", said)
    p99 = float(latency[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[latency[2]]
    return Figure(float(_found(r"Requests/sec:\s+([\d.]+)", said)[1]), p99, (cpu(place.pid) - before) / done * 1e6)


@contextlib.contextmanager
def reading(place: Place, seconds: int, folder: Path) -> Iterator[list[float]]:
    """The other requests beside the block, so many a second, over connections that wait between two of them.

    Gives a list that has, after the block, how many there were a second, and how many were refused.
    """
    script = folder / "read.lua"
    base = place.url.partition("/api/")[0]
    paths = ",".join(f'"{path}"' for path in READS)
    script.write_text(
        f"local paths = {{{paths}}}\nlocal n = 0\n{_authorization(place.reader)}"
        f"delay = function() return {READERS * 1_000 // READS_A_SECOND} end\n"
        'request = function() n = n % #paths + 1; return wrk.format("GET", paths[n]) end\n'
    )
    with process("wrk", "-t1", f"-c{READERS}", f"-d{seconds}s", "-s", script, base, stdout=subprocess.PIPE) as reader:
        counts: list[float] = []
        yield counts
        said = reader.communicate()[0].decode()
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    counts += [float(_found(r"Requests/sec:\s+([\d.]+)", said)[1]), float(refused[1]) if refused else 0.0]


def measure_beside(place: Place, asked: Sequence[tuple[int, int]], seconds: int, folder: Path) -> Beside:
    """One turn of decisions alone, reads alone, and both."""
    alone = measure(place, asked, seconds, folder)
    _wait_for_quiet([place.pid])
    before = cpu(place.pid)
    with reading(place, seconds, folder) as read_alone:
        pass
    share = (cpu(place.pid) - before) / seconds
    with reading(place, seconds, folder) as read_beside:
        both = measure(place, asked, seconds, folder)
    _wait_for_quiet([place.pid])
    share *= read_beside[0] / read_alone[0]
    reads, refused = read_beside
    return Beside(reads, refused, 1 - both.rate / alone.rate, share, alone.p99, both.p99)


def measure_many(place: Place, asked: Sequence[tuple[int, int]], seconds: int, folder: Path) -> Figure:
    """One turn of `evaluate-many`, MANY questions in a request over two connections; the rate is of questions."""
    many = replace(
        place,
        url=f"{place.url}-many",
        body=lambda resource, _: {"contexts": [place.body(resource, n % ACTIONS) for n in range(MANY)]},
    )
    found = measure(many, asked[:1], seconds, folder, connections=2)
    return replace(found, rate=found.rate * MANY, cpu=found.cpu / MANY)


def run(binary: Path, rules: int, turns: int, seconds: int, old: Path | None, with_keys: bool) -> Iterator[str]:
    """The figures of each server, turn by turn; `many` are those of evaluate-many, all allowed. Then those beside."""
    with contextlib.ExitStack() as opened:
        folders = [Path(opened.enter_context(tempfile.TemporaryDirectory())) for _ in range(3)]
        here = Path(sys.executable).parents[2]
        places = {
            "brain": opened.enter_context(brain(here, folders[0], rules, with_keys)),
            "cerbos": opened.enter_context(cerbos(binary, folders[1], rules)),
        }
        if old is not None:
            places["old"] = opened.enter_context(brain(old, folders[2], rules, with_keys))
        asked = questions(rules)
        check(list(places.values()), asked)
        found: dict[str, list[Figure]] = {name: [] for name in places}
        for _ in range(turns):
            for name, place in places.items():
                _wait_for_quiet([one.pid for one in places.values()])
                found[name].append(measure(place, asked, seconds, folders[0]))
        found["many"] = [measure_many(places["brain"], asked, seconds, folders[0]) for _ in range(turns)]
        yield table(rules, found)
        for _ in range(turns):
            _wait_for_quiet([places["brain"].pid])
            yield beside_line(measure_beside(places["brain"], asked, seconds, folders[0]))


def table(rules: int, found: dict[str, list[Figure]]) -> str:
    """The figures as text: the median of the turns, in brackets each."""
    lines = []
    for name, figures in found.items():
        rates = " ".join(f"{one.rate:,.0f}" for one in figures)
        ratio = median(mine.rate / one.rate for mine, one in zip(found["brain"], figures, strict=True))
        lines.append(
            f"{rules:>6} rules  {name:<7} {median(one.rate for one in figures):>9,.0f}/s [{rates}]  "
            f"p99 {median(one.p99 for one in figures):.1f} ms, {median(one.cpu for one in figures):.0f} us of CPU; "
            f"brain is {ratio:.2f} times as fast"
        )
    return "\n".join(lines)


def beside_line(one: Beside) -> str:
    """The same of a turn with other requests."""
    return (
        f"{one.reads:.0f} other requests a second, {one.refused:.0f} of all refused, "
        f"take {one.share:.1%} of a core alone and lower the rate by {one.lowered:.1%}; "
        f"p99 {one.p99_alone:.1f} ms without and {one.p99:.1f} ms with them"
    )


def _authorization(key: str) -> str:
    return f'wrk.headers["Authorization"] = "Bearer {key}"\n' if key else ""


def _up(url: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        assert time.monotonic() < deadline, f"{url} does not answer"
        time.sleep(0.1)


def _post(url: str, body: object, key: str = "") -> Any:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    asked = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(asked, timeout=120) as answer:
        return json.load(answer)


def cpu(pid: int) -> float:
    """The seconds of CPU that the process has used, by user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _wait_for_quiet(pids: Sequence[int], seconds: float = 120.0) -> None:
    """Until no server has work left of the turn before, which would take from the next one's."""
    deadline = time.monotonic() + seconds
    while True:
        before = sum(map(cpu, pids))
        time.sleep(1.0)
        if sum(map(cpu, pids)) - before < 0.15:
            return
        assert time.monotonic() < deadline, "a server does not come to rest"


def _found(pattern: str, text: str) -> re.Match[str]:
    found = re.search(pattern, text)
    assert found, text
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cerbos", type=Path)
    parser.add_argument("--rules", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--old", type=Path)
    parser.add_argument("--key", action="store_true")
    given = parser.parse_args()
    assert shutil.which("wrk"), "the benchmark needs wrk; run: apt-get install wrk"
    for lines in run(given.cerbos, given.rules, given.turns, given.seconds, given.old, given.key):
        sys.stdout.write(f"{lines}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
