"""`brain doctor`: checks of all parts, with a remedy for each fault."""

from __future__ import annotations

import asyncio
import glob
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from brain.errors import BrainError, InvalidInput, MissingExtra
from brain.extras import needs
from brain.kit.cli.common import JsonOption, StreamOption, print_json_array, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    import httpx
    from sqlalchemy import Engine

    from brain.settings import Settings
    from brain.stream import EventStream
    from brain.stream.event_outbox import OutboxState

State = Literal["ok", "note", "bad"]

WAIT_SECONDS = 5.0
"""How long one part may take to answer."""

LAG = 10_000
"""Events that a group may be behind without a note."""


@dataclass(frozen=True)
class Finding:
    """The state of one part; `remedy` says what to do unless it is ok."""

    part: str
    state: State
    finding: str
    remedy: str = ""


def doctor(
    stream: StreamOption = None,
    reconcile: Annotated[
        bool,
        typer.Option("--reconcile", help="Compare all stored rules, threats and health events with their events too."),
    ] = False,
    as_json: JsonOption = False,
    trust_clock: Annotated[
        bool, typer.Option("--trust-clock", help="The clock is right: delete old data by it again, though it stepped.")
    ] = False,
) -> None:
    """Check settings, stream, journal, groups, store, clock, database and server. Exit code 1 when something is bad."""
    from brain.settings import load_settings

    settings = load_settings(stream=stream, store=stream)
    if trust_clock:
        _trust_clock(settings)
    findings = run(_examine(settings))
    if reconcile:
        findings += run(_reconcile(settings))
    if as_json:
        print_json_array(asdict(finding) for finding in findings)
    else:
        _print(findings)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)


async def _examine(settings: Settings) -> list[Finding]:
    findings = [_settings(settings), *_secrets(settings), _redaction(settings), *_plugins()]
    findings += await _where_installed("tokens", settings, _tokens)
    missing = _missing_database(settings.stream)
    if missing is not None:
        return [*findings, missing, *await _where_installed("server", settings, _server)]
    findings += _folder(settings.stream)
    findings += _private(settings)
    findings += await _stream(settings)
    findings += await _store(settings)
    findings += await _unreadable_rules(settings)
    findings += await _keys_of_nobody(settings)
    findings += await _where_installed("database", settings, _database, _standing, _owners)
    return findings + await _where_installed("server", settings, _server)


async def _where_installed(
    part: str, settings: Settings, *checks: Callable[[Settings], Awaitable[Sequence[Finding]]]
) -> list[Finding]:
    """What the checks find; a note where the packages that they need are not installed."""
    findings: list[Finding] = []
    try:
        with needs("this check"):
            for check in checks:
                findings += await check(settings)
    except MissingExtra as error:
        findings.append(_not_installed(part, error))
    return findings


def _not_installed(part: str, error: MissingExtra) -> Finding:
    fault, _, remedy = str(error).partition("; run: ")
    return Finding(part, "note", f"not looked at: {fault}", f"if you want it: {remedy}")


async def _tokens(settings: Settings) -> list[Finding]:
    """One for each issuer whose keys stand in a file that cannot be read."""
    from brain.access.settings import AccessSettings
    from brain.access.token_issuers import faults_of_files

    remedy = "none of its tokens counts: correct jwks in [[access.issuers]], or put the issuer's JWKS into the file"
    faults = await asyncio.to_thread(faults_of_files, settings.table(AccessSettings).issuers)
    return [Finding("tokens", "bad", fault, remedy) for fault in faults]


def _redaction(settings: Settings) -> Finding:
    from brain.redaction import description
    from brain.stream.stream import use_marks_of

    with suppress(InvalidInput):  # no URL of a stream: its own finding says it
        use_marks_of(settings.stream)
    found = description()
    if found is None:
        return Finding("redaction", "note", "off: secrets are written as they come", "remove redaction = false")
    return Finding("redaction", "ok", found)


def _settings(settings: Settings) -> Finding:
    from brain.settings import FILE, without_password

    source = f"{FILE} in this folder" if Path(FILE).is_file() else "environment and defaults"
    key = "with an API key" if settings.api_key else "without an API key"
    urls = without_password(settings.stream)
    if settings.store_url != settings.stream:
        urls += f", store {without_password(settings.store_url)}"
    return Finding("settings", "ok", f"stream {urls}; {settings.host}:{settings.port} {key}; from {source}")


