"""Metrics and analytics: how often, how fast, how healthy; time series that a recount confirms."""
