"""The plug-in `connectors`: webhooks and Singer taps in, messages out, and one registry of all connectors.

Its folder has another name than the plug-in, because `brain.connectors` holds the services themselves, below the kit
(docs/decisions/0029-connectors-live-in-links.md).
"""
