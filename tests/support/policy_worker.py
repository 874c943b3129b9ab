"""A process with an engine on a shared store, that tells when it sees a rule take effect."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection

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
