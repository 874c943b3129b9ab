"""Anomalies found in recorded series, by our learned baseline and by other detectors.

Run by `python -m bench.nab FOLDER [--with NAME=PYTHON ...]`. The folder has series of the Numenta Anomaly Benchmark as
`*.csv` or `*.csv.gz` (timestamp,value) and `windows.json` with the spans in which an anomaly is to be found. NAME is
pyod, river or adtk, and PYTHON an interpreter that has it: adtk 0.6.2 needs pandas and numpy below 2, and so an
environment of its own.

Scoring, the same for all: the first 15 % of a series is for learning. What is unusual within four hours of what was
unusual before belongs to the same alarm. A window is found when an alarm begins in it; an alarm that begins elsewhere
is false. Ours has one setting for all series. Each peer has, for each of its variants, the best threshold for all
series that keeps to the allowed false alarms, chosen with the labels in hand: a bound of what a user could reach.
"""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

QUIET = 4 * 3600.0
LEARNING = 0.15
ALLOWED = 0.15
DAY = 288

Scores = Sequence[float | None]


class Series(NamedTuple):
    """A recorded series."""

    name: str
    times: Sequence[float]
    values: Sequence[float]
    windows: Sequence[tuple[float, float]]


class Outcome(NamedTuple):
    """How a detector did over all series."""

    found: float
    """The share of the windows."""
    false: float
    """False alarms a day and series."""


def read_series(folder: Path) -> list[Series]:
    """The series of a folder, as far as `windows.json` names them."""
    windows = json.loads((folder / "windows.json").read_text("utf-8"))
    found = []
    for name, spans in sorted(windows.items()):
        path = folder / Path(name).name
        packed = path.with_name(path.name + ".gz")
        text = gzip.decompress(packed.read_bytes()).decode() if packed.exists() else path.read_text("utf-8")
        rows = list(csv.reader(text.splitlines()))[1:]
        times = [_unix(at) for at, _ in rows]
        found.append(Series(name, times, [float(value) for _, value in rows], [(_unix(a), _unix(b)) for a, b in spans]))
    return found


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def outcome(series: Sequence[Series], scores: Sequence[Scores], threshold: float) -> Outcome:
    """The score of these scores at a threshold; None is no score."""
    found = windows = false = 0
    days = 0.0
    for one, judged in zip(series, scores, strict=True):
        begin = one.times[int(len(one.times) * LEARNING)]
        alarms = [at for at in _alarms(one.times, judged, threshold) if at >= begin]
        found += sum(any(a <= at <= b for at in alarms) for a, b in one.windows)
        false += sum(not any(a <= at <= b for a, b in one.windows) for at in alarms)
        windows += len(one.windows)
        days += (one.times[-1] - begin) / 86_400
    return Outcome(found / max(1, windows), false / days)


def _alarms(times: Sequence[float], scores: Scores, threshold: float) -> Iterator[float]:
    last = float("-inf")
    for at, score in zip(times, scores, strict=True):
        if score is not None and score >= threshold:
            if at - last > QUIET:
                yield at
            last = at


def best(series: Sequence[Series], scores: Sequence[Scores]) -> Outcome:
    """The best outcome of any threshold that keeps to the allowed false alarms."""
    known = sorted({score for judged in scores for score in judged if score is not None})
    steps = {known[min(len(known) - 1, int(len(known) * (1 - 0.5 / 1.06**n)))] for n in range(160)}
    reached = [outcome(series, scores, threshold) for threshold in sorted(steps)]
    fitting = [one for one in reached if one.false <= ALLOWED]
    return max(fitting, key=lambda one: (one.found, -one.false), default=Outcome(0.0, 0.0))


def ours(one: Series) -> Scores:
    """1 where the baseline calls a value unusual."""
    from brain.kit.baseline import Baseline

    baseline = Baseline()
    judged = (baseline.see(at, value) for at, value in zip(one.times, one.values, strict=True))
    return [None if found is None else 1.0 for found in judged]


def pyod(one: Series) -> Mapping[str, Scores]:
    """KNN and HBOS on pieces of 12 values, fitted anew each day on the last seven days."""
    import numpy
    from pyod.models.hbos import HBOS
    from pyod.models.knn import KNN

    values = numpy.asarray(one.values)
    pieces = numpy.lib.stride_tricks.sliding_window_view(values, 12)
    found: dict[str, list[float | None]] = {}
    for name, make in (("KNN", KNN), ("HBOS", HBOS)):
        scores: list[float | None] = [None] * len(values)
        first = int(len(values) * LEARNING) - 11
        for start in range(first, len(pieces), DAY):
            past = pieces[max(0, start - 7 * DAY) : start]
            scale, middle = past.std() or 1.0, past.mean()
            model = make()
            model.fit((past - middle) / scale)
            limit = abs(float(numpy.quantile(model.decision_scores_, 0.99))) or 1.0
            judged = model.decision_function((pieces[start : start + DAY] - middle) / scale)
            scores[start + 11 : start + 11 + len(judged)] = [float(score) / limit for score in judged]
        found[name] = scores
    return found


