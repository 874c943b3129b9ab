"""Whether a robot knows where it is: a step of its state for each pose, and for each look at the clock."""

from __future__ import annotations

from math import hypot
from typing import Annotated

import msgspec
from msgspec import Meta

from brain.slam.settings import SlamSettings

MOST_METRES, MOST_RADIANS, MOST_VARIANCE = 1e6, 1e3, 1e9
"""How far from 0 the numbers of a pose may be; no variance is below 0."""


class Pose(msgspec.Struct, frozen=True, kw_only=True):
    """Where a robot says that it is: metres and radians on its map; variances in m² and rad²."""

    x: float
    y: float
    theta: float
    var_x: float = 0.0
    var_y: float = 0.0
    var_theta: float = 0.0
    at: Annotated[float, Meta(description="When, in Unix seconds.")]


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """Why a robot is lost, and since when."""

    reason: Annotated[str, Meta(description="covariance, jump or silence.")]
    value: Annotated[float, Meta(description="What was seen: m², metres or seconds.")]
    limit: Annotated[float, Meta(description="What it may be at most.")]
    at: Annotated[float, Meta(description="Since when, in Unix seconds.")]


class Localization(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one robot."""

    pose: Pose | None = None
    loss: Loss | None = None
    """None: it knows where it is."""
    good: int = 0
    """Good poses in a row since it was lost."""
    heard_at: float | None = None
    """When the pose came, by the clock here; None: when it says itself. A robot's clock may be wrong."""

    @property
    def quiet_since(self) -> float | None:
        """When something was heard of it last."""
        return self.heard_at if self.heard_at is not None or self.pose is None else self.pose.at


def with_pose(known: Localization, pose: Pose, limits: SlamSettings) -> Localization:
    """The robot said where it is."""
    fault = _fault(known.pose, pose, limits)
    if known.loss is None:
        return Localization(pose=pose, loss=fault)
    good = 0 if fault is not None else known.good + 1
    return Localization(pose=pose, loss=None if good >= limits.good_poses else known.loss, good=good)


def at_time(known: Localization, now: float, limits: SlamSettings) -> Localization:
    """Time went by."""
    since = known.quiet_since
    if since is None or known.loss is not None or now - since <= limits.silence:
        return known
    loss = Loss(reason="silence", value=now - since, limit=limits.silence, at=now)
    return Localization(pose=known.pose, loss=loss, heard_at=known.heard_at)


def _fault(before: Pose | None, pose: Pose, limits: SlamSettings) -> Loss | None:
    if before is not None:
        step = hypot(pose.x - before.x, pose.y - before.y)
        if step > limits.jump:
            return Loss(reason="jump", value=step, limit=limits.jump, at=pose.at)
        if pose.at - before.at > limits.silence:
            return Loss(reason="silence", value=pose.at - before.at, limit=limits.silence, at=pose.at)
    variance = max(pose.var_x, pose.var_y)
    if variance > limits.variance:
        return Loss(reason="covariance", value=variance, limit=limits.variance, at=pose.at)
    return None
