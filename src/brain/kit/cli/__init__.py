"""What commands are made from: options, opening a stream, tables and texts."""

from brain.extras import needs

with needs(__name__):
    import typer  # noqa: F401
