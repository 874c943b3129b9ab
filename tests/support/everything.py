"""Imported once by the fork server, so that each child starts with all of it."""

from __future__ import annotations

from brain import catalogue
from support import group_worker, producer

catalogue()
__all__ = ["group_worker", "producer"]
