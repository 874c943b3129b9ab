"""What to try next: an optuna study in memory, made again from the trials in the tables.

A seed alone does not survive a restart: optuna's samplers keep their random numbers in the process. So every ask and
every result has its step in the tables, and a new process repeats them in that order with the same seed; then the
sampler is where it was. Where it proposes something else than what is recorded, as another version of optuna may, it
is given the recorded values, and goes on from there on a path of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from brain.dna.models import Gene, Study, TrialState
from brain.extras import needs
from brain.logs import Log

if TYPE_CHECKING:
    import optuna

log: Log = Log("brain.dna")

SAMPLERS = ("cmaes", "tpe", "nsga2", "random")
KEPT = 8
"""Studies that a process holds in memory; the one that was used longest ago goes first."""


class Step(NamedTuple):
    """One step of a study: a trial that was asked for, or its end."""

    step: int
    number: int
    params: Mapping[str, Any] | None
    """Of an ask; None for an end."""
    state: TrialState
    score: float | None


class LiveStudy:
    """The optuna study of one study, after `steps` of its steps. Raises MissingExtra where optuna is not installed."""

    def __init__(self, study: Study) -> None:
        with needs("a study of genomes", "dna"):
            import cmaes  # noqa: F401  (optuna imports it at the first ask, which holds a lock)
            import optuna
        _quieten(optuna)
        self.steps: int = 0
        self._given = study
        self._forced = False
        self._distributions = {name: _distribution(optuna, gene) for name, gene in study.genes.items()}
        self._study = self._begin()

    def repeat(self, steps: Sequence[Step]) -> None:
        """Take the steps that come after those that it has; `steps` are all of the study."""
        for one in steps[self.steps :]:
            if not self._take(one):
                log.warning("a study goes on another path than recorded: was optuna changed?", study=self._given.id)
                self._study, self._forced = self._begin(), True
                for again in steps:
                    self._take(again)
                break
        self.steps = len(steps)

    def ask(self) -> dict[str, Any]:
        """The values to try next; the step that follows."""
        trial = self._study.ask(self._distributions)
        self.steps += 1
        return dict(trial.params)

    def _begin(self) -> optuna.Study:
        import optuna

        direction = self._given.objective.direction
        return optuna.create_study(direction=direction, sampler=_sampler(optuna, self._given))

    def _take(self, one: Step) -> bool:
        """Repeat a step; False when the sampler proposes something else than what is recorded."""
        import optuna

        if one.params is None:
            state = optuna.trial.TrialState.COMPLETE if one.score is not None else optuna.trial.TrialState.FAIL
            self._study.tell(one.number, one.score, state=state)
            return True
        if self._forced:
            self._study.enqueue_trial(dict(one.params))
        trial = self._study.ask(self._distributions)
        return self._forced or trial.params == dict(one.params)


class LiveStudies:
    """The studies that this process has in memory. What is used by one thread is not found by another meanwhile."""

    def __init__(self) -> None:
        self._live: dict[str, LiveStudy] = {}

    def __contains__(self, study_id: str) -> bool:
        """Whether the study is in memory."""
        return study_id in self._live

    @contextmanager
    def taken(self, study: Study, steps: int, log_of: Callable[[], Sequence[Step]]) -> Iterator[LiveStudy]:
        """The study after that many steps; `log_of` gives all of them where some are missing here."""
        live = self._live.pop(study.id, None)
        if live is None or live.steps > steps:  # what it took last was not stored
            live = LiveStudy(study)
        if live.steps < steps:
            live.repeat(log_of())
        yield live
        self._live[study.id] = live
        while len(self._live) > KEPT:
            self._live.pop(next(iter(self._live)), None)

    def warm_up(self, study: Study, steps: Sequence[Step]) -> None:
        """Have the study in memory, before its row is locked. Raises MissingExtra."""
        with self.taken(study, len(steps), lambda: steps):
            pass

    def forget(self, study_id: str) -> None:
        """Make it again when it is asked for next: what it took last was perhaps not stored."""
        self._live.pop(study_id, None)


def _distribution(optuna: Any, gene: Gene) -> Any:
    if gene.kind == "choice":
        return optuna.distributions.CategoricalDistribution(gene.choices)
    if gene.kind == "int":
        return optuna.distributions.IntDistribution(int(gene.low or 0), int(gene.high or 0), log=gene.log)
    return optuna.distributions.FloatDistribution(gene.low, gene.high, log=gene.log)


def _sampler(optuna: Any, study: Study) -> Any:
    samplers = optuna.samplers
    match study.sampler:
        case "cmaes":
            return samplers.CmaEsSampler(seed=study.seed, warn_independent_sampling=False)
        case "tpe":
            return samplers.TPESampler(seed=study.seed)
        case "nsga2":
            return samplers.NSGAIISampler(seed=study.seed)
        case _:
            return samplers.RandomSampler(seed=study.seed)


def _quieten(optuna: Any) -> None:
    """Leave its log lines to the program's own handlers, without one for each trial."""
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
