"""Rate limiters and circuit breakers: decorators whose state is a rule, so that guards obey the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.exports import lazy

if TYPE_CHECKING:
    from brain.policy.flow.breaker import Breaker, CircuitOpen, breaker
    from brain.policy.flow.limiter import Limiter, LimitExceeded, limiter
else:
    __getattr__ = lazy(
        __name__,
        {
            "brain.policy.flow.breaker": ["Breaker", "CircuitOpen", "breaker"],
            "brain.policy.flow.limiter": ["LimitExceeded", "Limiter", "limiter"],
        },
    )

__all__ = ["Breaker", "CircuitOpen", "LimitExceeded", "Limiter", "breaker", "limiter"]
