"""The policy engines that are compared, each used in the fastest way its documentation shows.

Each function builds one engine from the rules and returns how contexts are put into its own form, which is not timed,
and how a list of such requests is decided, which is.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from bench.policy_workload import BenchRule


class Peer(NamedTuple):
    """An engine that is ready to decide."""

    request: Callable[[dict[str, Any]], Any]
    decide: Callable[[Sequence[Any]], list[bool]]


def brain(rules: Sequence[BenchRule]) -> Peer:
    """Ours: PolicyEngine.evaluate, without a stream."""
    from brain.policy import PolicyEngine

    engine = PolicyEngine()
    engine.import_rules(our_rules(rules))
    evaluate = engine.evaluate
    return Peer(lambda context: context, lambda requests: [evaluate(request).allowed for request in requests])


def our_rules(rules: Iterable[BenchRule]) -> list[Any]:
    """The rules as ours."""
    from brain.policy import Condition, Rule

    made = []
    for rule in rules:
        held = [Condition("agent_role", "==", rule.role), Condition("action", "==", rule.action)]
        if rule.above is not None:
            held.append(Condition("params.amount", ">", rule.above))
        if rule.kind is not None:
            held.append(Condition("resource", "matches", f"{rule.prefix}.*"))
        made.append(Rule(id=rule.id, name=rule.id, effect="ALLOW" if rule.allow else "DENY", conditions=held))
    return made


def cedarpy(rules: Sequence[BenchRule]) -> Peer:
    """Cedar in Rust: a parsed PolicySet and parsed entities, asked in one batch; role and action in the scope."""
    import cedarpy

    texts = []
    for rule in rules:
        when = []
        if rule.above is not None:
            when.append(f"context.amount > {rule.above}")
        if rule.kind is not None:
            when.append(f'context.resource like "{rule.prefix}*"')
        effect = "permit" if rule.allow else "forbid"
        scope = f'principal == Role::"{rule.role}", action == Action::"{rule.action}", resource'
        texts.append(f"{effect} ({scope})" + (f" when {{ {' && '.join(when)} }};" if when else ";"))
    policies = cedarpy.PolicySet.from_str("\n".join(texts))
    entities = cedarpy.Entities.from_json_str("[]")

    def request(context: dict[str, Any]) -> dict[str, Any]:
        return {
            "principal": {"type": "Role", "id": context["agent_role"]},
            "action": {"type": "Action", "id": context["action"]},
            "resource": {"type": "Resource", "id": "any"},
            "context": {"amount": context["params"]["amount"], "resource": context["resource"]},
        }

    def decide(requests: Sequence[Any]) -> list[bool]:
        return [result.allowed for result in cedarpy.is_authorized_batch(list(requests), policies, entities)]

    return Peer(request, decide)


_CASBIN_MODEL = """
[request_definition]
r = role, action, amount, resource
[policy_definition]
p = role, action, above, prefix, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.role == p.role && r.action == p.action && fits(r.amount, p.above, r.resource, p.prefix)
"""


def casbin(rules: Sequence[BenchRule]) -> Peer:
    """PyCasbin's FastEnforcer, its policies filed by role and action; amount and prefix tested by one function."""
    import casbin
    from casbin.model import FastModel

    logging.getLogger("casbin").setLevel(logging.ERROR)
    model = FastModel([0, 1])
    model.load_model_from_text(_CASBIN_MODEL)
    enforcer = casbin.FastEnforcer(model, cache_key_order=[0, 1])
    enforcer.add_function(
        "fits",
        lambda amount, above, resource, prefix: (above == "" or amount > int(above)) and resource.startswith(prefix),
    )
    enforcer.add_policies(
        [
            [
                rule.role,
                rule.action,
                "" if rule.above is None else str(rule.above),
                "" if rule.kind is None else rule.prefix,
                "allow" if rule.allow else "deny",
            ]
            for rule in {(r.role, r.action, r.above, r.kind, r.allow): r for r in rules}.values()
        ]
    )
    enforce = enforcer.enforce

    def request(context: dict[str, Any]) -> tuple[Any, ...]:
        return context["agent_role"], context["action"], context["params"]["amount"], context["resource"]

    return Peer(request, lambda requests: [enforce(*one) for one in requests])


_REGO = """
package bench
import rego.v1
default allow := false
allow if {
    pair := data.rules[input.role][input.action]
    can(pair)
    not cannot(pair)
}
can(pair) if pair.allowed
can(pair) if fits(pair.allow)
cannot(pair) if pair.denied
cannot(pair) if fits(pair.deny)
fits(rules) if {
    some rule in rules
    input.amount > rule.above
    startswith(input.resource, rule.prefix)
}
"""


