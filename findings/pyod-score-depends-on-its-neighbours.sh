#!/usr/bin/env bash
# Guess: the score that a fitted PyOD detector gives a row depends on the fit and on that row, not on the rows asked with it.
# Truth: ECOD and COPOD build their distributions from the training rows and the asked rows together: one odd row scores 10.61
# alone and 3.19 beside fifty rows that are odder still, which is below the threshold that the fit set. HBOS gives one answer.
# Why it matters: a detector that is fed batches answers otherwise than the same detector fed one by one, replay does not give the
# recorded scores, and an odd row in a batch of odd ones is called normal.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pyod==3.6.7 scikit-learn==1.9.1 numpy==2.4.6
cat >ask.py <<'P'
import numpy as np
from pyod.models.copod import COPOD
from pyod.models.ecod import ECOD
from pyod.models.hbos import HBOS

normal = np.random.RandomState(0).randn(200, 2)
odd = np.array([[3.0, 3.0]])
batch = np.vstack([odd, np.full((50, 2), 9.0)])
for kind in (ECOD, COPOD, HBOS):
    fitted = kind().fit(normal)
    alone, beside = fitted.decision_function(odd)[0], fitted.decision_function(batch)[0]
    print(kind.__name__, f"{alone:.2f} {beside:.2f}", fitted.predict(odd)[0], fitted.predict(batch)[0])
P
seen=$(v/bin/python -W ignore ask.py)
echo "pyod 3.6.7, score alone and in a batch, label (1 is odd) alone and in a batch:"
echo "$seen"
[ "$(grep -v HBOS <<<"$seen")" = "ECOD 10.61 3.19 1 0
COPOD 10.61 3.19 1 0" ] && [ "$(grep HBOS <<<"$seen" | awk '{print $2 == $3, $4, $5}')" = "1 1 1" ]
