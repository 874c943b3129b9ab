"""`make audit` and `make dist`: what is said of the packages that this one needs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

PROJECT = Path(__file__).parents[2]
SCRIPTS = PROJECT / "scripts"
sys.path.insert(0, str(SCRIPTS))
from audit_dependencies import locked, main  # noqa: E402
from make_sbom import exported, sbom  # noqa: E402


@contextmanager
def osv(planted: str) -> Iterator[str]:
    """A server with OSV's interface, which knows one fault: of this package."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            results = [{"vulns": [{"id": "PYSEC-0-1"}]} if one["package"]["name"] == planted else {} for one in asked]
            data = json.dumps({"results": results}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_known_fault_is_found_and_no_data_is_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def audit(url: str, *options: str) -> int:
        monkeypatch.setattr(sys, "argv", ["audit", *options])
        monkeypatch.setenv("OSV_URL", url)
        return main()

    with osv("httpx") as url:
        assert audit(url) == 1
    said = capsys.readouterr().out
    assert "audit: httpx " in said
    assert "PYSEC-0-1" in said
    with osv("nothing-of-ours") as url:
        assert audit(url) == 0
    assert "0 with known faults" in capsys.readouterr().out
    assert (audit("http://127.0.0.1:1"), audit("http://127.0.0.1:1", "--strict")) == (0, 3)
    nowhere = capsys.readouterr()
    assert (nowhere.out, "not audited, there is no data" in nowhere.err) == ("", True)


def test_the_bill_of_materials_has_each_package_with_its_hashes(tmp_path: Path) -> None:
    wheel = tmp_path / "brain_eventstream-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    at = datetime(2026, 11, 30, tzinfo=UTC)
    first, second = (sbom(exported(), [wheel], at) for _ in range(2))
    assert first == second
    document = json.loads(first)
    assert (document["bomFormat"], document["metadata"]["timestamp"]) == ("CycloneDX", "2026-11-30T00:00:00Z")
    (own,) = document["metadata"]["component"]["externalReferences"]
    assert own["url"] == wheel.name
    assert len(own["hashes"][0]["content"]) == 64
    known = set(locked(PROJECT / "uv.lock"))
    found = {(one["name"], one["version"]): one for one in document["components"]}
    assert found.keys() <= known
    assert {"msgspec", "fastapi", "cryptography", "joserfc"} <= {name for name, _ in found}
    for one in found.values():
        assert one["purl"].startswith("pkg:pypi/")
        assert all(reference["hashes"] for reference in one["externalReferences"])
