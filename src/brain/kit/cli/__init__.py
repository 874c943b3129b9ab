"""What commands are made from: options, opening a stream, tables and texts."""
