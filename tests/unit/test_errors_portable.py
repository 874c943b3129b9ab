"""Every exception of ours can be pickled and copied, with all that it holds: it must be able to cross processes."""

from __future__ import annotations

import copy
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
import starlette.exceptions

import brain
from brain.charter import Effect
from brain.errors import BrainError, InvalidInput
from brain.kit.database_identity import GroupOwner
from brain.policy import ActionDenied, ApprovalRequired
from brain.policy.approvals import Approval, ApprovalStatus
from brain.policy.decisions import Decision, decision_of
from brain.policy.models import Condition, Rule
from support.guarded_work import forbidden_work

RULE = Rule(
    id="r",
    name="a rule",
    effect="WARN",
    conditions=[Condition("params.list", "in", [[1], {"a": [2]}])],
    metadata={"requires_approval": True, "nested": {"list": [1, {"b": 2}]}},
)
DECISION: Decision = decision_of(RULE)
APPROVAL = Approval(
    id="apr_1",
    status=ApprovalStatus.REFUSED,
    context={"params": {"n": [1]}},
    fingerprint="f",
    rule_id="r",
    rule_name="a rule",
    reason="why",
    requested_at=1.0,
    expires_at=2.0,
)
MADE_WITH: dict[str, tuple[Any, ...]] = {
    "InvalidInput": ("two faults", ["one", "two"]),
    "ActionDenied": ("no", DECISION, APPROVAL),
    "ApprovalRequired": ("ask", DECISION, APPROVAL),
    "ActionDeniedHTTP": ("no", DECISION, APPROVAL),
    "ApprovalRequiredHTTP": ("ask", DECISION, APPROVAL),
    "OwnedElsewhere": ("brain.audit", GroupOwner("a1b2", "/var/other.db"), "/var/mine.db"),
    "Refused": ("slack", 410, "gone"),
    "TryLater": ("later", 3.0, 503),
    "NotWitnessed": (409, "old: is 3, signed are 5", "5\n"),
    "NotAdmitted": ("interlock", "too fast"),
    "_FaultFound": (7, "something wrong"),
}
"""What the classes with an `__init__` of their own that takes more than a message are made with here."""


def exceptions() -> Iterator[type[Exception]]:
    """Every exception class that a module of the package defines."""
    for module in pkgutil.walk_packages(brain.__path__, "brain."):
        if module.name.endswith("__main__"):
            continue
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(found, Exception) and found.__module__ == module.name:
                yield found


CLASSES = sorted(set(exceptions()), key=lambda kind: (kind.__module__, kind.__name__))
WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}


def test_the_classes_are_found() -> None:
    assert {BrainError, InvalidInput, ActionDenied, ApprovalRequired} <= set(CLASSES)
    assert len(CLASSES) >= 20


@pytest.mark.parametrize("way", WAYS)
def test_each_comes_back_as_it_was(way: str) -> None:
    for kind in CLASSES:
        comes_back(kind, way)


def comes_back(kind: type[Exception], way: str) -> None:
    """Fails, naming the class, where a copy made in this way is not what was copied."""
    error = kind(*MADE_WITH.get(kind.__name__, ("what happened",)))
    error.add_note("a note")
    error.later = {"set": [1]}  # type: ignore[attr-defined]
    back = WAYS[way](error)
    assert type(back) is kind
    assert (str(back), back.args, back.__notes__) == (str(error), error.args, ["a note"]), kind
    assert vars(back) == vars(error), kind
    for name in ("status", "title"):
        assert getattr(back, name, None) == getattr(error, name, None), kind


DENIALS = [kind for kind in CLASSES if issubclass(kind, ActionDenied)]


@pytest.mark.parametrize("kind", DENIALS, ids=lambda kind: kind.__name__)
def test_a_denial_is_made_anew_from_its_args_alone(kind: type[ActionDenied]) -> None:
    """Celery's JSON results carry an exception as its class and its args."""
    sent = kind("not for mallory", DECISION, APPROVAL)
    back = kind(*sent.args)
    assert (str(back), back.status, back.approval) == (str(sent), 403, None)
    assert (back.decision.allowed, back.decision.effect, back.decision.rule_id) == (False, Effect.DENY, None)
    assert back.decision.reason == "not for mallory"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_denied_call_does_not_break_a_pool_of_processes(method: str) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        for _ in range(2):
            with pytest.raises(ActionDenied, match="mallory") as denied:
                pool.submit(forbidden_work).result()
            assert denied.value.decision.rule_id == "mallory"
    with multiprocessing.get_context(method).Pool(1) as workers, pytest.raises(ActionDenied, match="mallory"):
        workers.apply(forbidden_work)


def test_a_denial_is_one_for_starlette_too() -> None:
    with pytest.raises(starlette.exceptions.HTTPException) as denied:
        forbidden_work()
    assert (denied.value.status_code, isinstance(denied.value, ActionDenied)) == (403, True)
