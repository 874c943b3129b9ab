"""`brain ros2`: what is in a bag, a bag played to a link or recorded from it, and what a peer knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brain.kit.cli.common import JsonOption, print_json, print_json_array, run

if TYPE_CHECKING:
    from brain.ros2_bridge.rates import TopicRate

BagArgument = Annotated[
    Path, typer.Argument(metavar="BAG", help="A file .bag or .mcap, or the folder of a ROS 2 bag.", show_default=False)
]

app: typer.Typer = typer.Typer(
    no_args_is_help=True,
    epilog="Examples: brain ros2 bag info run.mcap · brain ros2 bag info run.bag --decode --json · "
    "brain ros2 bag record run.mcap --from ws://127.0.0.1:9090 --topic /odom=nav_msgs/msg/Odometry · "
    "brain ros2 bag play run.mcap --to ws://127.0.0.1:9090 --speed 10 · brain ros2 graph zenoh+tcp/rover:7447",
)
bag: typer.Typer = typer.Typer(no_args_is_help=True)
app.add_typer(bag, name="bag", help="Bags of ROS 1 and ROS 2: what is in them; play them, record them.")


@app.callback()
def ros2() -> None:
    """ROS: bags and links."""


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
    typer.echo(f"{printable(found.file)}: {found.messages:,} messages in {found.seconds:.1f} s{decoded}{cut}")
    for topic in found.topics:
        typer.echo(printable(_line(topic)))


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
    typer.echo(f"{sent.sent:,} messages sent, {sent.left_out:,} left out")


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

    typer.echo(f"recording to {file}; Ctrl-C ends it", err=True)
    written = run(record_link(file, source, _topics(topic or ()), seconds, domain))
    typer.echo(f"{written:,} messages recorded")


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
        typer.echo(printable(f"topic {one.topic}  {one.type}"))
        for end, words in ((one.publishers, "publishes"), (one.subscribers, "listens")):
            for node in end or ():
                kept = "all" if node.depth is None else node.depth
                typer.echo(printable(f"  {node.node} {words}: {node.reliability}, {node.durability}, keeps {kept}"))
    for name in sorted(found.names()):
        if not name.startswith("topic "):
            typer.echo(printable(name))
    if not found.names():
        typer.echo("the peer tells of nothing; a rosbridge needs the node rosapi for that", err=True)


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
