"""A study on real data: scikit-learn's handwritten digits, which are in its wheel. docs/dna.md has the command."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from brain.dna.models import Objective
from brain.dna.service import GenomeService, NewSnapshot
from brain.dna.settings import DnaSettings
from brain.dna.studies import NewStudy, StudyService
from brain.dna.tables import make_tables
from brain.dna.trials import Result
from brain.kit.database import open_database

GENES: dict[str, Any] = {
    "C": {"kind": "float", "low": 1e-2, "high": 1e3, "log": True},
    "gamma": {"kind": "float", "low": 1e-5, "high": 1.0, "log": True},
}
START = {"C": 1.0, "gamma": 0.05}


@cache
def accuracy(C: float, gamma: float) -> float:  # noqa: N803  (the name that scikit-learn gives it)
    """The mean accuracy of three folds on 900 digits; the same values are tried once, since it has no chance in it."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    from sklearn.model_selection import cross_val_score
    from sklearn.svm import SVC

    images, digits = datasets.load_digits(return_X_y=True)
    return float(cross_val_score(SVC(C=C, gamma=gamma), images[:900], digits[:900], cv=3).mean())


async def studied(trials: int) -> tuple[float, str]:
    """The best accuracy of a study of that many trials, and the hash of its lineage."""
    database = open_database("memory://")
    make_tables(database)
    await GenomeService(database).snapshot(NewSnapshot(agent_id="reader", dna=START))
    studies = StudyService(database, DnaSettings())
    objective = Objective(kind="score", direction="maximize")
    given = {"agent_id": "reader", "genes": GENES, "owner": "ann", "sampler": "cmaes", "seed": 1, "budget": trials}
    study = await studies.start(NewStudy(**given, objective=objective))
    for _ in range(trials):
        asked = await studies.ask(study.id, "ann")
        await studies.tell(study.id, asked.trial.number, Result(by="ann", score=accuracy(**asked.snapshot.dna)))
    best, progress = await studies.best(study.id), await studies.progress(study.id)
    database.dispose()
    assert best.trial.score is not None
    return best.trial.score, progress.lineage_hash


@pytest.mark.parametrize(
    ("trials", "least"), [(4, 0.9), pytest.param(40, 0.94, marks=pytest.mark.long)], ids=["cut", "whole"]
)
async def test_a_study_of_digits_gets_better_and_takes_the_same_path_twice(
    trials: int, least: float, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy(**START) == pytest.approx(0.1056, abs=1e-4)
    best, lineage = await studied(trials)
    with capsys.disabled():
        print(f"\n{trials} trials, seed 1: {best:.4f}, lineage {lineage}")
    assert best >= least
    assert await studied(trials) == (best, lineage)
