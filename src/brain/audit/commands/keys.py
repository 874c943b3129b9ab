"""`brain audit rotate-key` and `brain audit retire-key`: another key for the log."""

from __future__ import annotations

import getpass
import time

from brain.audit.commands.options import load, opened_with
from brain.audit.commands.retention import ByOption, publish_event
from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, run
from brain.kit.cli.text import print_text


def rotate_key(
    by: ByOption = None, stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Give the log to a new key, by a hand-over that both keys and the witnesses sign. Publishes audit.key_rotated.

    Running servers take the new key with their next event. Both keys sign until `brain audit retire-key`.
    """
    from brain.audit.events import KEY_ROTATED
    from brain.audit.open import key_path
    from brain.audit.settings import AuditSettings
    from brain.extras import needs

    with needs("another key of the audit log", "connectors"):
        from brain.audit.rotation import rotate

    settings = load(stream, database)
    with opened_with(settings) as (engine, _):
        mine = settings.table(AuditSettings)
        done = run(rotate(engine, mine, key_path(engine, mine), time.time()))
    handover, signed = done.handover, list(done.signed)
    payload = {
        "origin": handover.new.name,
        "size": handover.checkpoint.size,
        "old_key": str(handover.old),
        "new_key": str(handover.new),
        "note": handover.note.decode(),
        "witnesses": signed,
        "by": by or getpass.getuser(),
    }
    publish_event(settings, KEY_ROTATED, payload)
    if as_json:
        print_json(payload)
        return
    print_text(str(handover.new))
    who = ", ".join(signed) or "no witness"
    print_text(f"the log is handed over at {handover.checkpoint.size} entries, signed by {who}", err=True)
    print_text("keep a copy of the key's file; once all witnesses take the new key: brain audit retire-key", err=True)


def retire_key(stream: StreamOption = None, database: DatabaseOption = None) -> None:
    """Remove the keys before the current one from the key's file, once every witness takes the current one.

    A running server signs with both until it is started again.
    """
    from brain.audit.open import key_path
    from brain.audit.settings import AuditSettings
    from brain.extras import needs

    with needs("another key of the audit log", "connectors"):
        from brain.audit.rotation import retire

    settings = load(stream, database)
    with opened_with(settings) as (engine, _):
        mine = settings.table(AuditSettings)
        count = run(retire(engine, mine, key_path(engine, mine)))
    print_text(f"{count} former keys removed" if count else "there is no former key")