def regorus(rules: Sequence[BenchRule]) -> Peer:
    """OPA's Rego in Rust (the build celine-regorus): the rules as data filed by role and action, under a little Rego.

    Of five ways to write it, and three builds, this was the fastest.
    """
    import regorus

    filed: dict[str, dict[str, Any]] = defaultdict(lambda: defaultdict(lambda: {"allow": [], "deny": []}))
    for rule in rules:
        pair = filed[rule.role][rule.action]
        if rule.above is None and rule.kind is None:
            pair["allowed" if rule.allow else "denied"] = True
            continue
        above = -1 if rule.above is None else rule.above
        prefix = "" if rule.kind is None else rule.prefix
        pair["allow" if rule.allow else "deny"].append({"above": above, "prefix": prefix})
    engine = regorus.Engine()
    engine.add_policy("bench.rego", _REGO)
    engine.add_data_json(json.dumps({"rules": filed}))
    set_input, eval_rule = engine.set_input, engine.eval_rule

    def request(context: dict[str, Any]) -> dict[str, Any]:
        return {
            "role": context["agent_role"],
            "action": context["action"],
            "amount": context["params"]["amount"],
            "resource": context["resource"],
        }

    def decide(requests: Sequence[Any]) -> list[bool]:
        answers = []
        for one in requests:
            set_input(one)
            answers.append(eval_rule("data.bench.allow"))
        return answers

    return Peer(request, decide)


def vakt(rules: Sequence[BenchRule]) -> Peer:
    """vakt with policies of rules in memory; its cache of whole answers is off: every decision is made."""
    import vakt
    from vakt.rules import Any as Anything
    from vakt.rules import Eq, Greater, StartsWith

    logging.getLogger("vakt").setLevel(logging.CRITICAL)
    logging.getLogger("vakt.audit").setLevel(logging.CRITICAL)
    storage = vakt.MemoryStorage()
    for rule in rules:
        storage.add(
            vakt.Policy(
                rule.id,
                actions=[Eq(rule.action)],
                subjects=[Eq(rule.role)],
                resources=[Anything() if rule.kind is None else StartsWith(rule.prefix)],
                context={} if rule.above is None else {"amount": Greater(rule.above)},
                effect=vakt.ALLOW_ACCESS if rule.allow else vakt.DENY_ACCESS,
            )
        )
    is_allowed = vakt.Guard(storage, vakt.RulesChecker()).is_allowed

    def request(context: dict[str, Any]) -> Any:
        return vakt.Inquiry(
            action=context["action"],
            subject=context["agent_role"],
            resource=context["resource"],
            context=context["params"],
        )

    return Peer(request, lambda requests: [is_allowed(one) for one in requests])


def cel(rules: Sequence[BenchRule]) -> Peer:
    """The Common Expression Language in Rust: all rules as one compiled expression, denials first."""
    import cel

    terms: dict[bool, list[str]] = {True: [], False: []}
    for rule in rules:
        parts = [f'role == "{rule.role}"', f'action == "{rule.action}"']
        if rule.above is not None:
            parts.append(f"amount > {rule.above}")
        if rule.kind is not None:
            parts.append(f'resource.startsWith("{rule.prefix}")')
        terms[rule.allow].append("(" + " && ".join(parts) + ")")
    allow, deny = (_balanced(terms[kind]) for kind in (True, False))
    execute = cel.compile(f"!({deny}) && ({allow})").execute

    def request(context: dict[str, Any]) -> dict[str, Any]:
        return {
            "role": context["agent_role"],
            "action": context["action"],
            "amount": context["params"]["amount"],
            "resource": context["resource"],
        }

    return Peer(request, lambda requests: [execute(one) for one in requests])


def _balanced(terms: list[str]) -> str:
    """The terms ORed as a tree: the parser does not take a chain of thousands."""
    if not terms:
        return "false"
    while len(terms) > 1:
        terms = ["(" + " || ".join(terms[at : at + 8]) + ")" for at in range(0, len(terms), 8)]
    return terms[0]


def agt(rules: Sequence[BenchRule]) -> Peer:
    """agent-governance-toolkit's policy engine, which evaluates conditions as texts.

    It has no patterns within a condition of several parts, so it is told beforehand of which kind the resource is.
    """
    warnings.simplefilter("ignore")
    from agentmesh.governance.policy import Policy, PolicyEngine, PolicyRule

    logging.getLogger("agentmesh").setLevel(logging.CRITICAL)
    made = []
    for rule in rules:
        parts = [f"role == '{rule.role}'", f"action == '{rule.action}'"]
        if rule.above is not None:
            parts.append(f"amount > {rule.above}")
        if rule.kind is not None:
            parts.append(f"kinds.{rule.kind}")
        condition = " and ".join(parts)
        made.append(PolicyRule(name=rule.id, condition=condition, action="allow" if rule.allow else "deny"))
    engine = PolicyEngine(conflict_strategy="deny_overrides")
    engine.load_policy(Policy(name="bench", agents=["*"], rules=made, default_action="deny"))
    evaluate = engine.evaluate

    def request(context: dict[str, Any]) -> dict[str, Any]:
        return {
            "role": context["agent_role"],
            "action": context["action"],
            "amount": context["params"]["amount"],
            "kinds": {context["resource"].split("/")[1]: True},
        }

    return Peer(request, lambda requests: [evaluate("did:mesh:bench", one).allowed for one in requests])


PEERS: dict[str, Callable[[Sequence[BenchRule]], Peer]] = {
    "brain": brain,
    "regorus": regorus,
    "casbin FastEnforcer": casbin,
    "vakt": vakt,
    "common-expression-language": cel,
    "cedarpy": cedarpy,
    "agent-governance-toolkit": agt,
}
