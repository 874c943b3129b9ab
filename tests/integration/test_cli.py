"""The command line: exit codes, where output goes, and the commands on the stream."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from brain.charter import Event
from brain.cli import main
from brain.kit.cli.backend import reading_stream
from brain.store import open_store
from brain.store.deletion_clock import trust_clock
from brain.stream import DeliveryOptions, EventStream
from support.command import start
from support.processes import kill
from support.server import BRAIN, ServeProcess, brain
from support.waiting import until, wait_until


class Ended(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ended]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """`brain ...` run in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRAIN_PORT", "1")

    def run(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    return "sqlite:///brain.db" if request.param == "sqlite" else str(request.getfixturevalue("redis_url"))


EVENTS = (
    Event(type="a.old", source="a_service", payload={"n": 1}, timestamp=1_703_001_234.5),
    Event(type="a.new", source="a_service", payload={"n": 2}),
    Event(type="b.new", source="b_service", payload={"n": 3}),
)


def publish(url: str, *events: Event) -> None:
    """Store events in the stream at `url`, seen from the current folder."""

    async def work() -> None:
        async with EventStream.open(url) as stream:
            for event in events:
                await stream.publish(event)

    asyncio.run(work())


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version").out.startswith("brain 0.")
    shown = cli("--help")
    assert shown.code == 0
    for command in ("serve", "demo", "events", "doctor"):
        assert command in shown.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("serve", "--port", "many"),
        ("serve", "--port", "99999"),
        ("events", "replay", "--since", "yesterday"),
        ("events", "tail", "--pattern", "A B"),
        ("events", "replay", "--stream", "http://x"),
        ("events", "replay", "--after", "here"),
        ("demo", "--seconds", "0"),
    ],
)
def test_wrong_usage_and_bad_input_end_with_exit_code_2_and_a_message(cli: Cli, arguments: tuple[str, ...]) -> None:
    ended = cli(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert "rror" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("days", ["0", "-1", "nan", "36501"])
def test_days_of_a_key_out_of_bounds_are_refused_by_the_name_of_the_option(cli: Cli, days: str) -> None:
    ended = cli("keys", "new", "ann", "--role", "viewer", "--days", days)
    assert (ended.code, ended.err.partition(": ")[2].startswith(f"--days: {days} is out of bounds")) == (2, True)


@pytest.mark.parametrize("line", ["list", "rotate ann", "revoke ann", "new ann --role king"])
def test_a_command_that_finds_no_keys_or_refuses_a_new_one_makes_no_database(
    cli: Cli, line: str, tmp_path: Path
) -> None:
    ended = cli("keys", *line.split())
    assert ended.code == 2
    assert ("there is no database" in ended.err) != line.startswith("new")
    assert not list(tmp_path.iterdir())


def test_a_command_as_installed_keeps_results_and_errors_apart(tmp_path: Path) -> None:
    ended = brain("events", "replay", "--since", "yesterday", folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: --since: 'yesterday' is not a time")


def test_replay_prints_a_range_for_people_and_for_programs(cli: Cli, url: str) -> None:
    publish(url, *EVENTS)

    def replayed(*options: str) -> list[dict[str, object]]:
        ended = cli("events", "replay", "--stream", url, "--json", *options)
        assert ended.code == 0, ended.err
        found: list[dict[str, object]] = json.loads(ended.out)
        return found

    assert replayed() == [json.loads(event.encode()) for event in EVENTS]
    assert [event["type"] for event in replayed("--since", "1h")] == ["a.new", "b.new"]
    assert [event["type"] for event in replayed("--until", "2024-01-01")] == ["a.old"]
    assert [event["type"] for event in replayed("-p", "b.*", "-p", "a.old")] == ["a.old", "b.new"]
    assert [event["type"] for event in replayed("--since", "1703001234.5", "-n", "2")] == ["a.old", "a.new"]
    assert replayed("-p", "none.*") == []
    text = cli("events", "replay", "--stream", url).out.splitlines()
    assert text[0].split() == ["2023-12-19T15:53:54.500Z", "a.old", '{"n":1}']


def test_a_pattern_of_no_declared_type_is_said_when_nothing_is_found(cli: Cli, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'brain.db'}"
    publish(url, *EVENTS)
    note = "note: no declared event type matches 'threats.*'; did you mean threat.*?"
    ended = cli("events", "replay", "--json", "--stream", url, "-p", "threats.*", "-p", "policy.*")
    assert (ended.code, json.loads(ended.out)) == (0, [])
    assert note in ended.err
    assert "note:" not in cli("events", "replay", "--stream", url, "-p", "a.*").err
    assert "note:" not in cli("events", "replay", "--stream", url, "-p", "threat.*").err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("outbox list --state foo", "'foo' is not one of 'waiting', 'sent', 'refused', 'cancelled'"),
        ("serve --port abc", "must be a valid integer; it is 'abc'"),
        ("events replay --limit 0", "must be greater than or equal to 1; it is '0'"),
    ],
)
def test_a_value_that_an_option_does_not_take_is_said_in_our_words(tmp_path: Path, line: str, words: str) -> None:
    ended = brain(*line.split(), folder=tmp_path)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Value error" not in ended.stderr
    assert not list(tmp_path.iterdir())


