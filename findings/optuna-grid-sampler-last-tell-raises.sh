#!/usr/bin/env bash
# Guess: GridSampler works with ask and tell; when the grid is used up, ask says so.
# Truth: the tell of the last grid point raises RuntimeError ("Study.stop is supposed to be invoked inside an objective"), yet the
# trial is stored as complete; ask goes on with points that it has given before.
# Why it matters: a service that tells results over HTTP answers 500 for a result that was kept, and the client sends it again.
# Look at the trial's state after the error, or count the grid yourself.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q optuna==5.0.0
cat >ask.py <<'P'
import optuna

study = optuna.create_study(sampler=optuna.samplers.GridSampler({"x": [1, 2]}, seed=0))
points, answers = [], []
for _ in range(3):
    trial = study.ask()
    points.append(trial.suggest_float("x", 0, 3))
    try:
        study.tell(trial, 1.0)
        answers.append("told")
    except RuntimeError:
        answers.append("RuntimeError")
print(sorted(points[:2]), points[2] in points[:2], answers, {trial.state.name for trial in study.trials})
P
seen=$(v/bin/python -W ignore ask.py 2>/dev/null)
echo "optuna 5.0.0: $seen"
[ "$seen" = "[1, 2] True ['told', 'RuntimeError', 'RuntimeError'] {'COMPLETE'}" ]
