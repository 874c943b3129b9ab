"""The suite itself: no test without an assertion, no sleep as synchronisation, few second tries."""

from __future__ import annotations

from pathlib import Path

from support.second_tries import NEVER, SECOND_TRY
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


def test_children_are_forked_from_one_server() -> None:
    """What it imports is set once for a process: set anew, each child would import by itself all that it needs."""
    calls = "set_forkserver" + "_preload("
    assert [file for file, text in SOURCES.items() if calls in text] == ["support/processes.py"]


MAY_SPIN = {
    "conformance/test_event_index.py::rest_of": "each call does a piece of the work",
    "integration/test_certificates_that_last.py::test_an_authority_taken_away_counts_no_more_for_what_is_open": (
        "waits in each call for what the other side sends"
    ),
    "integration/test_redis_faults.py::read_all": "waits in each call for what the other side sends",
    "support/alerting.py::tick": "each look does a piece of the work",
    "support/deliveries.py::_evaluate": "each look does a piece of the work",
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
    "browser/test_hostile_views.py::test_no_view_obeys_a_text": "lets what a view asks for arrive",
    "browser/test_left_open.py::watch_flood": "a pause between two samples",
    "browser/test_looks.py::test_the_picture_for_the_readme_shows_live_events": PACE,
    "browser/test_response.py::test_an_incident_is_never_shown_under_anothers_address": "lets the page's events arrive",
    "chaos/test_audit_killed.py::test_each_event_is_logged_once_and_in_order": RANDOM,
    "chaos/test_backup_under_load.py::load": PACE,
    "chaos/test_backup_under_load.py::test_restored_elsewhere_and_back_in_place": RANDOM,
    "chaos/test_bad_handlers_beside.py::round_of": PACE,
    "chaos/test_consumer_killed.py::test_each_event_has_one_effect": RANDOM,
    "chaos/test_creating_over_http_killed.py::_created": "a client that tries again after a pause",
    "chaos/test_incidents_killed.py::test_one_ticket_a_story_in_each_system": RANDOM,
    "chaos/test_metrics_killed.py::test_definitions_equal_a_recount": RANDOM,
    "chaos/test_metrics_killed.py::test_the_series_equal_a_recount": RANDOM,
    "chaos/test_outside_services.py::test_services_that_misbehave_at_random": RANDOM,
    "chaos/test_outside_services.py::test_a_sender_killed_again_and_again": RANDOM,
    "chaos/test_policy_importer_killed.py::rounds": RANDOM,
    "chaos/test_policy_store_lost_writes.py::ask": PACE,
    "chaos/test_producer_killed.py::test_nothing_published_is_lost": RANDOM,
    "chaos/test_reports_killed.py::kill_at_random": RANDOM,
    "chaos/test_telemetry_killed.py::export": PACE,
    "integration/test_hostile_clients.py::slow": "an answer that takes longer than a head of a request may",
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
    "chaos/test_playbooks_killed.py::kill_one": RANDOM,
    "support/playbook_worker.py::note": PACE,
    "support/dna_worker.py::_work": PACE,
    "conformance/test_event_outbox.py::test_two_processes_that_are_killed_again_and_again": RANDOM,
    "conformance/test_event_outbox.py::test_a_frozen_process_holds_up_nobody_and_doubles_nothing": PACE,
    "support/announcing_worker.py::_make_things": PACE,
    "conformance/test_policy_following.py::until": LOOKS,
    "conformance/test_policy_store.py::test_decisions_go_on_while_redis_hangs": PACE,
    "conformance/test_stream.py::test_a_look_back_ends_where_nothing_so_new_can_be": "two moments must differ",
    "conformance/test_stream.py::test_a_clock_that_jumps_changes_neither_order_nor_delivery": LASTS,
    "integration/test_cli_policy.py::test_watch_imports_again_when_the_file_changes": "a missing file shows no sign",
    "integration/test_mixed_load.py::times": PACE,
    "support/loud.py::_search": PACE,
    "support/loud.py::ask": PACE,
    "integration/test_ros2_links.py::test_a_cut_wire_is_found_within_a_second_and_zero_comes_first": LASTS,
    "integration/test_ros2_links.py::test_a_cut_wire_of_zenoh_is_found_within_a_second_and_zero_comes_first": LASTS,
    "integration/test_ros2_recording.py::test_a_killed_recorder_loses_a_second_at_most": PACE,
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
