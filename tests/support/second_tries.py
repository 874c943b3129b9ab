"""A second try for the tests named here and no other. Each one used is shown; more than three fail the run."""

from __future__ import annotations

import pytest

SECOND_TRY: dict[str, str] = {}
"""Why a test may fail once: reason by test, as `folder/file.py::function`. Never in chaos, conformance or unit."""

NEVER = ("chaos/", "conformance/", "unit/")
ALLOWED = 3
"""Second tries that a run may need in all."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("flaky"):
            raise pytest.UsageError(f"{item.nodeid} marks itself flaky; name it and the reason in {__name__} instead")
        if name_of(item) in SECOND_TRY:
            item.add_marker(pytest.mark.flaky(reruns=1))


def name_of(item: pytest.Item) -> str:
    function = item.originalname if isinstance(item, pytest.Function) else item.name
    return f"{item.path.parent.name}/{item.path.name}::{function}"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if len(_tries(session.config)) > ALLOWED and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tries = _tries(config)
    for report in tries:
        terminalreporter.write_sep("_", f"first try of {report.nodeid}", red=True)
        report.toterminal(terminalreporter._tw)
    if len(tries) > ALLOWED:
        terminalreporter.write_line(
            f"{len(tries)} second tries, and at most {ALLOWED} are allowed: the run fails. Mend those tests.", red=True
        )


def _tries(config: pytest.Config) -> list[pytest.TestReport]:
    """The failed first tries that this process reports; a worker of pytest-xdist reports none."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return reporter.stats.get("rerun", []) if reporter else []
