"""Metrics and analytics: time series made of the stream."""
