"""The commands that belong to no plug-in."""
