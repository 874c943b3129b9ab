"""The suite itself: no test without an assertion, no sleep as synchronisation, few second tries, a port for one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.ports import free_port
from support.second_tries import ALLOWED, NEVER, SECOND_TRY
from support.suite_rules import sleeps, spins, without_assertion

TESTS = Path(__file__).parents[1]
SOURCES = {str(path.relative_to(TESTS)): path.read_text() for path in sorted(TESTS.rglob("*.py"))}


def test_each_test_can_fail() -> None:
    assert [str(place) for place in without_assertion(SOURCES)] == [], "add an assertion to each of these"


def test_nothing_sleeps_but_for_a_reason() -> None:
    found = [place for file, text in SOURCES.items() for place in sleeps(file, text)]
    new = [str(place) for place in found if place.key not in MAY_SLEEP]
    assert new == [], "wait for the condition (support.waiting.until), or give a reason in MAY_SLEEP"
    assert MAY_SLEEP.keys() == {place.key for place in found}, "take out of MAY_SLEEP what sleeps no more"


def test_nothing_waits_by_spinning() -> None:
    found = [place for file, text in SOURCES.items() for place in spins(file, text)]
    assert {place.key for place in found} == MAY_SPIN.keys(), "wait for the condition (support.waiting.wait_until)"


MAY_SPIN = {
    "conformance/test_event_index.py::rest_of": "each call does a piece of the work",
    "integration/test_redis_faults.py::read_all": "waits in each call for what the other side sends",
    "support/alerting.py::tick": "each look does a piece of the work",
    "support/outbox_world.py::ship_all": "each call does a piece of the work",
}


def test_only_named_tests_get_a_second_try() -> None:
    assert [name for name in SECOND_TRY if name.startswith(NEVER)] == []
    for name, reason in SECOND_TRY.items():
        file, _, function = name.partition("::")
        assert f"def {function}(" in SOURCES[file], f"{name} does not exist; take it out of SECOND_TRY"
        assert reason


RANDOM = "the process is killed, or a fault or a backup begins, at a random moment"
PACE = "traffic comes at a rate"
LASTS = "how long the trouble lasts is what is tested"
LOOKS = "looks again and again, with a deadline"

MAY_SLEEP = {
    "browser/site.py::until": LOOKS,
    "browser/test_left_open.py::watch_flood": "a pause between two samples",
    "browser/test_looks.py::test_the_picture_for_the_readme_shows_live_events": PACE,
    "browser/test_response.py::test_an_incident_is_never_shown_under_anothers_address": "lets the page's events arrive",
    "chaos/test_audit_killed.py::test_each_event_is_logged_once_and_in_order": RANDOM,
    "chaos/test_backup_under_load.py::load": PACE,
    "chaos/test_backup_under_load.py::test_restored_elsewhere_and_back_in_place": RANDOM,
    "chaos/test_bad_handlers_beside.py::round_of": PACE,
    "chaos/test_consumer_killed.py::test_each_event_has_one_effect": RANDOM,
    "chaos/test_creating_over_http_killed.py::_created": "a client that tries again after a pause",
    "chaos/test_creating_over_http_killed.py::create_and_kill": RANDOM,
    "chaos/test_incidents_killed.py::test_one_ticket_a_story_in_each_system": RANDOM,
    "chaos/test_metrics_killed.py::test_definitions_equal_a_recount": RANDOM,
    "chaos/test_metrics_killed.py::test_the_series_equal_a_recount": RANDOM,
    "chaos/test_outside_services.py::test_services_that_misbehave_at_random": RANDOM,
    "chaos/test_outside_services.py::test_a_sender_killed_again_and_again": RANDOM,
    "chaos/test_policy_importer_killed.py::rounds": RANDOM,
    "chaos/test_policy_store_lost_writes.py::ask": PACE,
    "chaos/test_producer_killed.py::test_nothing_published_is_lost": RANDOM,
    "chaos/test_telemetry_killed.py::replay": PACE,
    "chaos/test_two_nodes.py::beat": PACE,
    "chaos/test_two_nodes.py::test_each_page_ticket_entry_and_count_once": RANDOM,
    "chaos/test_redis_trouble.py::publish": PACE,
    "chaos/test_redis_trouble.py::through": LASTS,
    "chaos/test_redis_trouble.py::happen": LASTS,
    "chaos/test_slow_consumer.py::handler": "it is a slow consumer",
    "chaos/test_alerting_killed.py::test_one_page_a_story": RANDOM,
    "chaos/test_changes_killed.py::kill_at_random": RANDOM,
    "chaos/test_detections_killed.py::kill_at_random": RANDOM,
    "chaos/test_dna_killed.py::kill_at_random": RANDOM,
    "support/dna_worker.py::_work": PACE,
    "conformance/test_event_outbox.py::test_two_processes_that_are_killed_again_and_again": RANDOM,
    "conformance/test_event_outbox.py::test_a_frozen_process_holds_up_nobody_and_doubles_nothing": PACE,
    "support/announcing_worker.py::_make_things": PACE,
    "conformance/test_policy_following.py::until": LOOKS,
    "conformance/test_policy_store.py::test_decisions_go_on_while_redis_hangs": PACE,
    "conformance/test_stream.py::test_a_look_back_ends_where_nothing_so_new_can_be": "two moments must differ",
    "conformance/test_stream.py::test_a_clock_that_jumps_changes_neither_order_nor_delivery": LASTS,
    "integration/test_cli_policy.py::test_watch_imports_again_when_the_file_changes": "a missing file shows no sign",
    "support/flood.py::_publish": PACE,
    "support/policy_worker.py::show_sets": LOOKS,
    "support/policy_worker.py::follow": LOOKS,
    "support/postgres_server.py::start": LOOKS,
    "support/redis_server.py::until": LOOKS,
    "support/scripted.py::_answer": "it is a slow server",
    "support/server.py::__enter__": LOOKS,
    "support/traffic.py::publish": PACE,
    "support/waiting.py::until": LOOKS,
    "support/waiting.py::wait_until": LOOKS,
}


FAULTY = """
import asyncio, time
def test_nothing(): str(1)
def test_by_a_helper(): holds()
def holds(): assert 1
async def test_late():
    await asyncio.sleep(0.1)
    await asyncio.sleep(0)
    def inner(): time.sleep(1)
    assert 1
