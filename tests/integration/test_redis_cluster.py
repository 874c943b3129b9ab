"""A real Cluster of three primaries and a replica: the stream follows its slot. Conformance is tested on it too."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain.errors import Unavailable
from brain.stream.backends import open_backend
from support.redis_groups import Cluster
from support.redis_server import until
from support.traffic import through

QUICKLY = "?socket_timeout=0.5"


async def test_a_planned_failover(redis_cluster: Cluster, tmp_path: Path) -> None:
    replica = redis_cluster.replica()

    def fail_over() -> None:
        with replica.client() as client:
            client.execute_command("CLUSTER FAILOVER")
        until(lambda: redis_cluster.owner() is replica)
        redis_cluster.wait_until_whole()

    accepted, received = await through(redis_cluster.url + QUICKLY, tmp_path / "journal", fail_over)
    assert received == accepted


async def test_the_death_of_the_node_that_has_the_stream(redis_cluster: Cluster, tmp_path: Path) -> None:
    owner, replica = redis_cluster.owner(), redis_cluster.replica()

    def kill() -> None:
        owner.kill()
        until(lambda: redis_cluster.owner() is replica)

    accepted, received = await through(redis_cluster.url + QUICKLY, tmp_path / "journal", kill)
    assert received == accepted
    owner.start()
    redis_cluster.wait_until_whole()


async def test_the_slot_moves_to_another_primary(redis_cluster: Cluster, tmp_path: Path) -> None:
    source = redis_cluster.owner()
    target = next(node for node in redis_cluster.nodes if node is not source and node.is_primary())

    def move() -> None:
        slot = redis_cluster.SLOT
        with source.client() as old, target.client() as new:
            old_id, new_id = old.execute_command("CLUSTER MYID"), new.execute_command("CLUSTER MYID")
            new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", old_id)
            old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", new_id)
            while keys := old.execute_command(
                "CLUSTER GETKEYSINSLOT", slot, 1
            ):  # one by one: in between, keys are split
                old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            for client in (new, old):
                client.execute_command("CLUSTER SETSLOT", slot, "NODE", new_id)
        until(lambda: redis_cluster.owner() is target)

    accepted, received = await through(redis_cluster.url + QUICKLY, tmp_path / "journal", move)
    assert received == accepted


def test_streams_of_other_names_live_on_other_nodes(redis_cluster: Cluster) -> None:
    names = [f"fleet-{number}" for number in range(12)]
    for name in names:
        backend = open_backend(f"{redis_cluster.url}?stream={name}")
        backend.append("p", "", "1", [name.encode()])
        assert [entry.data for entry in backend.read("", 10)] == [name.encode()]
        backend.close()
    held = []
    for node in redis_cluster.nodes:
        with node.client() as client:
            if node.is_primary():
                held.append(len(client.keys("{fleet-*}:events")))
                client.flushall()
    assert sum(held) == len(names)
    assert min(held) > 0


def test_any_living_node_will_do_and_a_plain_url_is_told_apart(redis_cluster: Cluster) -> None:
    others = [node for node in redis_cluster.nodes if node is not redis_cluster.owner()]
    backend = open_backend(f"redis+cluster://127.0.0.1:1,127.0.0.1:{others[0].port}")
    assert backend.append("p", "", "1", [b"event"])
    backend.close()
    plain = open_backend(others[0].url)
    with pytest.raises(Unavailable, match=r"is a node of a Cluster; write redis\+cluster://"):
        plain.tail()
    plain.close()
