"""`brain policy`: rules as files, decisions, and measures, on the command line."""

from __future__ import annotations

import typer

from brain.policy.commands import approvals, containment, decisions, files, rules

app: typer.Typer = typer.Typer(no_args_is_help=True)

for _part in (decisions, files, rules, containment, approvals):
    _part.register(app)
