"""With the key of each role the server keeps to its document: no 5xx, and no answer that is not in it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from brain.access.models import Role
from brain.access.repository import Keys
from brain.store import open_store
from support.server import ServeProcess
from support.sizes import sizes

ADMIN = "an-administrators-key-of-the-settings"
LIVE = "/api/events/live"


class Served(NamedTuple):
    url: str
    keys: dict[Role, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("roles")
    keys = Keys(open_store(f"sqlite:///{folder / 'brain.db'}"), None)
    made = {role: keys.new(role, role, agents=["a1"] if role is Role.EVALUATOR else []).secret for role in Role}
    environment = {"BRAIN_API_KEY": ADMIN, "BRAIN_CONSUMERS": ","}
    with ServeProcess(folder, environment=environment) as server:
        yield Served(server.url, made)


@pytest.mark.parametrize(("every", "examples"), sizes((60, 1), (1, 8)))
@pytest.mark.parametrize("role", list(Role))
def test_every_answer_is_in_the_document(served: Served, role: Role, every: int, examples: int) -> None:
    headers = {"Authorization": f"Bearer {served.keys[role]}"}
    admin = {"Authorization": f"Bearer {ADMIN}"}
    document = httpx.get(f"{served.url}/openapi.json", headers=admin, timeout=60, trust_env=False).json()
    document.pop("security")  # else it makes keys of its own
    schema = schemathesis.openapi.from_dict(document).exclude(path=LIVE)
    schema.config.update(base_url=served.url)
    seen: set[int] = set()
    with requests.Session() as session:
        session.trust_env = False
        for number, found in enumerate(islice(schema.get_all_operations(), list(Role).index(role), None, every)):
            operation = found.ok()
            mode = list(GenerationMode)[number % 2]
            excluded = [positive_data_acceptance, ignored_auth, negative_data_rejection]

            @settings(
                max_examples=examples,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=[*HealthCheck],
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def throw(case: Case) -> None:
                answer = case.call(session=session, headers=headers, timeout=60)
                seen.add(answer.status_code)
                case.validate_response(answer, excluded_checks=excluded)  # noqa: B023

            try:
                throw()
            except Unsatisfiable:
                assert mode.is_negative, operation.label
    assert not {code for code in seen if code >= 500}
    if every == 1:
        assert 403 in seen
