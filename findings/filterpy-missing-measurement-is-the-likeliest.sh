#!/usr/bin/env bash
# Guess: after update(None) of filterpy's KalmanFilter, which stands for a missing measurement, likelihood is none, or the last one.
# Truth: the residual is set to zero, so likelihood is the highest that there is, and mahalanobis 0: nothing fits as well as nothing.
# Why it matters: a detector on the Mahalanobis distance sees a dead sensor as perfect, and a choice between models by their
# likelihood prefers the one that had no data. Leave out steps without a measurement.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q filterpy==2.0.0
cat >ask.py <<'P'
import numpy
from filterpy.kalman import KalmanFilter

track = KalmanFilter(dim_x=2, dim_z=1)
track.F, track.H = numpy.array([[1.0, 1.0], [0.0, 1.0]]), numpy.array([[1.0, 0.0]])
track.R *= 0.01
track.Q *= 0.001
for position in (0.1, 1.0, 2.0, 3.2, None):
    track.predict()
    track.update(position)
    print(position, f"{track.likelihood:.2f} {track.mahalanobis:.2f}")
P
v/bin/python ask.py >seen
echo "filterpy 2.0.0, measurement, likelihood, Mahalanobis distance:"
cat seen
[ "$(tail -1 seen | cut -d ' ' -f 1,3)" = "None 0.00" ]
[ "$(sort -k 2 -g seen | tail -1 | cut -d ' ' -f 1)" = "None" ]
