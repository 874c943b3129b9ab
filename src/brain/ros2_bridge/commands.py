"""`brain ros2`: bags, what a peer knows, and commands, calls and goals through the gate of a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.kit.cli.common import JsonOption, print_json, print_json_array, run
from brain.kit.cli.server import UrlOption, ask_server
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.ros2_bridge.rates import TopicRate

BagArgument = Annotated[
    Path, typer.Argument(metavar="BAG", help="A file .bag or .mcap, or the folder of a ROS 2 bag.", show_default=False)
]

app: typer.Typer = typer.Typer(
    no_args_is_help=True,
    epilog="Examples: brain ros2 bag info run.mcap · brain ros2 bag info run.bag --decode --json · "
    "brain ros2 bag record run.mcap --from ws://127.0.0.1:9090 --topic /odom=nav_msgs/msg/Odometry · "
    "brain ros2 bag play run.mcap --to ws://127.0.0.1:9090 --speed 10 · brain ros2 graph zenoh+tcp/rover:7447 · "
    'brain ros2 publish /cmd_vel \'{"linear": {"x": 0.2}}\' --agent ann --seconds 3 · '
    "brain ros2 call /lights/set '{\"data\": true}' --agent ann · "
    'brain ros2 goal /dock \'{"station": "north"}\' --agent ann',
)
bag: typer.Typer = typer.Typer(no_args_is_help=True)
app.add_typer(bag, name="bag", help="Bags of ROS 1 and ROS 2: what is in them; play them, record them.")


@app.callback()
def ros2() -> None:
    """ROS: bags, links, and what robots are asked for."""


@bag.command()
def info(
    file: BagArgument,
    decode: Annotated[bool, typer.Option("--decode", help="Decode each message, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the topics of a bag: types, messages, rates, longest gaps, and which fell silent before its end."""
    import msgspec

    from brain.kit.cli.text import printable
    from brain.ros2_bridge.bags import bag_info

    found = bag_info(file, decode=decode)
    if as_json:
        print_json_array(msgspec.to_builtins(topic) for topic in found.topics)
        return
    decoded = "" if found.decoded is None else f", {found.decoded:,} decoded"
    cut = "; it ends in the middle" if found.cut_off else ""
    print_text(f"{printable(found.file)}: {found.messages:,} messages in {found.seconds:.1f} s{decoded}{cut}")
    for topic in found.topics:
        print_text(printable(_line(topic)))