def test_busy(page):
    while not holds(): pass
    page.wait_for_timeout(100)
"""


def test_the_rules_find_what_breaks_them() -> None:
    assert [str(place) for place in without_assertion({"a.py": FAULTY})] == ["a.py:3 test_nothing"]
    found = sorted(str(place) for place in sleeps("a.py", FAULTY))
    assert found == ["a.py:13 test_busy", "a.py:7 test_late", "a.py:9 inner"]
    assert [str(place) for place in spins("a.py", FAULTY)] == ["a.py:12 test_busy"]


PLUGINS = ("-p", "pytest_rerunfailures", "-p", "xdist.plugin", "-p", "no:cacheprovider")

FLAKY = """
import pytest
tries = set()

@pytest.mark.parametrize("n", range({count}))
def test_flaky(n):
    first = n not in tries
    tries.add(n)
    assert not first, "only the second try passes"
"""


@pytest.mark.parametrize(
    ("count", "code", "workers"), [(ALLOWED, 0, []), (ALLOWED + 1, 1, []), (ALLOWED + 1, 1, ["-n", "1"])]
)
def test_a_run_shows_its_second_tries_and_fails_above_three(
    count: int, code: int, workers: list[str], tmp_path: Path
) -> None:
    (tmp_path / "test_it.py").write_text(FLAKY.format(count=count))
    ran = run_pytest(tmp_path, f"{tmp_path.name}/test_it.py::test_flaky", *workers)
    assert ran.returncode == code, ran.stdout
    assert ran.stdout.count("E       AssertionError: only the second try passes") == count
    assert f"{count} rerun" in ran.stdout
    assert ("second tries, and at most 3 are allowed" in ran.stdout) is bool(code)


def test_a_test_cannot_give_itself_a_second_try(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("import pytest\n@pytest.mark.flaky(reruns=2)\ndef test_it(): assert 1\n")
    ran = run_pytest(tmp_path, "")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test_it marks itself flaky" in ran.stderr + ran.stdout


LEAVES_A_STREAM_OPEN = """
import asyncio, pytest
from brain import EventStream

async def opened(close):
    stream = await EventStream.open("sqlite:///brain.db")
    if close:
        await stream.close()

@pytest.mark.parametrize("close", [False, True])
def test_it(close): assert asyncio.run(opened(close)) is None
"""


def test_a_stream_left_open_fails_the_test(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(LEAVES_A_STREAM_OPEN)
    ran = run_pytest(tmp_path, "")
    assert ran.returncode == 1, ran.stdout
    assert "the test left a stream open" in ran.stdout
    assert re.search(r"2 passed,.* 1 error in", ran.stdout), ran.stdout


GROUPED = """
import pytest

@pytest.mark.xdist_group("server")
@pytest.mark.parametrize("n", range(2))
def test_it(n): assert n < 2
"""


def test_tests_of_a_group_stay_on_one_worker(tmp_path: Path) -> None:
    """pytest-xdist does so by the tests' names, which not every pytest lets it change."""
    (tmp_path / "test_it.py").write_text(GROUPED)
    ran = run_pytest(tmp_path, "", "-v", "-n", "1", "--dist", "loadgroup")
    assert (ran.returncode, ran.stdout.count("PASSED test_it.py::test_it[1]@server")) == (0, 1), ran.stdout


def run_pytest(folder: Path, allowed: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in the folder as this suite does, where the test named `allowed` may have a second try."""
    (folder / "conftest.py").write_text(
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
        f"from support.second_tries import SECOND_TRY; SECOND_TRY[{allowed!r}] = 'to see it'\n"
        "import support.open_streams; support.open_streams.PATIENCE = 0.1\n"
        "pytest_plugins = ['support.second_tries', 'support.open_streams']\n"
    )
    command = [sys.executable, "-m", "pytest", *PLUGINS, "--rootdir", str(folder), *options]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_no_two_processes_are_given_the_same_port() -> None:
    code = "from support.ports import free_port; print(*(free_port() for _ in range(100)), flush=True); input()"
    others = [
        subprocess.Popen([sys.executable, "-c", code], cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    given = [free_port() for _ in range(100)]
    for other in others:
        assert other.stdout is not None
        given += map(int, other.stdout.readline().split())
    for other in others:
        other.communicate(b"\n", timeout=60)
    assert len(set(given)) == len(given) == 400
