"""The HTTP server: the application, what runs it, security, problems, and the routes that belong to no plug-in."""

from brain.extras import needs

with needs(__name__):
    from brain.server.app import create_app

__all__ = ["create_app"]
