"""The commands of alerting: alerts and silences."""