def _secrets(settings: Settings) -> list[Finding]:
    """One for each secret that this process cannot read; the server's may be able to."""
    from brain.secret import secret_faults

    remedy = "set it where the server runs; until then whatever needs it fails"
    return [Finding("secrets", "note", fault.removesuffix("; set it"), remedy) for fault in secret_faults(settings)]


def _plugins() -> list[Finding]:
    """One for each fault of an installed plug-in, and one note where plug-ins need what is not installed."""
    from brain.plugins import plugin_faults, plugins
    from brain.plugins.own import metadata_fault
    from brain.settings import settings_model

    faults = list(plugin_faults())
    notes: list[Finding] = []
    checks: list[Callable[[], object]] = [settings_model, *(plugin.opener for plugin in plugins().values())]
    for check in checks:
        try:
            check()
        except MissingExtra as error:
            notes.append(_not_installed("plug-ins", error))
        except BrainError as error:
            faults.append(str(error))
    remedy = "repair or remove the package; `brain serve` does not start with it"
    if (broken := metadata_fault()) is not None:
        fault, _, repair = broken.partition("; ")
        notes[1:] = [Finding("installation", "note", fault, repair)]
    return [*notes[:2], *(Finding("plug-ins", "bad", fault, remedy) for fault in faults)]


def _missing_database(url: str) -> Finding | None:
    from brain.store.sqlite import sqlite_path

    if not url.startswith("sqlite:///"):
        return None
    path = sqlite_path(url)
    if path.exists():
        return None
    fault = _unwritable(path.parent)
    if fault is not None:
        remedy = "nothing can be published: make it writable for this user, or give another --stream"
        return Finding("stream", "bad", f"there is no {path}, and {fault}", remedy)
    return Finding(
        "stream",
        "note",
        f"there is no {path} yet",
        "the first published event makes it; if it is in another folder, go there or give --stream",
    )


def _folder(url: str) -> list[Finding]:
    """The folder of a stream in a file: SQLite and the journal make files beside it."""
    from brain.store.sqlite import sqlite_path

    if not url.startswith("sqlite:///"):
        return []
    fault = _unwritable(sqlite_path(url).parent)
    remedy = "nothing can be published: make it writable for this user"
    return [] if fault is None else [Finding("folder", "bad", fault, remedy)]


def _private(settings: Settings) -> list[Finding]:
    """Whether other users of this machine may read what is kept in files."""
    from brain.store.sqlite import sqlite_path

    urls = (settings.stream, settings.store_url, settings.database)
    databases = {sqlite_path(url) for url in urls if url.startswith("sqlite:///")}
    beside = {path for database in databases for path in database.parent.glob(f"{glob.escape(database.name)}*")}
    files = sorted(path for path in beside if path.exists())
    open_to_others = [str(path) for path in files if path.stat().st_mode & 0o077]
    if open_to_others:
        remedy = f"chmod go-rwx {' '.join(open_to_others)}"
        return [Finding("files", "note", f"other users may read {', '.join(open_to_others)}", remedy)]
    return [Finding("files", "ok", "are for this user alone")] if files else []


def _unwritable(folder: Path) -> str | None:
    """Why no file can be made in the folder; None when one can. Tries it, for permissions alone do not tell."""
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"the folder {folder.absolute()} cannot be written: {error.strerror}"


async def _stream(settings: Settings) -> list[Finding]:
    from brain.stream import EventStream

    try:
        async with asyncio.timeout(WAIT_SECONDS):
            stream = await EventStream.open(settings.stream)
    except (BrainError, TimeoutError) as error:
        return [Finding("stream", "bad", str(error) or "does not answer", _reach(settings.stream, error))]
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            findings = [await _newest(stream), *await _redis(stream), *await _groups(stream)]
    except (BrainError, TimeoutError) as error:
        reason = str(error) or f"no answer within {WAIT_SECONDS:g} s"
        findings = [Finding("stream", "bad", reason, _reach(settings.stream, error))]
    finally:
        await stream.close()
    return [*findings, _journal(stream)]


