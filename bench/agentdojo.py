"""AgentDojo's ground-truth calls against rules on labels and destinations; no model.

    uv run --no-project --with agentdojo==0.1.35 python -m bench.agentdojo record FILE   # any Python with agentdojo
    python -m bench.agentdojo FILE

A story is the user's calls in the injected environment, then the attack's, under every prompt of the suite.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def record(target: str) -> None:
    """Write every suite's calls to the file `target`."""
    from agentdojo.functions_runtime import FunctionsRuntime
    from agentdojo.task_suite.load_suites import get_suites

    def calls(task: Any, env: Any, runtime: Any) -> list[Any]:
        made = []
        for call in task.ground_truth(env):
            runtime.run_function(env, call.function, call.args)
            made.append([call.function, json.loads(json.dumps(dict(call.args), default=str))])
        return made

    suites: dict[str, Any] = {}
    for name, suite in get_suites("v1.2.1").items():
        runtime = FunctionsRuntime(suite.tools)
        found: dict[str, Any] = {"users": {}, "attacks": {}}
        suites[name] = found
        for key, user in suite.user_tasks.items():
            env = user.init_environment(suite.load_and_inject_default_environment({}))
            own = env.model_dump_json()
            found["users"][key] = {"prompt": user.PROMPT, "own": own, "calls": calls(user, env, runtime)}
        for key, attack in suite.injection_tasks.items():
            stories = {}
            for user_key, user in suite.user_tasks.items():
                vectors = dict.fromkeys(suite.get_injection_vector_defaults(), attack.GOAL)
                env = user.init_environment(suite.load_and_inject_default_environment(vectors))
                before = calls(user, env, runtime)
                stories[user_key] = {"calls": before, "attack": calls(attack, env, runtime)}
            if any(story["attack"] for story in stories.values()):
                found["attacks"][key] = stories
    Path(target).write_text(json.dumps(suites))


def main(source: str) -> None:
    """Print how many attacks are stopped and how many benign tasks are refused."""
    suites = json.loads(Path(source).read_text())
    for title, sensitive in (("own data alone", False), ("with untrusted labels and the user's words", True)):
        shares, refused = [], []
        for name, suite in suites.items():
            refused += [
                f"{name} {key}" for key, user in suite["users"].items() if _stopped(user, user["calls"], sensitive)
            ]
            shares += [
                (f"{name} {key}", _share(suite, stories, sensitive)) for key, stories in suite["attacks"].items()
            ]
        users = sum(len(suite["users"]) for suite in suites.values())
        print(
            f"{title}: {sum(share == 1 for _, share in shares)} of {len(shares)} attacks stopped in all stories, ",
            end="",
        )
        print(f"{sum(share >= 0.9 for _, share in shares)} in nine of ten; {len(refused)} of {users} benign refused")
        print("  benign refused:", ", ".join(refused) or "none")
        print("  got through:", ", ".join(f"{name} ({share:.0%} stopped)" for name, share in shares if share < 1))


def _share(suite: Any, stories: Any, sensitive: bool) -> float:
    stopped = [_attack_stopped(suite["users"][key], story, sensitive) for key, story in stories.items()]
    return sum(stopped) / len(stopped)


def _attack_stopped(user: Any, story: Any, sensitive: bool) -> bool:
    refused = list(_refusals(user, [*story["calls"], *story["attack"]], sensitive))
    return any(refused[len(story["calls"]) :])


def _stopped(user: Any, calls: Any, sensitive: bool) -> bool:
    return any(_refusals(user, calls, sensitive))


def _refusals(user: Any, calls: Any, sensitive: bool) -> Iterator[bool]:
    from bench.agentdojo_rules import RULES, SENSITIVE, TOOLS
    from brain import PolicyEngine
    from brain.policy.provenance import Provenance

    engine = PolicyEngine()
    for rule in RULES if not sensitive else [*RULES, *SENSITIVE]:
        engine.add_rule(rule)
    provenance = Provenance(TOOLS, own=_members(json.loads(user["own"])))
    provenance.begin("story", user["prompt"])
    for tool, params in calls:
        facts = provenance.facts("story", tool, params)
        decision = engine.evaluate({"agent_id": "a", "action": tool, "params": params, **facts})
        if decision.allowed:
            provenance.called("story", tool)
        yield not decision.allowed


def _members(value: Any) -> Iterator[str]:
    """Every key and value of the operator's data, as text."""
    if isinstance(value, dict):
        yield from map(str, value)
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _members(one)
    elif value is not None:
        yield str(value)


if __name__ == "__main__":
    record(sys.argv[2]) if sys.argv[1] == "record" else main(sys.argv[1])
