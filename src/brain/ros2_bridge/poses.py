"""What robots say on topics of where they are, handed to who follows them: the newest, and not too often."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from math import atan2, isfinite
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from brain.errors import InvalidInput
from brain.kit.database import OUTAGE
from brain.kit.protocols import PoseReport, PoseTopic, RobotPoses
from brain.logs import Log
from brain.redaction import redacted_text
from brain.ros2_bridge.frames import TF, FrameTree
from brain.ros2_bridge.settings import LinkSettings, Ros2Settings, TopicSettings

log: Log = Log("brain.ros2_bridge")

_PLACES: Final[Mapping[str, tuple[str, str, str | None]]] = {
    "geometry_msgs/msg/PoseWithCovarianceStamped": ("pose.pose.position", "pose.pose.orientation", "pose.covariance"),
    "geometry_msgs/msg/PoseStamped": ("pose.position", "pose.orientation", None),
    "geometry_msgs/msg/TransformStamped": ("transform.translation", "transform.rotation", None),
    "nav_msgs/msg/Odometry": ("pose.pose.position", "pose.pose.orientation", "pose.covariance"),
}
"""Where a message of each type has the place, the quaternion, and the covariance (6 by 6, row by row; REP 103)."""
_VARIANCES: Final = (0, 7, 35)
"""Where the covariance has the variances of x, y and yaw."""
_COVARIANCE: Final = 36
_STATIC: Final = "_static"
"""The end of the topic with the frames that stay as they are, beside `/tf`."""
_AGAIN = 600.0
"""Seconds after which the log says the same trouble once more."""


class PoseFeedState(msgspec.Struct, frozen=True, kw_only=True):
    """A topic on which a robot says where it is."""

    topic: Annotated[str, Meta(description="The topic.")]
    robot: Annotated[str, Meta(description="The robot, as [slam.robots] has it.")]
    counts: Annotated[
        dict[str, int],
        Meta(description="Messages: taken, skipped (too many, or sent again), refused (do not fit), unavailable."),
    ]
    trouble: Annotated[str, Meta(description="Why the last one was not taken; empty when it was.")]


class PoseFeed:
    """The poses of one topic."""

    def __init__(self, topic: PoseTopic, poses: RobotPoses) -> None:
        self.topic = topic
        self.counts: Counter[str] = Counter()
        self.trouble: str = ""
        self._poses = poses
        self._said: tuple[str, float] = ("", 0.0)
        self._last: Mapping[str, Any] | None = None
        self._frames = FrameTree(topic.frame, topic.child) if topic.type == TF else None
        self._placed_at: float | None = None
        self._newest: PoseReport | None = None
        self._came = asyncio.Event()

    @property
    def topics(self) -> Mapping[str, TopicSettings]:
        """What is listened to for it: its topic, and for `/tf` what stays the same beside it."""
        found = {self.topic.topic: TopicSettings(type=self.topic.type)}
        if self._frames is not None:
            found[f"{self.topic.topic}{_STATIC}"] = TopicSettings(type=TF, silent_seconds=None)
        return found

    def add(self, topic: str, message: Mapping[str, Any], at: float) -> None:
        """A message came at that time, in Unix seconds."""
        if self._frames is not None:
            self._add_frames(self._frames, topic, message, at)
            return
        if _is_again(message, self._last):
            self.counts["skipped"] += 1
            return
        self._last = message
        try:
            pose = pose_of(self.topic.type, message, at)
        except InvalidInput as error:
            self.refuse(str(error))
            return
        self._offer(pose)

    def _add_frames(self, frames: FrameTree, topic: str, message: Mapping[str, Any], at: float) -> None:
        """A message of `/tf`: where the robot is follows from all of them."""
        try:
            frames.add(message, topic != self.topic.topic)
        except InvalidInput as error:
            self.refuse(str(error))
            return
        try:
            placed_at, found = frames.place()
        except InvalidInput as error:
            self.tell(str(error))  # a link that is missing may come
            return
        if placed_at != self._placed_at:
            self._placed_at = placed_at
            theta = yaw_of(found.qx, found.qy, found.qz, found.qw)
            self._offer(PoseReport(x=found.x, y=found.y, theta=theta, var_x=0.0, var_y=0.0, var_theta=0.0, at=at))

    def _offer(self, pose: PoseReport) -> None:
        self.counts["skipped"] += self._newest is not None
        self._newest = pose
        self._came.set()

    def refuse(self, reason: str) -> None:
        """A message came that is no pose."""
        self.counts["refused"] += 1
        self.tell(reason)

    def tell(self, reason: str) -> None:
        """Say in the state, and once in ten minutes in the log, why there is no pose."""
        self.trouble = redacted_text(reason)[:300]
        before, at = self._said
        if self.trouble != before or time.monotonic() - at > _AGAIN:
            self._said = (self.trouble, time.monotonic())
            one = self.topic
            log.warning("no pose is taken", link=one.link, topic=one.topic, robot=one.robot, reason=self.trouble)

    def check_type(self, type: str) -> None:
        """The peer tells that the topic has this type; ROS 1 writes it without `msg`."""
        if type.replace("/msg/", "/") != self.topic.type.replace("/msg/", "/"):
            self.tell(f"the topic has messages of type {type}, the settings have {self.topic.type}")

    async def run(self) -> None:
        """Hand the newest pose over, and wait until another may go, until cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            pose, self._newest = self._newest, None
            if pose is not None:
                await self._hand_over(pose)
            await asyncio.sleep(1 / self.topic.most_hz)

    def state(self) -> PoseFeedState:
        """What came of it."""
        counts = {name: count for name, count in self.counts.items() if count}
        return PoseFeedState(topic=self.topic.topic, robot=self.topic.robot, counts=counts, trouble=self.trouble)

    async def _hand_over(self, pose: PoseReport) -> None:
        try:
            await self._poses.take(self.topic.robot, pose)
        except InvalidInput as error:
            self.refuse(str(error))
        except OUTAGE as error:
            self.counts["unavailable"] += 1
            self.tell(f"it cannot be kept: {error}")
        else:
            self.counts["taken"] += 1
            self.trouble = ""


