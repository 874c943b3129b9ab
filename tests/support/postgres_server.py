"""A real PostgreSQL in a folder of its own, reached over a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from support.memory import memory_folder
from support.signals import freeze, thaw

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))

STARTS_WITHIN = 120
"""Seconds; only one that does not start takes so long, however loaded the machine is."""


class PostgresServer:
    """Started empty; `dsn` is for libpq, `url` for SQLAlchemy over psycopg. It is removed by `stop`."""

    def __init__(self) -> None:
        assert BINARIES, "PostgreSQL is not installed; run `make setup-test` (Debian: apt-get install postgresql)"
        self._bin = BINARIES[-1]
        self._folder = Path(tempfile.mkdtemp(prefix="brain-postgres-", dir=memory_folder()))
        # PostgreSQL refuses to run as root; as another user it could not reach pytest's own folders.
        self._user = pwd.getpwnam("postgres").pw_name if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        return f"host={self._folder} user=postgres dbname=postgres"

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@/postgres?host={self._folder}"

    def start(self) -> PostgresServer:
        data = self._folder / "data"
        initdb = [
            str(self._bin / "initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-N",
            "--no-instructions",
        ]
        subprocess.run(initdb, user=self._user, check=True, capture_output=True, cwd=self._folder)
        options = ["fsync=off", "listen_addresses=", f"unix_socket_directories={self._folder}", "max_connections=40"]
        self._process = subprocess.Popen(
            [self._bin / "postgres", "-D", data, *(part for option in options for part in ("-c", option))],
            user=self._user,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                psycopg.connect(self.dsn).close()
                return self
            except psycopg.OperationalError:
                assert self._process.poll() is None, "postgres ended while starting"
                assert time.monotonic() < deadline, f"postgres did not answer within {STARTS_WITHIN} s"
                time.sleep(0.02)

    def empty(self) -> None:
        """Drop everything that tests made, and end what a thread of one before is still at: it would hold this up."""
        at_work = "datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {at_work}")
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing of it runs inside the block: connections stand, and nobody answers."""
        assert self._process is not None
        stopped = [self._process.pid]
        try:
            freeze(self._process.pid)
            for child in Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split():
                freeze(int(child))
                stopped.append(int(child))
            yield
        finally:
            for pid in stopped:
                thaw(pid)

    def stop(self) -> None:
        """End it at once, and remove its folder."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
            self._process = None
        shutil.rmtree(self._folder)