def river(one: Series) -> Mapping[str, Scores]:
    """Drift detectors with several settings, and half-space trees."""
    from river import anomaly, drift

    span = max(one.values) - min(one.values) or 1.0  # more than a user has; it helps river alone
    scaled = [(value - min(one.values)) / span for value in one.values]
    found: dict[str, list[float | None]] = {}
    makers: dict[str, Callable[[], Any]] = {
        **{f"ADWIN {d:g}": (lambda d=d: drift.ADWIN(delta=d)) for d in (1e-9, 1e-6, 1e-4, 1e-3, 2e-3, 0.01, 0.05)},
        **{f"KSWIN {a:g}": (lambda a=a: drift.KSWIN(alpha=a, seed=1)) for a in (1e-9, 1e-5)},
        **{f"PageHinkley {t:g}": (lambda t=t: drift.PageHinkley(threshold=t)) for t in (1, 5, 20, 50)},
    }
    for name, make in makers.items():
        detector = make()
        scores: list[float | None] = []
        for value in scaled:
            detector.update(value)
            scores.append(1.0 if detector.drift_detected else None)
        found[name] = scores
    trees = anomaly.HalfSpaceTrees(seed=1, window_size=250)
    tree_scores: list[float | None] = []
    for value in scaled:
        tree_scores.append(trees.score_one({"value": value}))
        trees.learn_one({"value": value})
    found["HalfSpaceTrees"] = tree_scores
    return found


def adtk(one: Series) -> Mapping[str, Scores]:
    """Detectors fitted on the first 15 %, with several factors; alarms as they give them."""
    import pandas
    from adtk import detector

    index = pandas.to_datetime([round(at) for at in one.times], unit="s")
    series = pandas.Series(list(one.values), index=index)
    series = series[~series.index.duplicated()].sort_index()
    learned = series.iloc[: int(len(series) * LEARNING)]
    found: dict[str, list[float | None]] = {}
    for factor in (3.0, 6.0, 12.0, 25.0, 50.0, 100.0):
        makers: dict[str, Callable[[float], Any]] = {
            "PersistAD": lambda c: detector.PersistAD(window=12, c=c),
            "LevelShiftAD": lambda c: detector.LevelShiftAD(window=12, c=c),
            "VolatilityShiftAD": lambda c: detector.VolatilityShiftAD(window=36, c=c),
            "InterQuartileRangeAD": lambda c: detector.InterQuartileRangeAD(c=c),
            "AutoregressionAD": lambda c: detector.AutoregressionAD(n_steps=12, c=c),
        }
        for name, make in makers.items():
            model = make(factor)
            try:
                model.fit(learned)
                judged = model.detect(series)
            except (ValueError, RuntimeError):  # it refuses a series that does not move
                found[f"{name} {factor:g}"] = [None] * len(one.times)
                continue
            marked = {round(at.timestamp()) for at, value in judged.items() if value == 1}
            found[f"{name} {factor:g}"] = [1.0 if round(at) in marked else None for at in one.times]
    return found


PEERS: Mapping[str, Callable[[Series], Mapping[str, Scores]]] = {"pyod": pyod, "river": river, "adtk": adtk}


def run(folder: Path, peers: Mapping[str, str]) -> list[tuple[str, Outcome]]:
    """Ours at its setting, and the variants of each peer at their best threshold, the best first."""
    series = read_series(folder)
    rows = [("ours, one setting", outcome(series, [ours(one) for one in series], 1.0))]
    for name, python in peers.items():
        command = [python, "-m", "bench.nab", str(folder.resolve()), "--one", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
        variants = json.loads(done.stdout.splitlines()[-1])
        judged = [(f"{name} {variant}", best(series, scores)) for variant, scores in variants.items()]
        rows += sorted(judged, key=lambda row: (-row[1].found, row[1].false))
    return rows


def main() -> None:
    """Print the table, or the scores of one peer."""
    folder, arguments = Path(sys.argv[1]), sys.argv[2:]
    if arguments[:1] == ["--one"]:
        scored = [PEERS[arguments[1]](one) for one in read_series(folder)]
        sys.stdout.write(json.dumps({name: [one[name] for one in scored] for name in scored[0]}))
        return
    peers = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    sys.stdout.write(f"{'detector':<28} {'found':>6}   false alarms a day and series\n")
    for name, (found, false) in run(folder, peers):
        sys.stdout.write(f"{name:<28} {found:>6.0%}   {false:.3f}\n")


if __name__ == "__main__":
    main()