def pose_of(type: str, message: Mapping[str, Any], at: float) -> PoseReport:
    """The pose in a message of that type. Raises InvalidInput for what does not fit; a type without variances has 0."""
    place, turn, covariance = _PLACES[type]
    x, y = (_number(type, message, f"{place}.{axis}") for axis in "xy")
    qx, qy, qz, qw = (_number(type, message, f"{turn}.{axis}") for axis in "xyzw")
    if not any((qx, qy, qz, qw)):
        raise InvalidInput(f"{type}: {turn} is no quaternion: all its numbers are 0")
    theta = yaw_of(qx, qy, qz, qw)
    var_x, var_y, var_theta = (0.0, 0.0, 0.0) if covariance is None else _variances(type, message, covariance)
    return PoseReport(x=x, y=y, theta=theta, var_x=var_x, var_y=var_y, var_theta=var_theta, at=at)


def yaw_of(qx: float, qy: float, qz: float, qw: float) -> float:
    """How far a quaternion turns about the vertical, in radians."""
    return atan2(2 * (qw * qz + qx * qy), qw * qw + qx * qx - qy * qy - qz * qz)


def with_pose_topics(settings: Ros2Settings, feeds: Sequence[PoseFeed]) -> dict[str, LinkSettings]:
    """The links by name, which watch these topics, too. Raises InvalidInput for a link or type that cannot be."""
    links = dict(settings.links)
    for one, name, topic in [(feed.topic, *each) for feed in feeds for each in feed.topics.items()]:
        where = f"[slam.robots.{one.robot}]"
        link = links.get(one.link)
        if link is None:
            known = ", ".join(sorted(links)) or "none"
            raise InvalidInput(f"{where} link: no link has the name {one.link}; [ros2_bridge.links] has {known}")
        watched = link.topics.get(name, topic)
        if watched.type != one.type:
            table = f"[ros2_bridge.links.{one.link}.topics]"
            raise InvalidInput(f"{where} type: is {one.type}, but {table} has {name} as {watched.type}")
        if name in link.commands:
            raise InvalidInput(f"{where} topic: {name} is a command topic of link {one.link}")
        links[one.link] = link.model_copy(update={"topics": {**link.topics, name: watched}})
    return links


def _is_again(message: Mapping[str, Any], last: Mapping[str, Any] | None) -> bool:
    """Whether it is the message before, as publishers that keep their last one send it when a link comes up again."""
    return message == last and _is_stamped(message)


def _is_stamped(message: Any) -> bool:
    header = message.get("header") if isinstance(message, Mapping) else None
    stamp = header.get("stamp") if isinstance(header, Mapping) else None
    return isinstance(stamp, Mapping) and any(stamp.values())


def _number(type: str, message: Mapping[str, Any], path: str) -> float:
    return _finite(type, _found(type, message, path), path)


def _variances(type: str, message: Mapping[str, Any], path: str) -> tuple[float, float, float]:
    found = _found(type, message, path)
    if not isinstance(found, Sequence) or len(found) != _COVARIANCE:
        raise InvalidInput(f"{type}: {path} has not {_COVARIANCE} numbers")
    x, y, theta = (_finite(type, found[place], f"{path}[{place}]") for place in _VARIANCES)
    return x, y, theta


def _found(type: str, message: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(message, Mapping) or name not in message:
            raise InvalidInput(f"{type}: the message has no {path}")
        message = message[name]
    return message


def _finite(type: str, value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{type}: {path} is no number")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise InvalidInput(f"{type}: {path} is not finite")
    return number
