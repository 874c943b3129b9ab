"""`brain backup` and `brain restore`: one consistent set of everything, taken while all goes on, and put back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json
from brain.kit.cli.text import print_text


def backup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder for the backup.")],
    stream: StreamOption = None,
    database: DatabaseOption = None,
    without_keys: Annotated[bool, typer.Option("--without-keys", help="Leave out the audit log's key.")] = False,
    only_database: Annotated[
        bool, typer.Option("--only-database", help="The consumers' tables and keys alone: for a stream on Redis.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy stream, state, consumers' tables, journals and keys as one consistent set, while everything goes on.

    brain.toml is not copied: it may hold passwords. The folder may sign as your audit log: keep it where only you read.

    Examples: `brain backup /backups/monday`, `brain backup copy --stream sqlite:////var/lib/brain/brain.db`
    """
    import msgspec

    from brain.kit.backup.take import take
    from brain.settings import load_settings

    settings = load_settings(stream=stream, database=database)
    manifest = take(settings, folder, with_keys=not without_keys, only_database=only_database)
    if as_json:
        print_json(msgspec.to_builtins(manifest))
        return
    size = sum(size for size, _ in manifest.files.values())
    what = f"the stream up to {manifest.tail or 'its start'}" if manifest.stream else "the consumers' tables"
    print_text(f"{folder}: {what}, {len(manifest.files)} files, {size:,} bytes")
    for name, position in manifest.positions.items():
        print_text(f"  {name} stands at {position or 'the start'}")
    if only_database:
        print_text("now copy Redis (redis-cli BGSAVE, then its dump.rdb): after this, never before")


def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder that brain backup made.")],
    stream: StreamOption = None,
    database: DatabaseOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Rename what is there, to NAME.before-TIME, instead of refusing.")
    ] = False,
    keep_database: Annotated[
        bool, typer.Option("--keep-database", help="Restore the stream alone; consumers' tables and keys stay.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in this folder, or where the options and settings say. Stop what uses it first.

    The restore is recorded in the stream: consumers that had read further go on exactly where it branches off.

    Examples: `cd /srv/new && brain restore /backups/monday`, `brain restore /backups/monday --replace`
    """
    from dataclasses import asdict

    from brain.kit.backup.restore import restore as put_back
    from brain.settings import load_settings

    settings = load_settings(stream=stream, database=database)
    done = put_back(settings, folder, replace=replace, with_database=not keep_database)
    if as_json:
        print_json(asdict(done))
        return
    if done.stream:
        print_text(f"{done.stream}: restored; new events follow {done.branch or 'the start'}")
    if done.database:
        from brain.settings import without_password

        print_text(f"{without_password(done.database)}: restored")
    for path in done.files:
        print_text(f"{path}: restored")
    for path in done.set_aside:
        print_text(f"kept what was there: {path}")
