"""Backups: one consistent set of stream, state, consumers' tables, journals and keys, and its restore."""
