"""The agent that acts in a block of code, and how to carry it to other threads and processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, ParamSpec, TypeVar

from brain.errors import InvalidInput
from brain.logs import Log
from brain.platform import at_fork
from brain.policy.guards.function_kinds import FunctionKind, kind_of

P = ParamSpec("P")
T = TypeVar("T")
Agent = Mapping[str, Any] | str
"""An agent's id, or the fields of the context that say who acts: `agent_id`, `agent_role`, ..."""

ANONYMOUS: Final = "anonymous"
"""The id for callers that may be unknown. Rules can name it like any other id."""

log: Log = Log("brain.policy")
lost: int = 0
"""How many blocks of `acting_as` ended in another context than they began in: what ran between did not know them."""

_acting: ContextVar[Mapping[str, Any] | None] = ContextVar("brain_acting_agent", default=None)
at_fork(in_child=lambda: _acting.set(None))  # a pool's worker must not act for who started the pool


def agent_fields(agent: Agent | None) -> Mapping[str, Any] | None:
    """The agent as fields of the context."""
    return {"agent_id": agent} if isinstance(agent, str) else agent


def acting_agent() -> Mapping[str, Any] | None:
    """The agent that `acting_as` named here; None when there is none."""
    return _acting.get()


@contextmanager
def acting_as(agent: Agent, **more: Any) -> Iterator[None]:
    """Inside this block guards decide for `agent`, an id or a mapping; `more` adds fields such as `agent_role`.

    It holds for this thread or task and the tasks it starts. `asyncio.to_thread` takes it along; for threads and
    executors there are `carry` and ActingExecutor. A child process made by fork begins without it.
    """
    global lost
    mine = {**(agent_fields(agent) or {}), **more}
    before = _acting.get()
    _acting.set(mine)
    try:
        yield
    finally:
        if _acting.get() is mine:
            _acting.set(before)
        else:  # a generator that another context goes on with, such as a synchronous `yield` dependency of FastAPI
            lost += 1
            log.warning(
                "acting_as ended in another context than it began in, so the calls between did not know the agent",
                agent_id=str(mine.get("agent_id")),
                total=lost,
            )


def carry(function: Callable[P, T]) -> Callable[P, T]:
    """`function`, to be called elsewhere (in a thread, an executor, another process) for the agent that acts here.

    In this process all context variables are carried; to another process, which `function` must be picklable for, the
    agent is. Raises InvalidInput for coroutine functions and generators: tasks carry their context themselves.
    """
    if kind_of(function) is not FunctionKind.PLAIN:
        raise InvalidInput(f"function: {function!r} runs after the call; use acting_as where it runs")
    return _Carried(function, copy_context())


class _Carried:
    """A function and the context that it is to run in."""

    def __init__(self, function: Callable[..., Any], context: Context) -> None:
        self._function = function
        self._context = context

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._context.copy().run(self._function, *args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._function, self._context.get(_acting))


def _restored(function: Callable[..., Any], agent: Mapping[str, Any] | None) -> _Carried:
    context = Context()
    context.run(_acting.set, agent)
    return _Carried(function, context)


class ActingExecutor(Executor):
    """An executor whose work is done for the agent that acts where it is handed in; `executor` does it.

    For pools of threads and of processes, and for `loop.run_in_executor`.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As Executor.submit."""
        return self._executor.submit(carry(fn), *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut down the executor that does the work."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)
