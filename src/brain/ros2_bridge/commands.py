"""`brain ros2`: what is in a bag, and a bag played to a link."""

from __future__ import annotations

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
    "brain ros2 bag play run.mcap --to ws://127.0.0.1:9090 --speed 10",
)
bag: typer.Typer = typer.Typer(no_args_is_help=True)
app.add_typer(bag, name="bag", help="Bags of ROS 1 and ROS 2: what is in them; play them.")


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
    typer.echo(f"{printable(found.file)}: {found.messages:,} messages in {found.seconds:.1f} s{decoded}")
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


def _line(topic: TopicRate) -> str:
    silent = f", silent for the last {topic.silent_for:.1f} s" if topic.silent else ""
    return (
        f"  {topic.topic}  {topic.type}  {topic.count:,} messages, {topic.hz:.1f} Hz, "
        f"longest gap {topic.max_gap:.2f} s{silent}"
    )
