"""Ways to a Redis and into it: TLS, socket files, passwords, limited users; each fault said clearly, none for good."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from brain.errors import Unavailable
from brain.store import DocumentChange, Mark, open_store
from brain.stream.backends import Backend, open_backend
from brain.stream.dead_letters import DeadLetter
from support.certificates import make_certificates
from support.ports import free_port
from support.redis_server import RedisServer, StartRedis

DOCS = Path(__file__).parents[2] / "docs" / "redis.md"


def works(backend: Backend, mark: str = "1") -> bool:
    """Whether an event can be stored and read back."""
    positions = backend.append(f"p{mark}", "", mark, [b"event"])
    return backend.read_back("", 1)[0].position == positions[0]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, Path, str]]:
    """A server that speaks TLS, wants client certificates, and is also there through a socket file."""
    folder = tmp_path_factory.mktemp("tls")
    make_certificates(folder)
    port = free_port()
    options = ["--tls-port", str(port), "--tls-ca-cert-file", str(folder / "ca.pem"), "--tls-auth-clients", "yes"]
    options += ["--tls-cert-file", str(folder / "server.pem"), "--tls-key-file", str(folder / "server.key")]
    server = RedisServer(folder, *options, "--unixsocket", str(folder / "redis.sock")).start()
    yield server, folder, f"rediss://127.0.0.1:{port}/0"
    server.kill()


def test_tls_with_an_authority_and_a_client_certificate(tls: tuple[RedisServer, Path, str]) -> None:
    server, folder, url = tls
    server.flush()
    whole = f"{url}?ssl_ca_certs={folder}/ca.pem&ssl_certfile={folder}/client.pem&ssl_keyfile={folder}/client.key"
    backend, store = open_backend(whole), open_store(whole)
    assert works(backend)
    assert store.put("c", "k", b"1") == 1
    backend.close()
    store.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "a certificate that is not trusted.*name its CA by \\?ssl_ca_certs=FILE"),
        ("?ssl_ca_certs={folder}/ca.pem", "wants a client certificate that it trusts; name it by \\?ssl_certfile"),
    ],
)
def test_tls_faults_are_named(tls: tuple[RedisServer, Path, str], options: str, said: str) -> None:
    _, folder, url = tls
    backend = open_backend(url + options.format(folder=folder))
    with pytest.raises(Unavailable, match=said):
        backend.tail()
    backend.close()


def test_tls_to_a_server_without_it(redis_url: str) -> None:
    backend = open_backend(redis_url.replace("redis://", "rediss://") + "?socket_timeout=0.5")
    with pytest.raises(Unavailable, match=r"over TLS does not answer in time|does not speak TLS"):
        backend.tail()
    backend.close()


def test_a_socket_file(tls: tuple[RedisServer, Path, str]) -> None:
    server, folder, _ = tls
    server.flush()
    backend = open_backend(f"unix://{folder}/redis.sock?db=1")
    assert works(backend)
    backend.close()
    gone = open_backend(f"unix://{folder}/gone.sock")
    with pytest.raises(Unavailable, match=r"Redis at .*gone\.sock cannot be reached"):
        gone.tail()
    gone.close()


def test_two_streams_on_one_server_know_nothing_of_each_other(redis_url: str) -> None:
    one, two = open_backend(redis_url), open_backend(f"{redis_url}?stream=two")
    one.append("p", "", "1", [b"for one"])
    assert two.read("", 10) == []
    assert two.mark("p") == ""
    two.create_group("g", "*", "")
    assert one.groups() == []
    one.close()
    two.close()


def test_wrong_passwords_are_said_and_put_right_while_running(
    start_redis: StartRedis, capfd: pytest.CaptureFixture[str]
) -> None:
    server = start_redis("--requirepass", "first-secret", password="first-secret")
    address = f"127.0.0.1:{server.port}/0"
    for credentials in ("", ":wrong-secret@", "ann:wrong-secret@"):
        backend = open_backend(f"redis://{credentials}{address}")
        with pytest.raises(
            Unavailable, match=r"refuses the user or password.*correct user:password@ in the URL"
        ) as caught:
            backend.append("p", "", "1", [b"event"])
        assert "secret" not in f"{caught.value} {caught.value.__cause__!r}"
        backend.close()
    backend = open_backend(f"redis://:second-secret@{address}")
    with pytest.raises(Unavailable, match="refuses"):
        backend.append("p", "", "1", [b"event"])
    with server.client() as client:
        client.config_set("requirepass", "second-secret")
    assert works(backend)
    backend.close()
    assert "secret" not in "".join(capfd.readouterr())


def test_a_database_that_does_not_exist(redis_url: str) -> None:
    backend = open_backend(redis_url.replace("/0", "/99"))
    with pytest.raises(Unavailable, match="has no such database; correct the number"):
        backend.tail()
    backend.close()


def test_a_sentinel_or_cluster_url_for_a_plain_server(redis_url: str) -> None:
    backend = open_backend(redis_url.replace("redis://", "redis+cluster://"))
    with pytest.raises(Unavailable, match="is no Cluster; write redis://"):
        backend.tail()
    backend.close()


def acl_line() -> str:
    """The user line as docs/redis.md prints it."""
    found = re.search(r"^ACL SETUSER (brain .*)$", DOCS.read_text(), re.MULTILINE)
    assert found, "docs/redis.md holds no line `ACL SETUSER brain ...`"
    return found[1]


def _field(entry: list[bytes], name: bytes) -> bytes:
    return entry[entry.index(name) + 1]


def use_a_group_with_a_pattern(backend: Backend, positions: Sequence[str]) -> None:
    backend.create_group("picky", "some.*", "")
    backend.join("picky", "a")
    assert len(backend.fetch("picky", "a", 10, lambda data: data != b"a")) == 2
    backend.count_attempt("picky", positions[1])
    letter = DeadLetter(group="picky", position=positions[2], data=b"c", error="boom", attempts=1, buried_at=1.0)
    backend.dead_letter(letter, "a")
    assert backend.rename_group("picky", "brain.picky")
    assert [letter.group for letter in backend.dead_letters("brain.picky")] == ["brain.picky"]
    backend.drop_group("brain.picky")


def use_everything(url: str) -> None:
    """Every command that the backend and the store ever send."""
    backend = open_backend(url)
    positions = backend.append("p", "", "1", [b"a", b"b", b"c"])
    assert backend.mark("p") == "1"
    assert backend.wait("", 1)
    backend.read("", 1), backend.read_back("", 1), backend.tail(), backend.size(), backend.nth_oldest(2)
    backend.create_group("g", "*", "")
    backend.join("g", "a")
    backend.join("g", "b")
    backend.heartbeat("g", "a")
    backend.fetch("g", "a", 10)
    backend.expel("g", "a")
    assert len(backend.take_over("g", "b")) == 3
    backend.count_attempt("g", positions[0])
    backend.ack("g", "b", positions[:1])
    for position in positions[1:]:
        letter = DeadLetter(group="g", position=position, data=b"b", error="boom", attempts=1, buried_at=1.0)
        backend.dead_letter(letter, "b")
    assert len(backend.dead_letters()) == 2
    assert backend.redrive("g", positions[1:2]) == 1
    assert backend.discard("g") == 1
    assert backend.groups()[0].consumers == 1
    use_a_group_with_a_pattern(backend, positions)
    backend.advance("g", backend.tail())
    assert backend.trim(positions[0]) == 1
    backend.drop_group("g")
    backend.forget("p")
    backend.warnings()  # type: ignore[attr-defined]  (Redis alone has it)
    backend.close()
    store = open_store(url)
    store.put("c", "k", b"1")
    store.get("c", "k")
    store.scan("c")
    store.scan("c", newest_first=True)
    store.revision("c")
    store.delete("c", "k")
    mark = store.mark("c")
    store.write([DocumentChange("c", str(number), b"") for number in range(501)], {"c": [Mark(5, "other")]})
    store.write([DocumentChange("c", f"n{number}", b"", 0) for number in range(501)])
    assert store.read("c", mark).whole
    assert not store.read("c", Mark(5, "stranger")).continues
    mark = store.mark("c")
    store.put("c", "k", b"2")
    assert not store.read("c", mark).whole
    store.close()


def test_the_documented_user_may_do_what_is_needed_and_no_more(start_redis: StartRedis) -> None:
    server = start_redis()
    line = acl_line().replace("PASSWORD", "word")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", *line.split())
        client.config_resetstat()
        use_everything(f"redis://brain:word@127.0.0.1:{server.port}/1")
        used = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
        denied = {_field(entry, b"object") for entry in client.execute_command("ACL", "LOG")}
    assert denied <= {b"client|setinfo"}  # redis-py's word about itself, which Redis 7.0 does not know yet
    allowed = {word[1:] for word in line.split() if word.startswith("+")}
    assert allowed <= used, "allowed, but never used"
    assert {word for word in line.split() if word[0] in "~&%@"} == {"~{brain}:*"}
    other = open_backend(f"redis://brain:word@127.0.0.1:{server.port}/0?stream=other")
    with pytest.raises(Unavailable, match=r"does not allow this user.*docs/redis\.md has the ACL line"):
        other.append("p", "", "1", [b"event"])
    other.close()


def test_a_missing_right_is_named_and_takes_effect_when_given(start_redis: StartRedis) -> None:
    server = start_redis()
    backend = open_backend(f"redis://brain:word@127.0.0.1:{server.port}/0")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", *acl_line().replace("PASSWORD", "word").split(), "-xadd", "-info")
        with pytest.raises(Unavailable, match=r"does not allow this user a command.*docs/redis\.md"):
            backend.append("p", "", "1", [b"event"])
        assert backend.warnings() == ["its settings cannot be checked; allow the user +info (docs/redis.md)"]  # type: ignore[attr-defined]
        client.execute_command("ACL", "SETUSER", "brain", "+xadd")
    assert works(backend)
    backend.close()
