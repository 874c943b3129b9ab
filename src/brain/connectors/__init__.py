"""Outside services: one file for each, with its settings and its class, over one HTTP sender that retries.

Notifiers and ticket systems are registered by kind (registry.py). Requests are built by pure functions, apart from the
sending of them. Every request that makes something carries a key of ours where the service takes one, so that sending
it twice does a thing once.
"""

from brain.extras import needs

with needs(__name__):
    import pydantic  # noqa: F401  (all of them have settings)
