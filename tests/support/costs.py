"""`pytest --costs FILE`: what each folder, file and test costs the processor, with all that it starts.

Seconds of the processor, unlike those of the clock, say the same on a loaded machine. Counted are the process of the
tests, its descendants (servers, browsers, commands), and those of them that have ended and were waited for. The file
gets a line for each test at its end: seconds of the processor, of the clock, and its name.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SHOWN = 60
"""Files and tests that are named."""
TICK = os.sysconf("SC_CLK_TCK")
KEY = "costs"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--costs", metavar="FILE", help="write what each test costs the processor; show sums")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("costs"):
        config.pluginmanager.register(Costs(config), KEY)


class Costs:
    """Of one process that runs tests; with pytest-xdist the process that started the workers gathers theirs."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._file = Path(config.getoption("costs")).absolute()
        self.seconds: dict[str, float] = {}
        self.waited: dict[str, float] = {}

    def pytest_collection_finish(self) -> None:
        self.seconds["start and collection"] = used()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        cost, began = used(), time.monotonic()
        result = yield
        self.seconds[item.nodeid] = max(0.0, used() - cost)  # less when what ended was waited for by nobody
        self.waited[item.nodeid] = time.monotonic() - began
        with self._file.open("a") as file:
            file.write(f"{self.seconds[item.nodeid]:.2f} {self.waited[item.nodeid]:.2f} {item.nodeid}\n")
        return result

    def pytest_sessionfinish(self) -> None:
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[KEY] = [self.seconds, self.waited]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        seconds, waited = getattr(node, "workeroutput", {}).get(KEY, ({}, {}))
        for test, value in seconds.items():
            self.seconds[test] = self.seconds.get(test, 0.0) + value
        self.waited |= waited

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        files = [(test.partition("::")[0], test) for test in self.seconds]
        for title, names in (
            ("folder", [(str(Path(file).parent), test) for file, test in files]),
            ("file", files),
            ("test", [(test.partition("@")[0], test) for _, test in files]),
        ):
            terminalreporter.section(f"seconds of the processor, and of the clock, by {title}")
            cost, wait = Counter[str](), Counter[str]()
            for name, test in names:
                cost[name] += self.seconds[test]  # type: ignore[assignment]
                wait[name] += self.waited.get(test, 0.0)  # type: ignore[assignment]
            for name, value in cost.most_common(SHOWN):
                terminalreporter.write_line(f"{value:8.2f} {wait[name]:8.2f}  {name}")
        terminalreporter.write_line(f"{sum(self.seconds.values()):8.2f} in all")


def used() -> float:
    """Seconds of the processor that this process and its descendants have used."""
    own = os.times()
    return sum(own[:4]) + sum(_of_tree(child) for child in _children(os.getpid()))


def _of_tree(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile
        return 0.0
    return sum(map(int, fields[11:15])) / TICK + sum(_of_tree(child) for child in _children(pid))


def _children(pid: int) -> Iterator[int]:
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            yield from map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    except OSError:
        return
