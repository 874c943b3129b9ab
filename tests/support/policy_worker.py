"""A process with an engine on a shared store, that tells when it sees a rule take effect."""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection
from typing import Any

from brain.policy import Condition, PolicyEngine, Rule
from brain.store import open_store


def follow(url: str, pipe: Connection) -> None:
    """For each action received: decide until it is allowed, and send the time of the first decision that was."""
    store = open_store(url)
    with PolicyEngine(store=store) as engine:
        pipe.send("ready")
        while (action := pipe.recv()) is not None:
            while not engine.evaluate({"action": action}).allowed:
                time.sleep(0.0005)
            pipe.send(time.monotonic())
    store.close()


def change_rules(url: str, pipe: Connection) -> None:
    """For each action received: add a rule that allows it, and send the action back."""
    store = open_store(url)
    engine = PolicyEngine(store=store, follow_interval=None)
    while action := pipe.recv():
        engine.add_rule(Rule(id=action, name=action, effect="ALLOW", conditions=[Condition("action", "==", action)]))
        pipe.send(action)
    store.close()


def _received(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:  # the test is over
        return None


def import_in_turns(url: str, count: int) -> None:
    """Import two sets of so many rules in turns, the rules of each with its letter as description, until killed."""
    store = open_store(url)
    engine = PolicyEngine(store=store, follow_interval=None)
    turn = 0
    while True:
        engine.import_rules(lettered("ab"[turn % 2], count), replace_all=True)
        turn += 1


def lettered(letter: str, count: int) -> list[Rule]:
    """Rules that allow an action each; half of their ids are the letter's own."""
    return [
        Rule(
            id=f"{letter if number % 2 else ''}{number}",
            name="n",
            effect="ALLOW",
            description=letter,
            conditions=[Condition("action", "==", f"a{number}")],
        )
        for number in range(count)
    ]


def show_sets(url: str, pipe: Connection, skew: float, forked: bool) -> None:
    """Answer `set` with the letters and the number of the rules, `stopped` with the time when everything is denied.

    By a clock that is `skew` seconds ahead, in a forked child of the process that made the engine if so asked.
    """
    store = open_store(url)
    with PolicyEngine(store=store, clock=lambda: time.time() + skew) as engine:
        if forked and (child := os.fork()):
            os.waitpid(child, 0)
            return
        pipe.send("ready")
        while (asked := _received(pipe)) is not None:
            if asked == "set":
                rules = [rule for rule in engine.rules() if not rule.is_temporary]
                pipe.send((sorted({rule.description for rule in rules}), len(rules)))
            else:
                while engine.evaluate({"action": "a1"}).allowed is (asked == "stopped"):
                    time.sleep(0.0005)
                pipe.send(time.monotonic())
        if forked:
            os._exit(0)
    store.close()
