"""`brain keys`: make, list, rotate and revoke the keys of the server."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from brain.kit.cli.common import JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.access.models import Key
    from brain.access.repository import Keys, NewKey
    from brain.store import Store
    from brain.stream import EventStream

T = TypeVar("T")

app: typer.Typer = typer.Typer(no_args_is_help=True, help="Keys of the server: who may use it, and for what.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")]


@app.command()
def new(
    name: NameArgument,
    role: Annotated[str, typer.Option(help="viewer, operator, approver, admin, evaluator, reporter or metrics.")],
    kind: Annotated[str | None, typer.Option(help="person, agent or service.")] = None,
    agent: Annotated[list[str] | None, typer.Option(help="An agent that an evaluator may ask for; repeat it.")] = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires; else it does not.")] = None,
    owner: Annotated[str | None, typer.Option(help="The person whose key it is, as log-ins name that one.")] = None,
    as_json: JsonOption = False,
    stream: StreamOption = None,
) -> None:
    """Make a key and show it, this once."""
    from brain.access.repository import KeyTerms, checked_role
    from brain.errors import InvalidInput

    if kind not in (None, "person", "agent", "service"):
        raise InvalidInput(f"--kind: {kind!r} is not person, agent or service")
    if days is not None and not 0 < days <= 36_500:
        raise InvalidInput(f"--days: {days:g} is out of bounds; give days, above 0 and at most 36500")
    kinds: Any = kind
    lifetime = None if days is None else days * 86_400
    terms = KeyTerms(kind=kinds, agents=agent or (), lifetime=lifetime, owner=owner)
    checked_role(name, role, terms)  # before a database is made for it
    made = _with_keys(stream, lambda keys: keys.new(name, role, by=user(), **terms), makes=True)
    _show(made, as_json)


@app.command("list")
def list_keys(as_json: JsonOption = False, stream: StreamOption = None) -> None:
    """All keys, by name; the keys themselves are kept nowhere."""
    found, uses = _with_keys(stream, lambda keys: (keys.list(), keys.last_uses()), reads=True)
    if as_json:
        print_json_array({**_row(key), "last_used_at": uses.get(key.name)} for key in found)
        return
    for key in found:
        owner = "" if key.owner is None else f"  of {key.owner}"
        print_text(
            f"{key.name}  {key.role.value}  {key.kind}  {key.begins}...  {_state(key)}  {_used(uses, key)}{owner}"
        )
    if not found:
        print_text("no keys; make one with: brain keys new NAME --role viewer")


@app.command()
def rotate(
    name: NameArgument,
    overlap: Annotated[float, typer.Option(help="Seconds that the former key still counts.")] = 3600.0,
    owner: Annotated[str | None, typer.Option(help="The person whose key it is from now on; else as before.")] = None,
    as_json: JsonOption = False,
    stream: StreamOption = None,
) -> None:
    """Replace a key, and show the new one this once."""
    _show(_with_keys(stream, lambda keys: keys.rotate(name, overlap, by=user(), owner=owner)), as_json)


@app.command()
def revoke(name: NameArgument, stream: StreamOption = None) -> None:
    """End a key, for good. Servers see it within two seconds."""
    key = _with_keys(stream, lambda keys: keys.revoke(name, by=user()))
    print_text(f"{key.name} is revoked")


@app.command()
def roles() -> None:
    """Print the rules that say what each role may do: a policy file, for the setting `rules` of access."""
    print_text(Path(__file__).with_name("roles.json").read_text(encoding="utf-8"), nl=False)


def _with_keys(url: str | None, act: Callable[[Keys], T], *, makes: bool = False, reads: bool = False) -> T:
    """The result of `act` on the keys. The database must be there unless `makes`, as for the first key."""
    from brain.access.repository import Keys

    return run(in_store(url, lambda store, stream: act(Keys(store, stream)), makes=makes, reads=reads))


async def in_store(
    url: str | None, act: Callable[[Store, EventStream], T], *, makes: bool = False, reads: bool = False
) -> T:
    """The result of `act` on the store and stream of the settings. The database must be there unless `makes`.

    What only `reads` publishes nothing, and leaves no journal.
    """
    from brain.kit.cli.backend import reading_stream
    from brain.settings import load_settings
    from brain.store import open_store
    from brain.store.ours import check_exists
    from brain.stream import EventStream

    settings = load_settings(stream=url, store=url)
    if not makes:
        check_exists(settings.store_url)
    store = open_store(settings.store_url)
    try:
        async with reading_stream(settings.stream) if reads else EventStream.open(settings.stream) as stream:
            return act(store, stream)
    finally:
        store.close()


def _show(made: NewKey, as_json: bool) -> None:
    if as_json:
        print_json({**_row(made.key), "key": made.secret})
        return
    print_text(made.secret)
    print_text(f"key {made.key.name}, role {made.key.role.value}; it is shown this once", err=True)


def _row(key: Key) -> dict[str, Any]:
    import msgspec

    shown = msgspec.to_builtins(key)
    return {name: value for name, value in shown.items() if name not in ("digest", "former")}


def _used(uses: Mapping[str, float], key: Key) -> str:
    at = uses.get(key.name)
    return "never used" if at is None else f"used {max(0.0, time.time() - at) / 3600:.1f} hours ago"


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "active"
    return "expired" if time.time() >= key.expires_at else f"{(key.expires_at - time.time()) / 86_400:.1f} days left"


def user() -> str | None:
    """Who runs the command, by name of the operating system."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
