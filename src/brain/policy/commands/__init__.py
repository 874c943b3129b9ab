"""`brain policy`: rules as files, decisions, and measures, on the command line."""

from __future__ import annotations

import typer

from brain.policy.commands import approving, deciding, editing, files, measures

app = typer.Typer(no_args_is_help=True)

for part in (deciding, files, editing, measures, approving):
    part.register(app)