def _reach(url: str, error: Exception) -> str:
    """What to do about a database that cannot be opened."""
    if isinstance(error, InvalidInput):  # it answers, and is not ours
        return "name another one: --stream, BRAIN_STREAM, or `stream` and `store` in brain.toml"
    if url.startswith("sqlite"):
        return "check the file, its folder's permissions and the space on the disk"
    return "check that Redis runs, the URL, the password and the network"


async def _newest(stream: EventStream) -> Finding:
    from datetime import UTC, datetime

    newest = await stream.read(newest_first=True, limit=1)
    if not newest:
        return Finding("stream", "ok", "answers; holds no events yet")
    moment = datetime.fromtimestamp(newest[0].event.timestamp, UTC).isoformat(timespec="seconds")
    return Finding("stream", "ok", f"answers; the newest event is {newest[0].event.type} of {moment}")


async def _redis(stream: EventStream) -> list[Finding]:
    if not stream.url.startswith(("redis", "unix")):
        return []
    from brain.stream.backends.redis import RedisBackend

    assert isinstance(stream.backend, RedisBackend)
    found = [warning.partition("; ") for warning in await stream.call(stream.backend.warnings)]
    return [Finding("redis", "note", finding, remedy) for finding, _, remedy in found]


async def _groups(stream: EventStream) -> list[Finding]:
    findings = []
    for group in await stream.groups():
        state = f"{group.pattern}: {group.lag} behind, {group.pending} pending, {group.dead} dead letters"
        if group.dead:
            remedy = f"brain dead-letters list {group.name}; then redrive or discard them"
            findings.append(Finding(f"group {group.name}", "bad", state, remedy))
        elif group.lag > LAG and group.consumers is None:
            remedy = "its plug-in is slow or does not run: brain serve, or brain worker; /readyz says what stands still"
            findings.append(Finding(f"group {group.name}", "note", state, remedy))
        elif group.lag > LAG and not group.consumers:
            remedy = "nothing consumes it: run its program (brain serve for groups named brain.*), or remove it"
            findings.append(Finding(f"group {group.name}", "bad", state, remedy))
        elif group.lag > LAG:
            remedy = "its handler is slow: raise its concurrency, or run more workers"
            findings.append(Finding(f"group {group.name}", "note", state, remedy))
        else:
            findings.append(Finding(f"group {group.name}", "ok", state))
    return findings


def _journal(stream: EventStream) -> Finding:
    stats = stream.stats()
    recovered = f"{stats['recovered']} events of ended processes were stored just now"
    if stats["damaged"]:
        remedy = "they are lost: check the disk, and whether it was full"
        return Finding("journal", "bad", f"{recovered}; {stats['damaged']} records are damaged", remedy)
    if stats["backlog"]:
        remedy = "they are stored as soon as the stream answers"
        return Finding("journal", "bad", f"{stats['backlog']} events wait to be stored: {stream.last_error}", remedy)
    return Finding("journal", "ok", recovered if stats["recovered"] else "nothing waits to be stored")


async def _store(settings: Settings) -> list[Finding]:
    from brain.store import open_store
    from brain.store.deletion_clock import REMEDY, clock_fault
    from brain.stream.event_outbox import outbox_state

    def ask() -> tuple[OutboxState, str | None]:
        with closing(open_store(settings.store_url)) as store:
            return outbox_state(store), clock_fault(store, time.time())

    try:
        async with asyncio.timeout(WAIT_SECONDS):
            state, fault = await asyncio.to_thread(ask)
    except (BrainError, TimeoutError) as error:
        return [Finding("store", "bad", str(error) or "does not answer", _reach(settings.store_url, error))]
    clock = [] if fault is None else [Finding("clock", "bad", fault, REMEDY)]
    return [Finding("store", "ok", "answers"), _announcements(state), *clock]


def _announcements(state: OutboxState) -> Finding:
    if not state.waiting:
        return Finding("announcements", "ok", "every stored change is announced on the stream")
    waiting = f"{state.waiting} changes wait to be announced, the oldest for {state.oldest_seconds:.0f} s"
    if not state.late:
        return Finding("announcements", "ok", waiting)
    remedy = "brain serve, brain worker or any program with this store and stream announces them; if one runs: its log"
    return Finding("announcements", "bad", waiting, remedy)


