#!/usr/bin/env bash
# Guess: ruptures finds a clean step at the sample where it is, and answers [] when nothing changes.
# Truth: Pelt and Binseg look at each fifth sample only unless jump=1 is given (KernelCPD at each): a step at 103 is 105 for Binseg, and
# two changes for Pelt, 100 and 105. The length of the series is always the last answer, so "no change" is a list of one.
# Why it matters: "if changes: raise an alert" raises always, and the event that was there at the change is up to five samples off: the
# deployment after the fault is blamed. Give jump=1 and drop the last.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q ruptures==1.1.10
cat >ask.py <<'P'
import numpy
import ruptures

step, flat = numpy.r_[numpy.zeros(103), numpy.full(97, 10.0)], numpy.zeros(200)
found = [
    ruptures.Pelt("l2").fit_predict(step, pen=5),
    ruptures.Binseg("l2").fit_predict(step, n_bkps=1),
    ruptures.Pelt("l2", jump=1).fit_predict(step, pen=5),
    ruptures.KernelCPD("linear").fit_predict(step, n_bkps=1),
    ruptures.Pelt("l2").fit_predict(flat, pen=5),
]
print(*([int(index) for index in one] for one in found))
P
seen=$(v/bin/python ask.py)
echo "ruptures 1.1.10, a step at 103 of 200 (Pelt, Binseg, Pelt with jump=1, KernelCPD), and no step: $seen"
[ "$seen" = "[100, 105, 200] [105, 200] [103, 200] [103, 200] [200]" ]
