"""Alerting: alerts, and pages to the people on call."""
