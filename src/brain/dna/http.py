"""Genomes over HTTP, below /api/dna, and the plug-in opened: its routes and its tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from brain import limits
from brain.dna.http_models import (
    EXAMPLE_STUDY,
    MOST_TRIAL,
    AgentStateView,
    CurrentView,
    DifferenceView,
    KarmaBody,
    LineageView,
    MutationBody,
    NewSnapshotBody,
    NewStudyBody,
    OutcomesView,
    PromotionBody,
    ResultBody,
    RollbackBody,
    RolloutView,
    SnapshotView,
    StudyProgressView,
    StudyView,
    TrialGenomeView,
    TrialView,
    Worker,
)
from brain.dna.lineage import Difference, Lineage
from brain.dna.models import Rollout, Snapshot, Source, Study, Trial, TrialState
from brain.dna.promotion import NewPromotion, RolloutService
from brain.dna.service import GenomeService, Mutation, NewSnapshot
from brain.dna.studies import NewStudy, StudyProgress, StudyService, TrialGenome
from brain.dna.trials import Result
from brain.dna.views import AgentState, Current, Outcomes
from brain.errors import InvalidInput
from brain.kit.doer import doer
from brain.kit.http import PROBLEM_TYPE
from brain.kit.idempotency import request_key
from brain.kit.views import list_of

AgentIdPath = Annotated[str, Path(max_length=limits.ID, description="The agent.", examples=["agent-7"])]
StudyIdPath = Annotated[str, Path(max_length=limits.ID, description="The study's id.", examples=[EXAMPLE_STUDY])]
TrialPath = Annotated[int, Path(ge=0, le=MOST_TRIAL, description="The trial's number.", examples=[7])]
SnapshotPath = Annotated[int, Path(ge=1, le=limits.COUNT, description="The snapshot's number.", examples=[42])]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]
AgentQuery = Annotated[str | None, Query(max_length=limits.ID, description="Only of this agent.")]


def _problems(**described: str) -> dict[int | str, dict[str, Any]]:
    """Error answers of a route that do not follow from its path and method, by `_STATUS`."""
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {int(status[1:]): {"description": words, "content": content} for status, words in described.items()}


_NO_EXTRA = _problems(_501="The extra `dna` is not installed; `detail` has the pip line")
_NO_GENOME = _problems(_404="The agent has no genome, or the snapshot is not there")


def dna_router(genomes: GenomeService, studies: StudyService, rollouts: RolloutService) -> APIRouter:
    """The routes over these services."""
    router = APIRouter(prefix="/dna", tags=["dna"])
    _add_genomes(router, genomes)
    _add_changes(router, genomes)
    _add_studies(router, studies)
    _add_trials(router, studies)
    _add_rollouts(router, rollouts)
    return router


def _add_genomes(router: APIRouter, genomes: GenomeService) -> None:
    @router.get("/agents", summary="List agents with genomes", response_model=list_of(AgentStateView))
    async def agents(limit: Limit = 100) -> list[AgentState]:
        """By name."""
        return await genomes.agents(limit)

    @router.get("/snapshots/{snapshot_id}", summary="Get a snapshot", response_model=SnapshotView)
    async def get(snapshot_id: SnapshotPath) -> Snapshot:
        """A version of a genome, which never changes."""
        return await genomes.get(snapshot_id)

    @router.get("/agents/{agent_id}/history", summary="List an agent's versions", response_model=list_of(SnapshotView))
    async def history(
        agent_id: AgentIdPath,
        limit: Limit = 100,
        before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only versions below this one.")] = None,
    ) -> list[Snapshot]:
        """The latest first."""
        return await genomes.history(agent_id, limit, before)

    @router.get("/agents/{agent_id}/lineage", summary="Show what was made from what", response_model=LineageView)
    async def lineage(
        agent_id: AgentIdPath,
        limit: Annotated[int, Query(ge=1, le=10_000, description="At most so many nodes.")] = 1000,
    ) -> Lineage:
        """Versions as nodes, and an edge from each one to what was made from it."""
        return await genomes.lineage(agent_id, limit)

    @router.get("/agents/{agent_id}/outcomes", summary="Count what came of genomes", response_model=OutcomesView)
    async def outcomes(agent_id: AgentIdPath) -> Outcomes:
        """Decisions, denials and errors, by genome."""
        return await genomes.outcomes(agent_id)

    @router.get("/diff", summary="Compare two snapshots", response_model=DifferenceView, responses=_NO_GENOME)
    async def diff(
        a: Annotated[int, Query(ge=1, le=limits.COUNT, description="The first snapshot.")],
        b: Annotated[int, Query(ge=1, le=limits.COUNT, description="The second snapshot.")],
    ) -> Difference:
        """Each value that differs. Answers 404 when one of them is not there."""
        return await genomes.diff(a, b)


def _add_changes(router: APIRouter, genomes: GenomeService) -> None:
    @router.post("/snapshot", status_code=201, summary="Keep a genome", response_model=SnapshotView)
    async def snapshot(new: NewSnapshotBody, response: Response) -> Snapshot:
        """Makes the agent's next version, and publishes `dna.snapshot_created`. It runs once it is promoted.

        A genome outside of its bounds is answered with 422 that names the genes, and reported as POLICY_VIOLATION.
        """
        given = {**new.model_dump(), "by": doer(new.by)}
        made = await genomes.snapshot(NewSnapshot(**{**given, "source": Source(new.source)}), key=request_key())
        response.headers["Location"] = f"/api/dna/snapshots/{made.id}"
        return made

    @router.post("/agents/{agent_id}/mutate", status_code=201, summary="Change a genome", response_model=SnapshotView)
    async def mutate(agent_id: AgentIdPath, change: MutationBody, response: Response) -> Snapshot:
        """Makes a new version, and publishes `dna.snapshot_created` and `dna.mutation_applied`.

        `traits_delta` is added: 0.1 on 0.5 is 0.6. The new version has no karma.
        """
        made = await genomes.mutate(
            agent_id, Mutation(**{**change.model_dump(), "by": doer(change.by)}), key=request_key()
        )
        response.headers["Location"] = f"/api/dna/snapshots/{made.id}"
        return made

    @router.put("/agents/{agent_id}/karma", summary="Judge a genome", response_model=SnapshotView)
    async def karma(agent_id: AgentIdPath, new: KarmaBody) -> Snapshot:
        """Publishes `dna.karma_updated`; the earlier scores are kept."""
        who = doer(new.by)
        return await genomes.set_karma(agent_id, new.score, snapshot_id=new.snapshot_id, reason=new.reason, by=who)


def _add_studies(router: APIRouter, studies: StudyService) -> None:
    @router.get("/studies", summary="List studies", response_model=list_of(StudyView))
    async def listing(agent_id: AgentQuery = None, limit: Limit = 100) -> list[Study]:
        """The latest first."""
        return await studies.list(agent_id, limit)

    @router.post(
        "/studies", status_code=201, summary="Start a study", response_model=StudyView, responses=_NO_EXTRA | _NO_GENOME
    )
    async def start(new: NewStudyBody, response: Response) -> Study:
        """Publishes `dna.study_started`."""
        given = {name: getattr(new, name) for name in type(new).model_fields}
        study = await studies.start(NewStudy(**{**given, "objective": new.objective.read()}), key=request_key())
        response.headers["Location"] = f"/api/dna/studies/{study.id}"
        return study

    @router.get("/studies/{study_id}", summary="Show how far a study is", response_model=StudyProgressView)
    async def progress(study_id: StudyIdPath) -> StudyProgress:
        """Its trials by state, the best one, and the hash of its lineage."""
        return await studies.progress(study_id)

    @router.get("/studies/{study_id}/best", summary="Get a study's best trial", response_model=TrialGenomeView)
    async def best(study_id: StudyIdPath) -> TrialGenome:
        """Answers 404 while no trial has a score."""
        return await studies.best(study_id)

    @router.post("/studies/{study_id}/stop", summary="End a study", response_model=StudyView)
    async def stop(study_id: StudyIdPath, who: Worker) -> Study:
        """Trials that run fail. Publishes `dna.study_finished`."""
        return await studies.stop(study_id, who.by)


def _add_trials(router: APIRouter, studies: StudyService) -> None:
    @router.get("/studies/{study_id}/trials", summary="List a study's trials", response_model=list_of(TrialView))
    async def trials(study_id: StudyIdPath) -> Sequence[Trial]:
        """By number."""
        return await studies.trials(study_id)

    @router.post(
        "/studies/{study_id}/ask", summary="Ask for a trial", response_model=TrialGenomeView, responses=_NO_EXTRA
    )
    async def ask(study_id: StudyIdPath, who: Worker) -> TrialGenome:
        """A trial and its genome, for as long as the study's lease; one whose lease is over goes first.

        Publishes `dna.snapshot_created`. Answers 409 when all trials of the budget are given, and 403 to who is not
        of the study, which is a threat `dna_tampering`.
        """
        return await studies.ask(study_id, who.by, key=request_key())

    @router.post("/studies/{study_id}/trials/{trial}", summary="Tell a trial's result", response_model=TrialView)
    async def tell(study_id: StudyIdPath, trial: TrialPath, result: ResultBody) -> Trial:
        """The first result counts, and is the answer to a second one. Publishes `dna.trial_evaluated`.

        Without a score the one that was counted on the stream is taken; 409 while too little was counted.
        """
        scores = _numbers(result.scores)
        given = Result(by=result.by, score=result.score, scores=scores, state=TrialState(result.state))
        return await studies.tell(study_id, trial, given)


def _add_rollouts(router: APIRouter, rollouts: RolloutService) -> None:
    @router.get("/rollouts", summary="List rollouts", response_model=list_of(RolloutView))
    async def listing(agent_id: AgentQuery = None, limit: Limit = 100) -> list[Rollout]:
        """The latest first: those of an agent, or the active ones of all."""
        return await rollouts.list(agent_id, limit)

    @router.get("/agents/{agent_id}/current", summary="Get the genome that runs", response_model=CurrentView)
    async def current(
        agent_id: AgentIdPath,
        instance: Annotated[
            str | None,
            Query(
                max_length=limits.CORRELATION_ID,
                description="The instance that asks, or what the share is to go by else.",
            ),
        ] = None,
    ) -> Current:
        """For an instance: a canary's share is taken by a hash of its name. Answers 404 while none was promoted."""
        return await rollouts.current(agent_id, instance)

    @router.post("/agents/{agent_id}/promote", summary="Let a genome run", response_model=RolloutView)
    async def promote(agent_id: AgentIdPath, new: PromotionBody) -> Rollout:
        """Publishes `dna.promoted`. The rules decide on `dna.apply` first: 403 when they do not allow it.

        Where a person has to agree, the answer is 403 until then; the same request goes through once afterwards.
        """
        return await rollouts.promote(
            agent_id, NewPromotion(**{**new.model_dump(), "by": doer(new.by)}), key=request_key()
        )

    @router.post("/agents/{agent_id}/rollback", summary="Take a genome back", response_model=RolloutView)
    async def roll_back(agent_id: AgentIdPath, back: RollbackBody) -> Rollout:
        """Publishes `dna.rolled_back`. The rules decide on `dna.rollback` first."""
        return await rollouts.roll_back(
            agent_id, doer(back.by), reason=back.reason, snapshot_id=back.snapshot_id, key=request_key()
        )


def _numbers(given: Mapping[str, Any]) -> dict[str, float]:
    faults = [
        f"scores.{name}: {value!r} is not a number"
        for name, value in given.items()
        if not isinstance(value, (int, float)) or isinstance(value, bool)
    ]
    if faults:
        raise InvalidInput("; ".join(faults[:20]), faults[:20])
    return {name: float(value) for name, value in given.items()}
