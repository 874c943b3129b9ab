"""What plug-ins provide to each other: one small protocol for each thing, found by `PluginContext.find`.

A plug-in never imports another. The one that has the data names the protocol in `Plugin.provides`. The one that needs
it asks `context.find(AuditProofs)`, and carries on without it where that gives None.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from brain.charter import Event, HealthKind, HealthSeverity, Severity, ThreatStatus
from brain.errors import Unavailable
from brain.kit.health_score import DecisionCounts

if TYPE_CHECKING:
    from brain.connectors.pages import Page


class AuditedEvent(Protocol):
    """An entry of the audit log. Retention deletes an event's bytes; the other fields stay."""

    @property
    def index(self) -> int:
        """Its place in the log, from 0."""

    @property
    def at(self) -> float:
        """The event's own time, in Unix seconds."""

    @property
    def type(self) -> str:
        """The event's type; empty for bytes that are no event."""

    @property
    def event_id(self) -> str | None:
        """The event's id."""

    @property
    def threat(self) -> str | None:
        """The id of the threat that the event is about."""

    @property
    def data(self) -> bytes | None:
        """The exact bytes; None once retention has deleted them."""

    @property
    def event(self) -> Event | None:
        """The event in the bytes; None when they are deleted or no event."""


class AuditEvents(Protocol):
    """Reads the audit log in order. The plug-in `audit` provides it. Both methods block and raise Unavailable."""

    def last_index(self, event_ids: Sequence[str]) -> int | None:
        """The index of the last of these events; None unless all of them are logged."""

    def between(self, first: int, last: int) -> Iterator[AuditedEvent]:
        """The entries from index `first` to `last`, both included, in order."""


@dataclass(frozen=True)
class LoggedEvent:
    """An event in the audit log: entry `index` of the tree of `size` entries with that root; hashes in hexadecimal."""

    event_id: str
    index: int
    size: int
    root: str
    leaf_hash: str
    proof: str
    """The path of the whole proof below the server's address."""


class AuditProofs(Protocol):
    """Finds events in the audit log. The plug-in `audit` provides it."""

    def find(self, event_id: str) -> LoggedEvent | None:
        """Where the event is logged, proven against the newest checkpoint; None while it is not logged. Blocks.

        Raises Unavailable when the database does not answer or the log was altered.
        """
        ...


class ThreatMoves(Protocol):
    """Reads and changes the status of threats. The plug-in `threats` provides it.

    Both methods raise Unavailable when the store does not answer.
    """

    async def status(self, threat_id: str) -> ThreatStatus | None:
        """The threat's status; None when no threat has this id."""
        ...

    async def move(self, threat_id: str, status: ThreatStatus, reason: str) -> None:
        """Move the threat and publish that. Raises NotFound, and Conflict for a move that is not allowed."""
        ...


class OpenThreatCounts(Protocol):
    """Counts the threats that are open. The plug-in `threats` provides it."""

    def by_severity(self) -> Mapping[Severity, int] | None:
        """How many wait to be mitigated; None when there never was any threat. Blocks. Raises Unavailable."""
        ...


class DecisionRecord(Protocol):
    """Counts decisions. The plug-in `metrics` provides it."""

    def since(self, at: float) -> DecisionCounts | None:
        """Those since this Unix time; None when nothing was ever counted. Blocks. Raises Unavailable."""
        ...


class EffectDecision(Protocol):
    """The decision that let an effect go on."""

    @property
    def rule_id(self) -> str | None:
        """The rule that decided; None when none matched."""

    @property
    def reason(self) -> str:
        """Why, in words."""

    @property
    def warnings(self) -> Sequence[str]:
        """The warnings of the rules that matched."""


