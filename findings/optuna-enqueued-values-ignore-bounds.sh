#!/usr/bin/env bash
# Guess: a trial queued with enqueue_trial gets values within the bounds that the objective asks for, or an error.
# Truth: suggest_float hands out an enqueued 50 for 0 to 1 with a warning; of an enqueued 1.7 suggest_int hands out 1 while the
# trial's params say 1.7; only for categories is a strange value an error.
# Why it matters: bounds on a gene protect what is tuned. Who enqueues known good settings, or takes them from a request, has to
# check them against the bounds first.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q optuna==5.0.0
cat >ask.py <<'P'
import optuna


def ask(params, suggest):
    study = optuna.create_study()
    study.enqueue_trial(params)
    trial = study.ask()
    try:
        return suggest(trial), trial.params
    except ValueError:
        return "ValueError"


print(
    ask({"x": 50}, lambda trial: trial.suggest_float("x", 0, 1)),
    ask({"n": 1.7}, lambda trial: trial.suggest_int("n", 0, 5)),
    ask({"c": "z"}, lambda trial: trial.suggest_categorical("c", ["a", "b"])),
)
P
seen=$(v/bin/python -W ignore ask.py 2>/dev/null)
echo "optuna 5.0.0: $seen"
[ "$seen" = "(50, {'x': 50}) (1, {'n': 1.7}) ValueError" ]