@bag.command()
def play(
    file: BagArgument,
    to: Annotated[
        str, typer.Option(metavar="URL", help="A rosbridge, as ws://127.0.0.1:9090; or zenoh+tcp/HOST:PORT.")
    ],
    speed: Annotated[float, typer.Option(min=0.0, help="Times the recorded speed; 0: as fast as it goes.")] = 1.0,
    domain: Annotated[int, typer.Option(min=0, max=232, help="ROS_DOMAIN_ID, for Zenoh.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Send the messages of a bag to a link, in their order and at their times.

    It is for simulators and tests: nobody is asked, so topics that move robots (Twist) are left out.
    """
    from brain.ros2_bridge.playing import play_bag

    sent = run(play_bag(file, to, speed, domain))
    if as_json:
        print_json(sent)
        return
    print_text(f"{sent.sent:,} messages sent, {sent.left_out:,} left out")


@bag.command()
def record(
    file: Annotated[Path, typer.Argument(metavar="FILE.mcap", help="The bag to make.", show_default=False)],
    source: Annotated[
        str, typer.Option("--from", metavar="URL", help="A rosbridge, as ws://127.0.0.1:9090; or zenoh+tcp/HOST:PORT.")
    ],
    topic: Annotated[
        list[str] | None, typer.Option(metavar="NAME=TYPE", help="A topic, may be repeated; none: all of the peer.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Record for so long; none: until Ctrl-C.")] = None,
    domain: Annotated[int, typer.Option(min=0, max=232, help="ROS_DOMAIN_ID, for Zenoh.")] = 0,
) -> None:
    """Record topics of a link as a bag in MCAP.

    A recorder that is killed loses a second at most: `brain ros2 bag info` and `play` read a bag without an end, too.
    """
    from brain.ros2_bridge.playing import record_link

    print_text(f"recording to {file}; Ctrl-C ends it", err=True)
    written = run(record_link(file, source, _topics(topic or ()), seconds, domain))
    print_text(f"{written:,} messages recorded")


@app.command()
def graph(
    source: Annotated[
        str, typer.Argument(metavar="URL", help="A rosbridge, as ws://127.0.0.1:9090; or zenoh+tcp/HOST:PORT.")
    ],
    domain: Annotated[int, typer.Option(min=0, max=232, help="ROS_DOMAIN_ID, for Zenoh.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Print the nodes, topics, services and actions that a peer tells of, with publishers and QoS where it does."""
    from brain.kit.cli.text import printable
    from brain.ros2_bridge.playing import ask_graph

    found = run(ask_graph(source, domain))
    if as_json:
        print_json(found)
        return
    for one in found.topics:
        print_text(printable(f"topic {one.topic}  {one.type}"))
        for end, words in ((one.publishers, "publishes"), (one.subscribers, "listens")):
            for node in end or ():
                kept = "all" if node.depth is None else node.depth
                print_text(printable(f"  {node.node} {words}: {node.reliability}, {node.durability}, keeps {kept}"))
    for name in sorted(found.names()):
        if not name.startswith("topic "):
            print_text(printable(name))
    if not found.names():
        print_text("the peer tells of nothing; a rosbridge needs the node rosapi for that", err=True)


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="With its slashes.", show_default=False)]
TextArgument = Annotated[str, typer.Argument(metavar="JSON", help="Its fields; those that are left out are 0.")]
AgentOption = Annotated[str, typer.Option(help="The agent that the rules are asked about.")]
LinkOption = Annotated[str | None, typer.Option(help="The link; none: the only one of the server that has this name.")]


@app.command()
def publish(
    topic: NameArgument,
    agent: AgentOption,
    message: TextArgument = "{}",
    link: LinkOption = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="Send it again so long: without that a robot stops.")] = 0.0,
    hz: Annotated[float, typer.Option(min=0.1, max=1000.0, help="How often a second, with --seconds.")] = 10.0,
    url: UrlOption = None,
) -> None:
    """Send a command to a robot through the gate of the server: rules, bounds, rate, interlocks, containment."""
    body = {"topic": topic, "agent_id": agent, "message": _object("JSON", message)}
    sent, rule = run(_publish(body, link, seconds, hz, url))
    print_text(f"{sent:,} sent, let through by {'no rule' if rule is None else f'rule {rule}'}")