def test_tail_follows_what_happens(cli: Cli, url: str, tmp_path: Path) -> None:
    publish(url, *EVENTS)
    command = [*BRAIN, "events", "tail", "--stream", url, "--after", "0", "-p", "a.*", "-n", "3", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as tail:
        assert tail.stdout is not None
        assert json.loads(tail.stdout.readline()) == json.loads(EVENTS[0].encode())  # at once, line by line
        assert json.loads(tail.stdout.readline())["type"] == "a.new"
        publish(url, Event(type="b.late", source="b_service", payload={}))
        publish(url, Event(type="a.late", source="a_service", payload={}))
        assert json.loads(tail.stdout.readline())["type"] == "a.late"
        assert tail.wait(60) == 0


async def test_a_stream_that_only_reads_hears_of_what_others_store(url: str) -> None:
    """As `tail` opens it; it has no journal, and once heard of nothing but by its look every five seconds."""
    async with EventStream.open(url) as other, reading_stream(url) as stream:
        with stream.changes.listen() as changed:
            await stream.wait_for_change(changed)  # begins to watch, and is woken for a first look
            changed.clear()
            await other.publish(EVENTS[0])
            await until(changed.is_set)


def test_doctor_finds_all_well(cli: Cli, url: str) -> None:
    publish(url, *EVENTS)
    ended = cli("doctor", "--stream", url, "--json")
    findings = {row["part"]: row for row in json.loads(ended.out)}
    states = {part: row["state"] for part, row in findings.items()}
    assert ended.code == 0
    if url.startswith("redis"):
        assert "no append-only file" in findings["redis"]["finding"]
        assert states.pop("redis") == "note"
    well = ("settings", "stream", "journal", "store", "announcements", "stored rules", "database", "redaction")
    if url.startswith("sqlite"):
        assert states.pop("files") == "ok"
    assert states == {**dict.fromkeys(well, "ok"), "server": "note"}
    assert "b.new" in findings["stream"]["finding"]


def test_doctor_says_what_to_do_about_dead_letters(cli: Cli, url: str) -> None:
    async def fail(stream: EventStream) -> None:
        def broken(_: Event) -> None:
            raise RuntimeError("no")

        stream.consumer("soc", "a.*", broken, DeliveryOptions(max_attempts=1))
        running = asyncio.create_task(stream.run_consumers())

        async def given_up() -> bool:
            groups = await stream.groups()
            idle = [group.name for group in groups if group.pending == group.lag == 0]
            return idle == ["soc"] and len(await stream.dead_letters("soc")) == 2

        await until(given_up)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def work() -> None:
        async with EventStream.open(url) as stream:
            await fail(stream)

    publish(url, *EVENTS)
    asyncio.run(work())
    ended = cli("doctor", "--stream", url)
    assert ended.code == 1
    assert "group soc: a.*: 0 behind, 0 pending, 2 dead letters" in ended.out
    assert "brain dead-letters list soc" in ended.out


def test_doctor_names_the_file_of_the_key_of_marks(tmp_path: Path) -> None:
    assert brain("keys", "new", "x", "--role", "viewer", folder=tmp_path).returncode == 0
    findings = json.loads(brain("doctor", "--json", folder=tmp_path).stdout)
    (found,) = [one["finding"] for one in findings if one["part"] == "redaction"]
    assert "brain.db.redaction-key" in found


def test_doctor_names_keys_that_may_approve_and_have_no_owner(cli: Cli, tmp_path: Path) -> None:
    def of_keys() -> list[dict[str, str]]:
        return [row for row in json.loads(cli("doctor", "--json").out) if row["part"] == "keys"]

    for name, role in (("prometheus", "metrics"), ("ann", "admin"), ("bob", "approver")):
        assert not of_keys()  # one alone agrees to nothing twice
        assert cli("keys", "new", name, "--role", role).code == 0
    (found,) = of_keys()
    assert found["state"] == "note"
    assert found["finding"].endswith(": ann, bob")
    assert cli("keys", "rotate", "bob", "--owner", "bob@example.org").code == 0
    assert not of_keys()


def test_doctor_names_a_certificate_that_is_none(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "brain.toml").write_text('tls_certificate = "brain.toml"\n')
    ended = cli("doctor", "--json")
    found = {row["part"]: row for row in json.loads(ended.out)}["server"]
    assert (ended.code, found["state"]) == (1, "bad")
    assert found["finding"] == "tls_certificate: brain.toml holds no certificate"


def test_doctor_without_a_database_makes_none(cli: Cli, tmp_path: Path) -> None:
    ended = cli("doctor")
    assert ended.code == 0
    assert "there is no brain.db yet" in ended.out
    assert not list(tmp_path.iterdir())


def test_tail_on_a_redis_that_is_away_says_so_once_and_what_to_do(tmp_path: Path) -> None:
    err = tmp_path / "err"
    process = start(tmp_path, ("events", "tail", "--stream", "redis://127.0.0.1:1/0"), tmp_path / "out", err, {})
    try:
        wait_until(lambda: err.exists() and err.read_text() != "")
        process.join(1.5)  # it goes on; by then it has tried some ten times
        assert process.is_alive()
    finally:
        kill(process)
    (line,) = err.read_text().splitlines()
    assert "Redis at 127.0.0.1:1 cannot be reached" in line
    assert "check that it runs, and the address" in line


@pytest.mark.parametrize(
    ("command", "made", "told"),
    [
        (("policy", "list"), "folder", "it is a folder; name a file"),
        (("events", "replay"), "folder", "it is a folder; name a file"),
        (("events", "replay"), "text", "it is no SQLite database, or damaged"),
        (("threats", "list"), "text", "it is no SQLite database, or damaged"),
        (("incidents", "list"), "text", "it is no SQLite database, or damaged"),
    ],
)
def test_an_error_of_sqlite_names_the_path_and_the_reason(
    cli: Cli, tmp_path: Path, command: tuple[str, ...], made: str, told: str
) -> None:
    for name in ("it.db", "it-consumers.db"):
        if made == "folder":
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_text("this is a letter, and no database at all\n" * 50)
    ended = cli(*command, "--stream", "sqlite:///it.db")
    assert ended.code == 2
    assert f"{tmp_path}/it" in ended.err
    assert told in ended.err


@pytest.mark.parametrize("kind", ["apprise", "webhook"])
def test_a_test_page_that_fails_prints_one_line(tmp_path: Path, kind: str) -> None:
    address = {
        "apprise": 'url = "json://127.0.0.1:1/x"',
        "webhook": 'url = "http://127.0.0.1:1/x"\nkey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"',
    }
    (tmp_path / "brain.toml").write_text(f'[alerting.notifiers.it]\nkind = "{kind}"\n{address[kind]}\n')
    ended = brain("alerts", "test", "it", folder=tmp_path)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert "onnect" in line  # the reason


def test_doctor_names_secrets_that_are_missing(cli: Cli, tmp_path: Path) -> None:
    settings = '[alerting.notifiers.pager]\nkind = "pagerduty"\nrouting_key = {env = "PAGERDUTY_KEY"}\n'
    settings += '[incidents.jira]\nurl = "https://example.atlassian.net"\nuser = "a@example.com"\nproject = "OPS"\n'
    (tmp_path / "brain.toml").write_text(settings + 'token = {file = "jira-token"}\n')
    ended = cli("doctor", "--json")
    found = {one["finding"] for one in json.loads(ended.out) if one["part"] == "secrets" and one["state"] == "note"}
    assert found == {
        "alerting.notifiers.pager.routing_key: the environment variable PAGERDUTY_KEY is not set, or empty",
        "incidents.jira.token: the file jira-token cannot be read: No such file or directory",
    }


def test_doctor_says_that_a_folder_cannot_be_written(cli: Cli, tmp_path: Path) -> None:
    for stream, named in (
        ("sqlite:////proc/brain.db", "the folder /proc cannot be written"),  # not even by root
        (f"sqlite:///{tmp_path}/none/brain.db", f"the folder {tmp_path}/none cannot be written"),
    ):
        ended = cli("doctor", "--stream", stream)
        assert ended.code == 1
        assert named in ended.out
        assert "make it writable" in ended.out
    assert not list(tmp_path.iterdir())


def test_a_misspelt_variable_ends_a_command_with_the_name_that_was_meant(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAIN_APIKEY", "x")
    ended = cli("doctor")
    assert ended.code == 2
    assert "BRAIN_APIKEY in the environment: no such setting; did you mean BRAIN_API_KEY?" in ended.err


def test_doctor_reports_a_redis_that_is_away(cli: Cli) -> None:
    ended = cli("doctor", "--stream", "redis://127.0.0.1:1/0", "--json")
    findings = {row["part"]: row for row in json.loads(ended.out)}
    assert ended.code == 1
    assert findings["stream"]["state"] == findings["store"]["state"] == "bad"
    assert "Redis runs" in findings["stream"]["remedy"]


def test_doctor_asks_a_running_server(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ServeProcess(tmp_path, environment={"BRAIN_API_KEY": "right"}) as server:
        monkeypatch.setenv("BRAIN_PORT", str(server.port))
        for key, state, code in (("right", "ok", 0), ("wrong", "bad", 1)):
            monkeypatch.setenv("BRAIN_API_KEY", key)
            ended = cli("doctor", "--json")
            found = {row["part"]: row["state"] for row in json.loads(ended.out)}
            assert (found["server"], ended.code) == (state, code)


def test_the_catalogue_is_printed_in_every_form(cli: Cli, tmp_path: Path) -> None:
    table = cli("events", "catalogue").out
    rows = json.loads(cli("events", "catalogue", "--json").out)
    asyncapi = json.loads(cli("events", "catalogue", "--asyncapi").out)
    markdown = cli("events", "catalogue", "--markdown").out
    assert len(rows) >= 13
    for row in rows:
        assert row["name"] in table
        assert row["name"] in asyncapi["channels"]
        assert f"### `{row['name']}`" in markdown
    assert cli("events", "catalogue", "--write", "out").code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"POLICY.md", "THREATS.md", "IMMUNE.md", "EVENTS.md"}
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_doctor_names_a_clock_that_has_stepped_until_a_person_trusts_it(cli: Cli, url: str) -> None:
    with closing(open_store(url)) as store:
        trust_clock(store, time.time() - 365 * 86_400)
    ended = cli("doctor", "--stream", url)
    assert ended.code == 1
    assert "s off the last deletion" in ended.out
    assert "brain doctor --trust-clock" in ended.out
    trusted = cli("doctor", "--trust-clock", "--stream", url, "--json")
    assert "clock" not in {finding["part"] for finding in json.loads(trusted.out)}
