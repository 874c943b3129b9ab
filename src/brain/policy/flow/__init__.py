"""Rate limiters and circuit breakers: decorators whose state is a rule, so that guards obey the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.exports import lazy

if TYPE_CHECKING:
    from brain.policy.flow.bucket import Limiter, LimitExceeded, limiter
    from brain.policy.flow.circuit import Breaker, CircuitOpen, breaker
else:
    __getattr__ = lazy(
        __name__,
        {
            "brain.policy.flow.circuit": ["Breaker", "CircuitOpen", "breaker"],
            "brain.policy.flow.bucket": ["LimitExceeded", "Limiter", "limiter"],
        },
    )

__all__ = ["Breaker", "CircuitOpen", "LimitExceeded", "Limiter", "breaker", "limiter"]