async def _reconcile(settings: Settings) -> list[Finding]:
    """Compare state and events, each read whole."""
    from brain.cli.reconciling import reconcile

    if _missing_database(settings.stream) is not None:
        return []
    try:
        found = await asyncio.to_thread(reconcile, settings.stream, settings.store_url)
    except BrainError as error:
        return [Finding("reconcile", "bad", str(error), _reach(settings.stream, error))]
    return [Finding(*one) for one in found]


def _trust_clock(settings: Settings) -> None:
    from brain.store import open_store
    from brain.store.deletion_clock import trust_clock
    from brain.store.ours import check_exists

    check_exists(settings.store_url)
    with closing(open_store(settings.store_url)) as store:
        trust_clock(store, time.time())


async def _unreadable_rules(settings: Settings) -> list[Finding]:
    """The stored rules that this version cannot read: an engine does not start with one."""
    from brain.policy.stored_rules import StoredRules, read_rules
    from brain.store import open_store

    def ask() -> StoredRules:
        with closing(open_store(settings.store_url)) as store:
            return read_rules(store)

    try:
        async with asyncio.timeout(WAIT_SECONDS):
            found = await asyncio.to_thread(ask)
    except (BrainError, TimeoutError):
        return []  # the store's own finding says it
    bad = [
        Finding(
            "stored rules",
            "bad",
            str(fault).partition("; `")[0],
            f"brain policy delete {key}; until then no engine starts",
        )
        for key, fault in found.faults.items()
    ]
    return bad or [Finding("stored rules", "ok", f"{len(found.rules)} stored, and all can be read")]


async def _keys_of_nobody(settings: Settings) -> list[Finding]:
    """The keys that may approve, and of which nobody knows whose they are: each counts as an approver of its own."""
    from brain.access.models import Role
    from brain.access.repository import Keys
    from brain.store import open_store

    def ask() -> list[str]:
        with closing(open_store(settings.store_url)) as store:
            keys, now = Keys(store, None).list(), time.time()
        approving = [key for key in keys if key.role in (Role.APPROVER, Role.ADMIN) and key.owner is None]
        return [key.name for key in approving if key.fault(key.digest, now) is None]

    try:
        async with asyncio.timeout(WAIT_SECONDS):
            found = await asyncio.to_thread(ask)
    except (BrainError, TimeoutError):
        return []  # the store's own finding says it
    if len(found) < 2:
        return []
    names = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    finding = f"may approve, and have no owner, so that two of one person count as two who agree: {names}"
    return [Finding("keys", "note", finding, "brain keys rotate NAME --owner PERSON")]


@contextmanager
def _consumers_database(url: str) -> Iterator[Engine]:
    from brain.kit.database import open_database

    database = open_database(url)
    try:
        yield database
    finally:
        database.dispose()


async def _database(settings: Settings) -> list[Finding]:
    import sqlalchemy as sa

    from brain.kit.database import database_url, reachable
    from brain.stream.threads import run_alone

    url = database_url(settings)
    if _missing_database(url) is not None:
        return [Finding("database", "ok", "not there yet; brain serve or brain worker makes it when it first runs")]

    def ask() -> None:
        with _consumers_database(url) as database, reachable(database), database.begin() as db:
            db.execute(sa.text("SELECT 1"))

    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await run_alone(ask)
    except (BrainError, TimeoutError) as error:
        remedy = "check the setting `database`, that it runs, and the network"
        return [Finding("database", "bad", str(error) or "does not answer", remedy)]
    return [Finding("database", "ok", "answers")]


async def _standing(settings: Settings) -> list[Finding]:
    """The plug-ins' groups that stand still, since the stream or their database was restored."""
    from brain.kit.database import database_url
    from brain.kit.moving import standing
    from brain.stream.backends import open_backend
    from brain.stream.threads import run_alone

    url = database_url(settings)
    if _missing_database(url) is not None:
        return []

    def ask() -> dict[str, str]:
        with _consumers_database(url) as database, closing(open_backend(settings.stream)) as backend:
            return standing(backend, database)

    try:
        async with asyncio.timeout(WAIT_SECONDS):
            found = await run_alone(ask)
    except TimeoutError:
        return []  # the findings of stream and database say it
    except BrainError as error:
        return [Finding("positions", "bad", str(error), "see docs/backup.md")]
    return [Finding(f"group {group}", "bad", reason, "see docs/backup.md") for group, reason in found.items()]


