"""What tests of code that uses BRAiN need: a stream that records, and ready events of every declared type."""

from __future__ import annotations