class EffectGuard(Protocol):
    """Decides before an effect happens, by the rules of the fleet. The plug-in `policy` provides it."""

    async def check(
        self,
        agent: str | Mapping[str, Any],
        action: str,
        resource: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> EffectDecision:
        """Return when `agent`, an id or fields such as `agent_id` and `agent_role`, may do the action now.

        Raises ActionDenied, ApprovalRequired while a person is asked (the same call goes through once after the
        answer), and Unavailable.
        """
        ...

    async def check_ours(
        self,
        agent: str | Mapping[str, Any],
        action: str,
        resource: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> EffectDecision:
        """As `check`, for what an operator has set up already: where no rule decides, it may be done.

        A rule, a containment, the kill switch and rules that are out of date come first, as in `check`.
        """
        ...

    async def contained(self) -> Mapping[str, float | None]:
        """The agents that are contained now, and until when, in Unix seconds. Raises Unavailable."""
        ...

    async def close(self) -> None:
        """Let go of the rules. What was found by `find` and was asked must be closed."""
        ...


def required_guard(found: EffectGuard | None, action: str) -> EffectGuard:
    """What `context.find(EffectGuard)` found. Raises Unavailable where it is None: then nobody may do the action."""
    if found is None:
        raise Unavailable(
            f"{action}: no installed plug-in decides on it (EffectGuard), so nobody may; install one that provides it"
        )
    return found


@dataclass(frozen=True)
class AskedApproval:
    """A request for people's agreement. Times are Unix seconds."""

    id: str
    status: str
    is_open: bool
    """Whether it waits for an answer."""
    agent: str
    action: str
    resource: str
    params: Mapping[str, Any]
    """With marks in the places of secrets."""
    reason: str
    requested_by: str | None
    requested_at: float
    expires_at: float
    needed: int
    """How many different ones must agree."""
    agreed: tuple[str, ...]
    """Those who have."""
    answered_by: str | None
    digest: str
    """Of what is asked, and of whom: it stays the same while only answers come."""

    def __hash__(self) -> int:
        """By its id and what is asked."""
        return hash((self.id, self.digest))


class ApprovalRequests(Protocol):
    """The requests for approval. The plug-in `policy` provides it. All methods block, and raise Unavailable."""

    def look(self, approval_id: str) -> AskedApproval:
        """The request as it is now. Raises NotFound."""
        ...

    def fault(self, approval_id: str, who: str) -> str | None:
        """Why an answer of `who` would not count now; None when it would. Raises NotFound."""
        ...

    def answer(self, approval_id: str, *, agree: bool, by: str, reason: str) -> AskedApproval:
        """Answer for whoever acts here (`brain.acting`), whose name is `by`; the request after that.

        Raises NotFound, Forbidden for one who may not, Conflict for one that is answered already, and InvalidInput.
        """
        ...

    def close(self) -> None:
        """Let go of the rules. What was found by `find` must be closed."""
        ...


class Notifiers(Protocol):
    """Sends messages to people. The plug-in `alerting` provides it."""

    def names(self) -> Collection[str]:
        """The notifiers of the settings, by name."""
        ...

    async def send(self, name: str, page: Page) -> Mapping[str, Any]:
        """Send the page; the service's answer. Raises Refused when the service never takes it, and TryLater."""
        ...

    async def close(self) -> None:
        """Close the connections. What was found by `find` must be closed."""
        ...


class PublicUrls(Protocol):
    """Where browsers and agents reach the server. The plug-in `access` provides it."""

    def urls(self) -> Sequence[str]:
        """The public URLs, without paths; none where the settings name none."""
        ...


CALL_FIELDS: Final = ("resource", "action", "agent_id")
"""The fields of a call by which an open breaker or a lowered limit says which calls guards refuse."""


class PolicyMeasures(Protocol):
    """Changes what is in force. The plug-in `policy` provides it. Every method raises InvalidInput and Unavailable."""

    async def contain(self, agent_id: str, *, ttl: float, reason: str, by: str, key: str) -> str:
        """Deny the agent everything for `ttl` seconds; what was done, in words. The same `key` does it once.

        A containment that somebody else made stays as it is.
        """
        ...

    async def lift(self, agent_id: str, *, reason: str, by: str) -> str:
        """End the containment of the agent that `by` made; what was done, in words."""
        ...

    async def open_breaker(self, name: str, about: Mapping[str, str], *, until: float, reason: str, by: str) -> str:
        """Open the circuit breaker until that Unix time, for decorated calls and for what `about` names; what was done.

        `about` may have the fields of CALL_FIELDS.
        """
        ...

    async def lower_limit(
        self, name: str, about: Mapping[str, str], *, calls: int, window: str, until: float, reason: str, by: str
    ) -> str:
        """Let so many calls through in a minute, hour or day until that Unix time; what was done, in words."""
        ...

    async def put_rule(self, rule: Mapping[str, Any], *, reason: str, by: str) -> str:
        """Put a rule, in the place of the one with its id, if there is one; what was done, in words."""
        ...

    async def close(self) -> None:
        """Let go of the rules. What was found by `find` and was used must be closed."""
        ...


@dataclass(frozen=True)
class ThreatReport:
    """What another plug-in saw of a threat. The same `reading`, such as an event's id, counts once.

    One that grows is reported again with the larger `count`. `last_seen` is in Unix seconds; None is now.
    """

    type: str
    source: str
    severity: Severity
    description: str
    reading: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    count: int = 1
    last_seen: float | None = None


class ThreatReports(Protocol):
    """Makes threats of what other plug-ins see. The plug-in `threats` provides it."""

    async def report(self, report: ThreatReport) -> str:
        """The id of the threat: a new one, or that of the same type and source that is not over.

        A threat keeps each reading: name one for a batch where many come. Raises InvalidInput and Unavailable.
        """
        ...


@dataclass(frozen=True)
class HealthReport:
    """What another plug-in saw of the health of a module, an agent or a device."""

    severity: HealthSeverity
    kind: HealthKind
    module: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: str | None = None


class HealthReports(Protocol):
    """Records health events of what other plug-ins see. The plug-in `immune` provides it."""

    async def report(self, report: HealthReport, *, key: str | None = None) -> int:
        """The number of the health event; that of the first one when `key` was used before.

        Raises InvalidInput and Unavailable.
        """
        ...


@dataclass(frozen=True)
class MotionLimit:
    """How fast a robot may go now, in m/s along the ground; also 0. `reason` says why, in words."""

    most: float
    reason: str


class MotionInterlock(Protocol):
    """Limits the movements of robots, whatever the rules say. The plug-in `slam` provides one."""

    async def limit(self, robot: str) -> MotionLimit | None:
        """The limit of this robot now; None when there is none. Raises Unavailable: nothing may move then."""
        ...


@dataclass(frozen=True)
class PoseTopic:
    """The topic of a link that says where a robot is; at most `most_hz` poses a second are wanted of it."""

    robot: str
    link: str
    topic: str
    type: str
    """The type of its messages, as `nav_msgs/msg/Odometry`."""
    most_hz: float
    frame: str = ""
    """For `tf2_msgs/msg/TFMessage` the frame of the map, and `child` that of the robot."""
    child: str = ""


@dataclass(frozen=True)
class PoseReport:
    """Where a robot said that it is: metres and radians on its map, variances in m² and rad².

    `at` is when that came, in Unix seconds by the clock here.
    """

    x: float
    y: float
    theta: float
    var_x: float
    var_y: float
    var_theta: float
    at: float


class RobotPoses(Protocol):
    """Follows robots by what they say on topics. The plug-in `slam` provides it."""

    def topics(self) -> Sequence[PoseTopic]:
        """The topics to listen to; no two robots are the same frame, or have the same topic of the same link."""
        ...

    async def take(self, robot: str, pose: PoseReport) -> None:
        """The robot said this. Raises InvalidInput for a pose that cannot be, and Unavailable."""
        ...
