"""How far a trajectory is from the ground truth: ATE and RPE, as evo counts them, in numpy.

ATE: the distances of positions after the best rigid alignment (S. Umeyama, "Least-squares estimation of transformation
parameters between two point patterns", IEEE TPAMI 13(4), 1991). RPE: the errors of the movements from each pose to the
next (J. Sturm et al., "A Benchmark for the Evaluation of RGB-D SLAM Systems", IROS 2012).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from brain.errors import InvalidInput
from brain.slam.trajectories import Floats, Trajectory

MOST_APART = 0.01
"""Seconds that the times of two poses of a pair may be apart."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """A trajectory against its ground truth; metres."""

    pairs: Annotated[int, Meta(description="Poses that were compared.")]
    aligned: Annotated[bool, Meta(description="Whether the trajectory was moved and turned to fit first.")]
    ate_rmse: Annotated[float, Meta(description="Root mean square of the distances.")]
    ate_max: Annotated[float, Meta(description="The largest distance.")]
    rpe_rmse: Annotated[float, Meta(description="Root mean square of the errors from pose to pose.")]
    rpe_max: Annotated[float, Meta(description="The largest of them.")]


def evaluate(estimate: Trajectory, reference: Trajectory, *, align: bool = True) -> Evaluation:
    """Compare them. Raises InvalidInput when fewer than three poses belong together."""
    estimate, reference = paired(estimate, reference)
    if len(estimate.positions) < 3:
        raise InvalidInput("fewer than three poses of the two trajectories belong together: are their times the same?")
    rpe = _relative_errors(estimate, reference)
    moved = estimate.positions
    if align:
        rotation, shift = alignment(estimate.positions, reference.positions)
        moved = moved @ rotation.T + shift
    ate = np.linalg.norm(moved - reference.positions, axis=1)
    return Evaluation(
        pairs=len(ate),
        aligned=align,
        ate_rmse=float(np.sqrt(np.mean(ate**2))),
        ate_max=float(ate.max()),
        rpe_rmse=float(np.sqrt(np.mean(rpe**2))),
        rpe_max=float(rpe.max()),
    )


def paired(estimate: Trajectory, reference: Trajectory) -> tuple[Trajectory, Trajectory]:
    """The poses that belong together: by their times, or by their number where there are none.

    The shorter one looks for the nearest time in the longer one. Raises InvalidInput.
    """
    if estimate.times is None or reference.times is None:
        if len(estimate.positions) != len(reference.positions):
            counts = f"{len(estimate.positions)} and {len(reference.positions)} poses"
            raise InvalidInput(f"trajectories without times must have the same number of poses; these have {counts}")
        return estimate, reference
    if len(reference.times) > len(estimate.times):
        mine, theirs = _nearest(estimate.times, reference.times)
    else:
        theirs, mine = _nearest(reference.times, estimate.times)
    return estimate.picked(mine), reference.picked(theirs)


def alignment(points: Floats, onto: Floats) -> tuple[Floats, Floats]:
    """The rotation and the shift that bring the points nearest to the others."""
    centre, aim = points.mean(axis=0), onto.mean(axis=0)
    left, _, right = np.linalg.svd((onto - aim).T @ (points - centre) / len(points))
    mirror = np.eye(points.shape[1])
    if np.linalg.det(left) * np.linalg.det(right) < 0:
        mirror[-1, -1] = -1.0
    rotation = left @ mirror @ right
    return rotation, aim - rotation @ centre


def _nearest(short: Floats, long: Floats) -> tuple[Floats, Floats]:
    found = np.array([int(np.argmin(np.abs(long - at))) for at in short])
    near = np.abs(long[found] - short) <= MOST_APART
    return np.flatnonzero(near), found[near]


def _relative_errors(estimate: Trajectory, reference: Trajectory) -> Floats:
    mine, theirs = _steps(estimate), _steps(reference)
    # inv(theirs) @ mine; its translation: R^T (t_mine - t_theirs), whose length a rotation does not change.
    errors: Floats = np.linalg.norm(mine - theirs, axis=1)
    return errors


def _steps(trajectory: Trajectory) -> Floats:
    """From each pose to the next, seen from it."""
    steps = np.diff(trajectory.positions, axis=0)
    found: Floats = np.einsum("nji,nj->ni", trajectory.rotations[:-1], steps)
    return found
