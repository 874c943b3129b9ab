"""A process that consumes a group until it is killed; each effect is one transaction with the inbox."""

from __future__ import annotations
