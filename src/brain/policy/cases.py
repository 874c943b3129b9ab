"""Tests of a policy: contexts with the decision expected of each, run by `brain policy test`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from brain import limits
from brain.charter import Effect
from brain.errors import InvalidInput
from brain.policy.explain import Explanation
from brain.policy.yaml_documents import load

_EXPECTED = ("effect", "allowed", "rule_id")


@dataclass(frozen=True, slots=True)
class Case:
    """One context and what is expected of its decision: any of effect, allowed, rule_id."""

    name: str
    line: int
    context: dict[str, Any]
    expect: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The cases of a file, and the policy file it names, if it does."""

    path: Path
    policy: Path | None
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of a case; `problem` is empty when it passed."""

    case: Case
    problem: str
    explanation: Explanation
    seconds: float


def read_cases(path: Path) -> CaseFile:
    """The cases in the file at `path`: `policy` (a file, relative to this one; optional) and `cases`.

    Raises InvalidInput with every fault, each with its line.
    """
    document = load(path)
    plain = document.plain
    if not isinstance(plain, dict) or not isinstance(plain.get("cases"), list):
        raise InvalidInput(f"{document.at('')}: is no file of policy tests; give it `cases`, a list")
    faults = list(document.faults)
    for key in plain:
        if key not in ("version", "policy", "description", "cases"):
            faults.append(f"{document.at(str(key))}: {key}: unknown; known are version, policy, description, cases")
    policy = plain.get("policy")
    if policy is not None and not isinstance(policy, str):
        faults.append(f"{document.at('policy')}: policy: must be the name of a file, not {policy!r}")
    cases = []
    for number, one in enumerate(plain["cases"]):
        place = f"cases[{number}]"
        wrong = _faults(one)
        faults += [f"{document.at(f'{place}.{name}')}: {place}.{name}: {fault}" for name, fault in wrong]
        if not wrong:
            expect = one["expect"] if isinstance(one["expect"], dict) else {"effect": one["expect"]}
            name = one.get("name") or f"case {number + 1}"
            cases.append(Case(name, document.line(place), one["context"], expect))
    document.refuse(faults)
    return CaseFile(path, path.parent / policy if policy else None, tuple(cases))


def run_cases(cases: Sequence[Case], explain: Callable[[dict[str, Any]], Explanation]) -> list[CaseResult]:
    """The result of each case under `explain`, in their order."""
    results = []
    for case in cases:
        started = time.perf_counter()
        explanation = explain(case.context)
        decision = explanation.decision.to_dict()
        wrong = [
            f"{name} is {decision[name]!r}, expected {wanted!r}"
            for name, wanted in case.expect.items()
            if (decision[name] != wanted.upper() if name == "effect" else decision[name] != wanted)
        ]
        results.append(CaseResult(case, "; ".join(wrong), explanation, time.perf_counter() - started))
    return results


def junit(path: Path, results: Sequence[CaseResult]) -> str:
    """The results as a JUnit XML document."""
    failed = sum(bool(result.problem) for result in results)
    counts = {"tests": str(len(results)), "failures": str(failed), "errors": "0", "skipped": "0"}
    taken = f"{sum(result.seconds for result in results):.6f}"
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": str(path), **counts, "time": taken})
    for result in results:
        about = {"name": result.case.name, "classname": path.stem, "file": str(path), "line": str(result.case.line)}
        element = ElementTree.SubElement(suite, "testcase", {**about, "time": f"{result.seconds:.6f}"})
        if result.problem:
            failure = ElementTree.SubElement(element, "failure", {"message": _xml(result.problem)})
            failure.text = _xml(result.explanation.text())
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _faults(one: Any) -> list[tuple[str, str]]:
    if not isinstance(one, dict):
        return [("", f"must be an object with name, context and expect, not {one!r}")]
    faults = [(name, "is missing") for name in ("context", "expect") if name not in one]
    faults += [(str(name), "unknown; known are name, context, expect") for name in one if name not in _CASE_KEYS]
    if not isinstance(one.get("name", ""), str):
        faults.append(("name", f"must be a text, not {one['name']!r}"))
    if "context" in one and not isinstance(one["context"], dict):
        faults.append(("context", f"must be an object, not {limits.shown(one['context'])}"))
    elif isinstance(one.get("context"), dict):
        faults += [(f"context.{name}", fault) for name, fault in limits.context_faults(one["context"])]
    expect = one.get("expect", {})
    wanted = expect if isinstance(expect, dict) else {"effect": expect}
    faults += [
        ("expect", f"{name!r} is unknown; known are {', '.join(_EXPECTED)}") for name in wanted if name not in _EXPECTED
    ]
    effect = wanted.get("effect")
    if "effect" in wanted and (not isinstance(effect, str) or effect.upper() not in Effect.__members__):
        faults.append(("expect", f"{effect!r} is no effect; use one of {', '.join(Effect)}"))
    return faults


_CASE_KEYS = ("name", "context", "expect")


def _xml(text: str) -> str:
    """The text without the control characters that XML has no way to write."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)
