"""SOC alerting: alerts, and who is told of them when."""
