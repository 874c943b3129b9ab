"""Telemetry: OpenTelemetry in, sources over WebSocket, usage of models and tools by agent, recordings."""
