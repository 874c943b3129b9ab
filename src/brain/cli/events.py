"""`brain events`: follow the stream, print what it holds, and print or write the catalogue of event types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brain.cli.common import JsonOption, print_json, print_json_array

app = typer.Typer(help="The event stream: follow it, read it, and what its types are.", no_args_is_help=True)


@app.command()
def catalogue(
    as_json: JsonOption = False,
    asyncapi: Annotated[bool, typer.Option("--asyncapi", help="Print the AsyncAPI 3.0 document.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the modules' Markdown documents.")] = False,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FOLDER", help="Write all documents; for a project, docs/events.")
    ] = None,
) -> None:
    """Print every declared event type, or the documents generated from them."""
    from brain.catalogue import modules
    from brain.catalogue.asyncapi import asyncapi_document
    from brain.catalogue.files import generated_files
    from brain.catalogue.markdown import module_document

    documented = modules()
    if write is not None:
        for path, text in generated_files(write).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            typer.echo(f"wrote {path}", err=True)
    elif asyncapi:
        print_json(asyncapi_document(documented))
    elif markdown:
        typer.echo("\n".join(module_document(module) for module in documented), nl=False)
    elif as_json:
        from brain.web.events_api import entry

        print_json_array(entry(event) for module in documented for event in module.events)
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table("Event type", "Priority", "Frequency", "Purpose")
        for module in documented:
            for event in module.events:
                table.add_row(event.name, event.priority, event.frequency, event.purpose)
        Console().print(table)
