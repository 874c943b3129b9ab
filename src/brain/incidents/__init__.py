"""Incident automation opens one incident for each correlation id that needs a person, and carries it to its end.

An escalated threat or a critical health event opens the incident of its correlation id; its other events join the
timeline. Each incident has a ticket in every ticket system that is set up, and the tickets' states flow back.
"""
