"""Chains of requests along the document's links, by a key of each role: no 5xx, and no answer that is not in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from schemathesis import Case
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.generation.stateful.state_machine import APIStateMachine, StepInput, StepOutput
from schemathesis.specs.openapi.checks import (
    ensure_resource_availability,
    ignored_auth,
    missing_required_header,
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)

from brain.access.models import Role
from brain.server.idempotency import REPLAYED
from support.server import UNLIMITED, ServeProcess

ADMIN = "an-administrators-key-of-the-settings"
LIVE = "/api/events/live"
SETTINGS = f"""{UNLIMITED}
[hardware.robots.rover]
driver = "mock"

[connectors.inbound.tap]
kind = "singer"
"""
STEPS = 6
"""Requests of a chain at most."""
LONGEST_WAIT = 0.01
"""Seconds that a request for tasks waits at most."""
WITHOUT = {
    "/api/audit/tlog/tile/{level}/{tile}",
    "/api/audit/tlog/tile/entries/{tile}",
    "/api/incidents/webhooks/{system}",
    "/api/telemetry/ws/{source}",
}
"""No answer has what these need: numbers of tiles are reckoned, and the others are named in settings or by clients."""
OF_ANOTHER_KIND = [
    positive_data_acceptance,  # what fits the schema may still not fit the present state
    negative_data_rejection,  # every value is some text in a query
    ignored_auth,  # sends keys of its own: tests/integration/test_access.py
    missing_required_header,
    unsupported_method,
]


@dataclass
class Served:
    url: str
    folder: Path
    document: dict[str, Any]
    keys: dict[Role, str] = field(default_factory=dict)

    def new_key(self, role: Role) -> None:
        """A key of the role; a chain may have revoked the one before."""
        with httpx.Client(base_url=self.url, headers=bearer(ADMIN), trust_env=False, timeout=60) as client:
            body = {"name": f"{role}-{len(self.keys)}-{next(_numbers)}", "role": str(role)}
            answer = client.post("/api/access/keys", json=body | ({"agents": ["a1"]} if role is Role.EVALUATOR else {}))
            assert answer.status_code == 201, answer.text
            self.keys[role] = answer.json()["key"]


_numbers = count()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def cut_wait(body: Any) -> None:
    """Have a request not wait for what nobody will do meanwhile: some of them took most of the time of all."""
    wait = body.get("wait_seconds") if isinstance(body, dict) else None
    if isinstance(wait, int | float) and wait > LONGEST_WAIT:
        body["wait_seconds"] = LONGEST_WAIT


def was_replayed(answer: Response) -> bool:
    """Whether an answer is given again; Schemathesis has the names of headers in small letters."""
    return REPLAYED.lower() in answer.headers


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("stateful")
    (folder / "brain.toml").write_text(SETTINGS)
    with ServeProcess(folder, environment={"BRAIN_API_KEY": ADMIN}) as server:
        document = httpx.get(f"{server.url}/openapi.json", headers=bearer(ADMIN), timeout=60, trust_env=False).json()
        yield Served(server.url, folder, document)
        assert "Traceback" not in server.log()


def test_every_route_of_a_thing_is_linked(served: Served) -> None:
    """So that a client, and the test below, find what they can do with what an answer names."""
    operations = {
        operation["operationId"]: path for path, of in served.document["paths"].items() for operation in of.values()
    }
    linked = {
        link["operationId"]
        for of in served.document["paths"].values()
        for operation in of.values()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    }
    assert linked <= operations.keys()
    missing = {path for operation, path in operations.items() if "{" in path and operation not in linked}
    assert missing == WITHOUT, "say in src/brain/server/document_links.py which answer leads there"


def test_what_a_replayed_answer_made_may_be_gone(served: Served) -> None:
    """So that a 404 for it is none of the faults below: the same key and body come up in several chains."""
    schema = schemathesis.openapi.from_dict(served.document)
    schema.config.update(base_url=served.url)
    body = {"matchers": ["agent=a1"], "ends_at": 4102444800.0, "by": "ann", "reason": "the database is being moved"}
    operation = schema["/api/silences"]["POST"]
    answers = []
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(2):
            case = operation.Case(body=body, headers={"Idempotency-Key": "0"}, media_type="application/json")
            made = case.call(session=session, headers=bearer(ADMIN))
            path = {"silence_id": made.json()["id"]}
            case = schema["/api/silences/{silence_id}"]["DELETE"].Case(path_parameters=path)
            gone = case.call(session=session, headers=bearer(ADMIN))
            answers.append((made.status_code, was_replayed(made), gone.status_code))
    assert answers == [(201, False, 204), (201, True, 404)]


@pytest.mark.parametrize(
    ("role", "cases"), [(Role.OPERATOR, 12), *(pytest.param(role, 2_000, marks=pytest.mark.long) for role in Role)]
)
def test_chains_of_requests(served: Served, role: Role, cases: int) -> None:
    """As many requests as `cases`; all faults are told at once, each with the request that showed it.

    Every second chain begins with a request of an administrator: a role that may make nothing meets what there is.
    """
    document = {name: value for name, value in served.document.items() if name != "security"}
    schema = schemathesis.openapi.from_dict(document).exclude(path=LIVE)
    schema.config.update(base_url=served.url)
    served.new_key(role)
    faults: dict[str, str] = {}
    answered: Counter[int] = Counter()
    begun = count()
    session = requests.Session()
    session.trust_env = False

    class Chains(schema.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            self.by_admin = self.replayed = False

        def step(self, input: StepInput) -> StepOutput:
            self.by_admin = input.transition is None and next(begun) % 2 == 0
            return super().step(input)

        def call(self, case: Case, **_: Any) -> Response:
            cut_wait(case.body)
            answer = case.call(
                session=session, headers=bearer(ADMIN if self.by_admin else served.keys[role]), timeout=60
            )
            if answer.status_code == 401:
                served.new_key(role)
            self.replayed |= was_replayed(answer)
            if not self.by_admin:
                answered[answer.status_code] += 1
            return answer

        def validate_response(self, response: Response, case: Case, *_: Any, **__: Any) -> None:
            # What an answer that is given again says was made may be gone since.
            excluded = [*OF_ANOTHER_KIND, *([ensure_resource_availability] if self.replayed else [])]
            try:
                case.validate_response(response, excluded_checks=excluded, recorder=self.recorder)
            except FailureGroup as group:
                for fault in group.exceptions:
                    title = f"{case.operation.label} {response.status_code} {fault.title}"
                    if title not in faults:
                        faults[title] = f"{fault.message}\n{case.as_curl_command()}\n{response.text[:500]}"
                        print(f"{role}, request {answered.total()}: {title}: {faults[title]}", flush=True)

    machine: type[APIStateMachine] = Chains
    chosen = settings(
        max_examples=min(100, -(-cases // STEPS)),
        stateful_step_count=STEPS,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=[*HealthCheck],
    )
    with session:
        for number in count():
            print(f"{role}: {answered.total()} requests", flush=True)
            # What the server answers is not the same again, so that Hypothesis may lose the thread: it begins anew.
            with suppress(Flaky):
                seed(number)(machine).run(settings=chosen)
            if answered.total() >= cases:
                break
    print(role, dict(answered))
    assert not faults, "\n\n".join(f"{title}: {fault}" for title, fault in faults.items())
    assert not {code for code in answered if code >= 500}
