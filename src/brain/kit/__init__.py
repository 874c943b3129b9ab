"""What plug-ins are made from: projections, the database, the outbox, and helpers for HTTP and the command line."""
