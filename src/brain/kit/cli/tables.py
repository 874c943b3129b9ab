"""Tables for people, on a terminal or in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.kit.cli.text import printable

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["cell", "print_table"]

PIPED_WIDTH = 200
"""Columns of a table that goes to a pipe or a file."""


def print_table(table: Table) -> None:
    """Print to standard output. In a pipe or a file the table is wide, so that little is cut off."""
    from rich import box
    from rich.console import Console

    table.box, table.show_edge, table.pad_edge, table.collapse_padding = box.SIMPLE_HEAD, False, False, True
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    console.print(table)


def cell(text: object) -> str:
    """A table cell: printable, and not taken for markup."""
    from rich.markup import escape

    return escape(printable(str(text)))
