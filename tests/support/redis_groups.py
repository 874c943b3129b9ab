"""Several real servers that belong together: a Cluster, and a primary with its replica and Sentinels."""

from __future__ import annotations

from pathlib import Path

from redis.crc import key_slot

from support.ports import free_port
from support.redis_server import RedisServer, until


class Cluster:
    """Three primaries, and one replica of the one that serves the stream's slot."""

    SLOT = key_slot(b"{brain}")

    def __init__(self, folder: Path) -> None:
        self.nodes = [self._node(folder / f"node{i}") for i in range(4)]

    @staticmethod
    def _node(folder: Path) -> RedisServer:
        folder.mkdir()
        bus = ("--cluster-port", str(free_port()))
        quick = ("--cluster-node-timeout", "1000", "--repl-ping-replica-period", "1", "--repl-diskless-sync-delay", "0")
        return RedisServer(folder, "--cluster-enabled", "yes", "--appendonly", "yes", *bus, *quick)

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes[:3])}"

    def start(self) -> Cluster:
        for node in self.nodes:
            node.start()
        first, replica = self.nodes[0], self.nodes[3]
        ranges = ((0, 5460), (5461, 10922), (10923, 16383))
        for number, (node, (low, high)) in enumerate(zip(self.nodes[:3], ranges, strict=True)):
            with node.client() as client:
                client.execute_command("CLUSTER ADDSLOTSRANGE", low, high)
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        with first.client() as client:
            for node in self.nodes[1:]:
                client.execute_command("CLUSTER MEET", "127.0.0.1", node.port, node.options[5])
        until(lambda: all(self._knows(node) == 4 for node in self.nodes))
        with self.owner().client() as client:
            name = client.execute_command("CLUSTER MYID")
        with replica.client() as client:
            client.execute_command("CLUSTER REPLICATE", name)
        self.wait_until_whole()
        return self

    def _knows(self, node: RedisServer) -> int:
        with node.client() as client:
            return int(client.cluster("info")["cluster_known_nodes"])

    def owner(self) -> RedisServer:
        """The node that serves the stream's slot, as the first that answers says."""
        for node in self.nodes:
            if node.process is not None:
                with node.client() as client:
                    for low, high, primary, *_ in client.execute_command("CLUSTER SLOTS"):
                        if low <= self.SLOT <= high:
                            return next(one for one in self.nodes if one.port == primary[1])
        raise AssertionError("no node serves the slot")

    def replica(self) -> RedisServer:
        """The other one of the pair that holds the stream."""
        for node in self.nodes:
            if node.process is not None and not node.is_primary():
                return node
        raise AssertionError("there is no replica")

    def wait_until_whole(self) -> None:
        """All nodes agree that the cluster is up, and the stream's owner has its replica in step."""

        def whole() -> bool:
            for node in self.nodes:
                with node.client() as client:
                    if client.cluster("info")["cluster_state"] != "ok":
                        return False
            with self.owner().client() as client:
                replicas = client.info("replication")
            return replicas["connected_slaves"] == 1 and replicas["slave0"]["state"] == "online"

        until(whole)

    def flush(self) -> None:
        with self.owner().client() as client:
            client.flushall()

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


class _Sentinel(RedisServer):
    """A process of the same program that watches; its configuration is a file that it rewrites."""

    def __init__(self, folder: Path, primary: int) -> None:
        super().__init__(folder)
        folder.mkdir()
        (folder / "sentinel.conf").write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor stream 127.0.0.1 {primary} 2\nsentinel down-after-milliseconds stream 500\n"
            "sentinel failover-timeout stream 2000\n"
        )

    def arguments(self) -> list[str]:
        return [str(self.folder / "sentinel.conf"), "--sentinel"]


class Watched:
    """A primary and a replica that three Sentinels watch under the name `stream`."""

    def __init__(self, folder: Path) -> None:
        self.servers: list[RedisServer] = []
        for name in ("primary", "replica"):
            (folder / name).mkdir()
            follow = ("--replicaof", f"127.0.0.1 {self.servers[0].port}") if self.servers else ()
            quick = ("--repl-diskless-sync-delay", "0", "--appendonly", "yes")
            self.servers.append(RedisServer(folder / name, *quick, *follow))
        self.sentinels = [_Sentinel(folder / f"sentinel{i}", self.servers[0].port) for i in range(3)]

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in self.sentinels)}/stream/0"

    def start(self) -> Watched:
        for server in (*self.servers, *self.sentinels):
            server.start()
        return self

    def ready_to_fail_over(self) -> Watched:
        """All Sentinels know the replica and each other; takes them two seconds."""
        until(lambda: all(self._sees_all(sentinel) for sentinel in self.sentinels))
        return self

    @staticmethod
    def _sees_all(sentinel: RedisServer) -> bool:
        with sentinel.client() as client:
            state = client.sentinel_master("stream")
        return state["num-slaves"] == 1 and state["num-other-sentinels"] == 2

    def kill(self) -> None:
        for server in (*self.sentinels, *self.servers):
            server.kill()
