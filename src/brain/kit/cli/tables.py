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


def printable(text: str) -> str:
    """The text without what a terminal would take for a command; such characters are shown as U+FFFD."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def cell(text: object) -> str:
    """A table cell: printable, and not taken for markup."""
    from rich.markup import escape

    return escape(printable(str(text)))
