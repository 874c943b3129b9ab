"""BRAiN EventStream."""