@app.command()
def call(
    service: NameArgument,
    agent: AgentOption,
    request: TextArgument = "{}",
    link: LinkOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Call a service of a robot through the gate of the server, and print what it answers."""
    import msgspec

    from brain.kit.cli.text import printable

    body = {"service": service, "agent_id": agent, "request": _object("JSON", request)}
    found = run(_ask("/api/ros2/call", "services", service, body, link, url))
    if as_json:
        print_json(found)
        return
    print_text(printable(f"{msgspec.json.encode(found['answer']).decode()} after {found['seconds']:.2f} s"))


@app.command()
def goal(
    action: NameArgument,
    agent: AgentOption,
    goal: TextArgument = "{}",
    link: LinkOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a goal to an action of a robot through the gate of the server; `brain ros2 goals` says how it ends."""
    body = {"action": action, "agent_id": agent, "goal": _object("JSON", goal)}
    found = run(_ask("/api/ros2/goals", "actions", action, body, link, url))
    if as_json:
        print_json(found)
        return
    print_text(f"{found['goal_id']} {found['status']}; brain ros2 cancel {found['goal_id']} --by NAME has it given up")


@app.command()
def goals(url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Print the goals of robots that go on, and those that ended last."""
    from brain.kit.cli.text import printable

    found = run(ask_server("GET", "/api/ros2/goals", url=url))
    if as_json:
        print_json_array(found)
        return
    for one in found:
        took = "" if one["seconds"] is None else f" after {one['seconds']:.1f} s"
        why = f": {one['reason']}" if one["reason"] else ""
        print_text(printable(f"{one['goal_id']} {one['action']} of {one['robot']}: {one['status']}{took}{why}"))
    if not found:
        print_text("the server has sent no goals since its start", err=True)


@app.command()
def cancel(
    goal_id: Annotated[str, typer.Argument(metavar="GOAL", help="The goal's id.", show_default=False)],
    by: Annotated[str, typer.Option(help="Who does it.")],
    url: UrlOption = None,
) -> None:
    """Have a robot give a goal up; nobody is asked."""
    from urllib.parse import quote

    found = run(ask_server("POST", f"/api/ros2/goals/{quote(goal_id, '')}/cancel", {"by": by}, url=url))
    print_text(f"{found['goal_id']} {found['status']}")


async def _publish(
    body: dict[str, Any], link: str | None, seconds: float, hz: float, url: str | None
) -> tuple[int, str | None]:
    """How often it was sent, and the rule that let the last one through."""
    import asyncio
    import time

    body["link"] = link or await _only_link("commands", body["topic"], url)
    until, sent = time.monotonic() + seconds, 0
    while True:
        found = await ask_server("POST", "/api/ros2/publish", body, url=url)
        sent += 1
        if time.monotonic() + 1 / hz > until:
            return sent, found["rule_id"]
        await asyncio.sleep(1 / hz)


async def _ask(path: str, kind: str, name: str, body: dict[str, Any], link: str | None, url: str | None) -> Any:
    body["link"] = link or await _only_link(kind, name, url)
    return await ask_server("POST", path, body, url=url, seconds=90.0)


async def _only_link(kind: str, name: str, url: str | None) -> str:
    """The link that has it. Raises InvalidInput when none has, or several have."""
    from brain.errors import InvalidInput

    links = await ask_server("GET", "/api/ros2/links", url=url)
    found = [one["link"] for one in links if f"/{name.strip('/')}" in one[kind]]
    if len(found) == 1:
        return str(found[0])
    if found:
        raise InvalidInput(f"--link: {name} is on the links {', '.join(found)}; name one")
    known = ", ".join(sorted({known for one in links for known in one[kind]})) or "none"
    raise InvalidInput(f"{name}: no link of the server has it among its {kind}; they have {known}")


def _object(name: str, text: str) -> dict[str, Any]:
    import msgspec

    from brain.errors import InvalidInput

    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidInput(f'{name}: {error}; write an object, as \'{{"linear": {{"x": 0.2}}}}\'') from error
    if not isinstance(found, dict):
        raise InvalidInput(f'{name}: must be an object, as \'{{"linear": {{"x": 0.2}}}}\'')
    return found


def _topics(given: Sequence[str]) -> dict[str, str]:
    from brain.errors import InvalidInput

    found = {}
    for one in given:
        name, mark, type = one.partition("=")
        if not (name.strip("/") and mark and type):
            raise InvalidInput(f"--topic {one}: write NAME=TYPE, as /odom=nav_msgs/msg/Odometry")
        found[f"/{name.strip('/')}"] = type
    return found


def _line(topic: TopicRate) -> str:
    silent = f", silent for the last {topic.silent_for:.1f} s" if topic.silent else ""
    return (
        f"  {topic.topic}  {topic.type}  {topic.count:,} messages, {topic.hz:.1f} Hz, "
        f"longest gap {topic.max_gap:.2f} s{silent}"
    )
