"""Tables and texts for people, whatever is in them and wherever they go."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

PIPED_WIDTH = 200


def print_table(table: Table) -> None:
    """Print to standard output; into a pipe or a file wide enough that nothing is cut off."""
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

    from brain.kit.cli.text import printable

    return escape(printable(str(text)))