async def _owners(settings: Settings) -> list[Finding]:
    """The groups that another database keeps: this one would do everything a second time."""
    from brain.kit.database import database_url
    from brain.kit.database_identity import GroupOwner, known_identity, owned_elsewhere
    from brain.stream.backends import open_backend
    from brain.stream.threads import run_alone

    url = database_url(settings)

    def ask() -> dict[str, GroupOwner]:
        with closing(open_backend(settings.stream)) as backend:
            if _missing_database(url) is not None:
                return owned_elsewhere(backend, "")
            with _consumers_database(url) as database:
                return owned_elsewhere(backend, known_identity(database))

    try:
        async with asyncio.timeout(WAIT_SECONDS):
            found = await run_alone(ask)
    except (BrainError, TimeoutError):
        return []  # the findings of the stream and the database say it
    remedy = "give every node the same `database` (docs/nodes.md), or move the group on purpose: brain groups adopt"
    return [
        Finding(f"group {group}", "bad", f"its database is {owner.place}, and not that of these settings", remedy)
        for group, owner in found.items()
    ]


async def _server(settings: Settings) -> list[Finding]:
    import httpx

    from brain.kit.own_server import own_url, trust

    url = own_url(settings)
    headers = {"Authorization": f"Bearer {settings.api_key.get_secret_value()}"} if settings.api_key else {}
    try:
        trusted = trust(settings)
    except InvalidInput as error:
        fault, _, remedy = str(error).partition("; ")
        return [Finding("server", "bad", fault, f"{remedy}; no server starts with this one")]
    try:
        async with httpx.AsyncClient(
            base_url=url, headers=headers, timeout=WAIT_SECONDS, trust_env=False, verify=trusted
        ) as client:
            ready = await client.get("/readyz")
            metrics = await client.get("/metrics")
    except httpx.HTTPError:
        return [Finding("server", "note", f"no server answers at {url}", "start one with brain serve, if you want one")]
    if metrics.status_code != 200:
        remedy = "another program has this port, or the API key is not that of the server"
        return [Finding("server", "bad", f"{url}/metrics was answered with {metrics.status_code}", remedy)]
    rules = _rules(ready, metrics.text)
    failed = _total(metrics.text, "brain_publish_failures_total", "brain_stream_events_refused_total")
    if ready.status_code != 200:
        return [*rules, Finding("server", "bad", f"{url} is not ready: {ready.text}", "see its log")]
    if failed:
        return [
            *rules,
            Finding("server", "bad", f"{failed:.0f} events of {url} were not published", "see its log for each"),
        ]
    return [*rules, Finding("server", "ok", f"{url} is ready, and every event was published")]


def _rules(ready: httpx.Response, metrics: str) -> list[Finding]:
    """Whether the server follows the stored rules; nothing when it has none."""
    state = ready.json().get("checks", {}).get("rules")
    if state is None:
        return []
    failed = _total(metrics, "brain_policy_follow_failures_total")
    if state == "ok":
        age = _total(metrics, "brain_policy_rules_age_seconds")
        return [Finding("rules", "ok", f"the server read them {age:.1f} s ago; {failed:.0f} looks have failed")]
    remedy = "see the server's log; check that the store answers, and that each stored rule can be read"
    return [Finding("rules", "bad", f"the server: {state}; {failed:.0f} looks have failed", remedy)]


def _total(metrics: str, *names: str) -> float:
    """The sum of all series of these names."""
    lines = (line for line in metrics.splitlines() if line.partition("{")[0].partition(" ")[0] in names)
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        colour = {"ok": typer.colors.GREEN, "note": typer.colors.YELLOW, "bad": typer.colors.RED}[finding.state]
        typer.secho(finding.state.rjust(4), fg=colour, nl=False)
        print_text(f"  {finding.part}: {finding.finding}")
        if finding.remedy:
            print_text(f"      -> {finding.remedy}")
