"""The way to Redis that the stream and the store share: URLs, clients, and errors that say what to do."""
