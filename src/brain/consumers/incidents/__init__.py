"""Incident automation: one incident for each story, mirrored to the tools people work in."""
