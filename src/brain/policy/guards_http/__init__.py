"""Guards for HTTP: FastAPI dependencies, an ASGI middleware in front of any application, and denials as problems."""

from brain.extras import needs

with needs(__name__):
    from brain.policy.guards_http.dependencies import acting, requires
    from brain.policy.guards_http.identify import Identify
    from brain.policy.guards_http.middleware import PolicyMiddleware
    from brain.policy.guards_http.problems import install

__all__ = ["Identify", "PolicyMiddleware", "acting", "install", "requires"]
