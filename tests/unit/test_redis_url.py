"""Redis URLs: what each form means, what is refused with which remedy, and that no message holds a secret."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from brain.errors import InvalidInput
from brain.redis_client import errors
from brain.redis_client.url import OPTIONS, masked, parse


def test_one_server() -> None:
    url = parse("redis://ann:p%40ss%2Fword@db.example:7000/3?socket_timeout=0.5&client_name=brain-1")
    assert (url.kind, url.tls, url.hosts, url.db, url.stream) == ("server", False, (("db.example", 7000),), 3, "brain")
    assert (url.username, url.password) == ("ann", "p@ss/word")
    assert url.options == {"socket_timeout": 0.5, "client_name": "brain-1"}
    assert url.where == "Redis at db.example:7000"


def test_what_is_left_out_has_its_usual_value() -> None:
    url = parse("redis://localhost")
    assert (url.hosts, url.db, url.username, url.password, url.options) == ((("localhost", 6379),), 0, None, None, {})
    assert parse("redis://:word@[::1]").hosts == (("::1", 6379),)
    assert parse("redis://:word@[::1]").password == "word"
    assert parse("redis://[::1]:7000").where == "Redis at [::1]:7000"


def test_tls_options(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    url = parse(f"rediss://host?ssl_ca_certs={ca}&ssl_check_hostname=false&ssl_cert_reqs=optional")
    assert url.tls
    assert url.options == {"ssl_ca_certs": str(ca), "ssl_check_hostname": False, "ssl_cert_reqs": "optional"}


def test_a_socket_file() -> None:
    url = parse("unix://ann:word@/run/redis.sock?db=2&stream=fleet-a")
    assert (url.kind, url.path, url.db, url.stream, url.username) == ("unix", "/run/redis.sock", 2, "fleet-a", "ann")
    assert url.where == "Redis at /run/redis.sock"


def test_sentinel_and_cluster() -> None:
    url = parse("rediss+sentinel://u:p@s1,s2:26380/main/1?sentinel_password=other")
    assert (url.kind, url.tls, url.hosts) == ("sentinel", True, (("s1", 26379), ("s2", 26380)))
    assert (url.service, url.db, url.password, url.options["sentinel_password"]) == ("main", 1, "p", "other")
    assert url.where == "Redis 'main' of the Sentinels at s1:26379,s2:26380 over TLS"
    url = parse("redis+cluster://u:p@c1,c2:7001?stream=fleet-a")
    assert (url.kind, url.tls, url.hosts, url.stream) == ("cluster", False, (("c1", 6379), ("c2", 7001)), "fleet-a")


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("http://u:secret@host", "start it with one of redis://"),
        ("redis:host", "start it with one of redis://"),
        ("redis://", "write redis://host:6379/0"),
        ("redis://u:secret@host:port", "write redis://host:6379/0"),
        ("redis://u:secret/x@host", "percent-encoded"),
        ("redis://u:12?secret@host", "percent-encoded"),
        ("redis://u:12#secret@host", "percent-encoded"),
        ("redis://u:secret@host/main", "the database must be the number"),
        ("redis://u:secret@host/1/2", "the path cannot be read"),
        ("redis://u:secret@host,other", "write redis://host:6379/0"),
        ("redis+sentinel://u:secret@host:26379", "write redis\\+sentinel://host:26379,host:26379/service/0"),
        ("redis+cluster://u:secret@host/1", "a Cluster has database 0 only"),
        ("unix://u:secret@run/redis.sock", "write unix:///run/redis/redis.sock"),
        ("redis://host?password=secret", "password: is not known here"),
        ("redis://host?decode_responses=secret", "known are stream, db, socket_timeout"),
        ("redis://host?socket_timeout=soon", "socket_timeout: 'soon' must be a number of seconds"),
        ("redis://host?socket_timeout=0.1", "from 0.2 to 9999"),
        ("redis://host?stream=a:b", "stream: 'a:b' must be 1 to 100 letters"),
        ("redis://host?ssl_ca_certs=/etc", "write rediss://"),
        ("rediss://host?ssl_ca_certs=/nowhere/ca.pem", "ssl_ca_certs: '/nowhere/ca.pem' does not exist"),
        ("rediss://host?ssl_cert_reqs=maybe", "must be required, optional or none"),
        ("rediss://host?ssl_check_hostname=maybe", "must be true or false"),
        ("redis://host?sentinel_password=secret", "for redis\\+sentinel:// only"),
    ],
)
def test_a_bad_url_is_refused_with_what_to_write(url: str, remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy) as caught:
        parse(url)
    error: BaseException | None = caught.value
    while error is not None:  # whoever logs the chain of causes shows all of them
        assert "secret" not in str(error)
        error = error.__cause__


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://ann:secret@host/0", "redis://***@host/0"),
        ("redis://:secret@host", "redis://***@host"),
        ("redis://secret@host", "redis://***@host"),
        ("redis://ann:se@cr/et@host", "redis://***@host"),
        ("rediss://host?ssl_password=secret&db=1", "rediss://host?ssl_password=***&db=1"),
        (
            "redis+sentinel://a:secret@s1,s2/m?sentinel_password=secret",
            "redis+sentinel://***@s1,s2/m?sentinel_password=***",
        ),
        ("sqlite:///a@b.db", "sqlite:///a@b.db"),
        ("not a url", "not a url"),
    ],
)
def test_masked(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_no_secret_in_the_repr() -> None:
    assert "secret" not in repr(parse("redis+sentinel://u:secret@s/m?sentinel_password=secret"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("redis://h:7000/1", "redis://u:p@h:7000/1?socket_timeout=9", True),
        ("redis://h:7000/1", "rediss://h:7000/1?stream=brain", True),
        ("redis+sentinel://s1,s2/main", "redis+sentinel://s2,s1/main/0?sentinel_password=x", True),
        ("redis://h:7000/1", "redis://h:7000/2", False),
        ("redis://h:7000/1", "redis://h:7000/1?stream=other", False),
        ("redis+sentinel://s1,s2/main", "redis+sentinel://s1,s2/spare", False),
        ("unix:///run/a.sock", "unix:///run/b.sock", False),
    ],
)
def test_what_makes_two_urls_the_same_stream(one: str, other: str, same: bool) -> None:
    assert (parse(one).identity == parse(other).identity) is same


def test_every_option_and_every_message_of_the_manual_exists() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "redis.md").read_text()
    assert [name for name in OPTIONS if f"`{name}`" not in manual and name != "db"] == []
    listed = manual.partition("| message |")[2].partition("\n\n")[0].splitlines()[2:]
    said = inspect.getsource(errors)
    parts = [part for line in listed for part in line.split("|")[1].strip().split(", ") if line.startswith("|")]
    assert len(parts) > 12
    assert [part for part in parts if part not in said] == []
