"""`brain audit witness`, a witness of other logs, and `brain audit witnesses`, which shows those of this log."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brain.audit.commands.options import opened, parse_key
from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json_array, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.audit.witness_server import WitnessService


def witness(
    name: Annotated[str, typer.Option(help="The witness's name in its signatures, such as example.com/witness.")],
    log: Annotated[
        list[str],
        typer.Option(
            "--log", metavar="PUBLIC", help="A public key of a log to sign for, or a file with it; repeatable."
        ),
    ],
    folder: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where its key and what it has signed are kept.")
    ] = Path("brain-witness"),
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")] = 8775,
) -> None:
    """Be a witness of other audit logs, until SIGINT or SIGTERM: sign their checkpoints while they continue each other.

    It prints its public key, for those who verify. Let another person run it, on another machine than the log.
    """
    from brain.audit.cosignature import Witness
    from brain.audit.keys import load_or_make_key
    from brain.audit.witness_server import WitnessService
    from brain.audit.witness_store import WitnessStore
    from brain.errors import InvalidInput

    logs = [parse_key(text) for text in log]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    signer = Witness(name, load_or_make_key(folder / "witness.key"))
    if any(key.key == signer.key.key for key in logs):
        raise InvalidInput("--log: is the witness's own key; give the log's, which `brain audit key` prints")
    service = WitnessService(signer, WitnessStore(folder / "witness.db"), logs)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen()  # who reads the lines below may ask at once
        except OSError as error:
            raise InvalidInput(f"--host, --port: cannot listen at {host}:{port}: {error.strerror}") from error
        print_text(str(signer.key))
        print_text(f"a witness at http://{host}:{listener.getsockname()[1]}", err=True)
        run(_serve(service, listener))


async def _serve(service: WitnessService, listener: socket.socket) -> None:
    import asyncio
    import signal

    from brain.extras import needs

    with needs("a witness", "server"):
        from brain.audit.witness_http import witnessing

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with witnessing(service, listener) as work:
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()


def witnesses(stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Print what each witness of this log signed last, and what went wrong since."""
    from dataclasses import asdict

    from rich.table import Table

    from brain.extras import needs
    from brain.kit.cli.tables import cell, print_table
    from brain.kit.cli.text import moment

    with needs("witnesses of the audit log", "connectors"):
        from brain.audit.witnessing import states

    with opened(stream, database) as (engine, settings):
        found = states(engine, settings)
    if as_json:
        print_json_array(asdict(one) for one in found)
        return
    if not found:
        print_text("no witnesses; name them in audit.witnesses", err=True)
        return
    table = Table("Witness", "Entries", "Signed at", "Failures", "Last failure")
    for one in found:
        at = moment(one.signed_at) if one.signed_at is not None else "never"
        table.add_row(cell(one.name), str(one.size), at, str(one.failures), cell(one.failure or "-"))
    print_table(table)
