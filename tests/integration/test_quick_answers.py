"""Quick answers are those of the routes: a body that is sent so that its route answers gets the same answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.policy import PolicyEngine
from brain.policy.quick import quick_answers
from support.server import ServeThread, without_consumers
from support.waiting import wait_until

ONE, MANY, OLD = "/api/policy/evaluate", "/api/policy/evaluate-many", "/api/policy/evaluate/batch"
QUICK, BY_THE_ROUTE = "application/json", "application/json; by=route"
"""Both say JSON; the second one's parameter is unusual, so that the request is left to the route."""
PLAIN: dict[str, Any] = {
    "agent_id": "ann",
    "agent_role": "ops",
    "action": "read",
    "resource": "db",
    "environment": {"zone": "eu"},
    "params": {"n": 1},
}
RULES = (
    {"name": "may read", "effect": "ALLOW", "conditions": [{"field": "action", "operator": "==", "value": "read"}]},
    {"name": "m\u00fcde", "effect": "WARN", "conditions": [{"field": "params.n", "operator": ">", "value": 5}]},
    {"name": "ask", "effect": "AUDIT", "conditions": [{"field": "mine", "operator": "==", "value": 1}], "priority": 5},
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("quick")
    server = ServeThread(without_consumers(f"sqlite:///{folder}/brain.db")).start()
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        for rule in RULES:
            assert client.post("/api/policy/rules", json=rule).is_success
        yield client
    server.stop()


def both(client: httpx.Client, path: str, body: bytes, **headers: str) -> tuple[httpx.Response, httpx.Response]:
    """The quick answer, where there is one, and the route's."""
    quick = client.post(path, content=body, headers={"content-type": QUICK, **headers})
    route = client.post(path, content=body, headers={"content-type": BY_THE_ROUTE, **headers})
    return quick, route


def assert_same(quick: httpx.Response, route: httpx.Response) -> None:
    assert (quick.status_code, quick.content) == (route.status_code, route.content)
    assert set(quick.headers) == set(route.headers)
    for name in set(quick.headers) - {"date", "x-correlation-id"}:
        assert quick.headers[name] == route.headers[name], name


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from([":", '"', "\\", '":', "read", "\ud800"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
NAMES = st.sampled_from([*PLAIN, "agent", "mine", "", "a b"])
CONTEXTS = st.builds(
    lambda given, left_out: {k: v for k, v in {**PLAIN, **given}.items() if k not in left_out},
    st.dictionaries(NAMES, VALUES, max_size=3),
    st.sets(NAMES, max_size=2),
)


@st.composite
def texts(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """JSON texts as clients write them, and some that are none."""
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (",\n", " : ")]))
    text = json.dumps(draw(values), ensure_ascii=draw(st.booleans()), separators=separators)
    data = text.encode(errors="surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.sampled_from([b'"mine":1,', b" ", b"\\", b'"', b"1", b"\xff", b"["])) + data[at:]
    return data


@given(texts(CONTEXTS))
def test_one_decision(served: httpx.Client, body: bytes) -> None:
    assert_same(*both(served, ONE, body))


@given(texts(st.fixed_dictionaries({"contexts": st.lists(CONTEXTS, max_size=3)}) | VALUES))
def test_many_decisions(served: httpx.Client, body: bytes) -> None:
    assert_same(*both(served, MANY, body))


@pytest.mark.parametrize(
    "changed",
    [
        {"action": "x" * 10_000},
        {"action": "x" * 10_001},
        {"agent_id": "x" * 10_001},
        {"params": {"text": "x" * (1 << 19)}},
        {"environment": {"text": "x" * 70_000}},
        {"params": {"n": 2**64 - 1}},
        {"params": {"n": 2**64}},
        {"params": json.loads('{"a":' * 31 + "1" + "}" * 31)},
        {"params": json.loads('{"a":' * 32 + "1" + "}" * 32)},
        {"params": json.loads('{"a":' * 33 + "1" + "}" * 33)},
        {"agent": {"id": "ann"}},
        {"environment": None},
    ],
    ids=str,
)
def test_at_the_bounds(served: httpx.Client, changed: dict[str, Any]) -> None:
    context = {**PLAIN, **changed}
    assert_same(*both(served, ONE, json.dumps(context).encode()))
    assert_same(*both(served, MANY, json.dumps({"contexts": [PLAIN, context]}).encode()))
    assert_same(*both(served, OLD, json.dumps({"contexts": [context]}).encode()))


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"{ONE}?by=me", {}),
        (ONE, {"idempotency-key": "one"}),
        (ONE, {"origin": "http://elsewhere.example"}),
        (ONE, {"host": "elsewhere.example"}),
        (ONE, {"x-correlation-id": "story"}),
    ],
)
def test_with_what_a_request_may_have(served: httpx.Client, path: str, headers: dict[str, str]) -> None:
    quick, route = both(served, path, json.dumps(PLAIN).encode(), **headers)
    assert_same(quick, route)
    if "x-correlation-id" in headers:
        assert quick.headers["x-correlation-id"] == "story"


def test_many_at_the_bound_of_their_number(served: httpx.Client) -> None:
    for number in (0, 1_000, 1_001):
        assert_same(*both(served, MANY, json.dumps({"contexts": [PLAIN] * number}, separators=(",", ":")).encode()))


def test_the_same_is_recorded(served: httpx.Client) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for number, content_type in enumerate((QUICK, BY_THE_ROUTE)):
        headers = {"content-type": content_type, "x-correlation-id": f"recorded-{number}", "traceparent": trace}
        context = {**PLAIN, "mine": {"deep": [1, None]}, "action": "drop"}
        assert served.post(ONE, content=json.dumps(context), headers=headers).is_success
    one, other = (recorded(served, f"recorded-{number}") for number in range(2))
    assert one == other
    assert one[0][1]["traceparent"] == trace


def recorded(client: httpx.Client, story: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The payloads and metas of its two events, without what differs between two requests."""
    found: list[dict[str, Any]] = []

    def both_are_stored() -> bool:
        found[:] = [
            one["event"] for one in client.get("/api/events", params={"correlation_id": story}).json()["events"]
        ]
        return len(found) == 2

    wait_until(both_are_stored)
    assert [event["type"] for event in found] == ["policy.action_denied", "policy.rule_evaluated"]
    own = {"evaluation_time_us", "correlation_id"}
    return [
        ({k: v for k, v in one["payload"].items() if k not in own}, {**one["meta"], "correlation_id": ""})
        for one in found
    ]


def test_plain_bodies_are_answered_quickly() -> None:
    answers = quick_answers(PolicyEngine())
    one = json.dumps({**PLAIN, "resource": "gr\u00fcn", "mine": [1.5, ":"]}, ensure_ascii=False).encode()
    for body in (json.dumps(PLAIN).encode(), one.replace(b'":"', b'"x"'), b'{"action":"read"}'):
        assert answers["/policy/evaluate"](body) is not None
    assert answers["/policy/evaluate-many"](b'{"contexts":[{"action":"read"}]}') is not None


def test_a_cap_on_usage_holds_for_all_ways_to_ask(served: httpx.Client) -> None:
    capped = [
        {"field": "action", "operator": "==", "value": "search"},
        {"field": "usage.tool.calls.day", "operator": ">", "value": 2},
    ]
    found = {"field": "action", "operator": "==", "value": "search"}
    for rule in ({"name": "cap", "effect": "DENY", "priority": 9, "conditions": capped}, {"name": "searches",
                 "effect": "ALLOW", "conditions": [found]}):  # fmt: skip
        assert served.post("/api/policy/rules", json=rule).is_success
    asked = json.dumps({**PLAIN, "action": "search", "agent_id": "bob"}).encode()
    answers = [one.json()["allowed"] for _ in range(2) for one in both(served, ONE, asked)]
    assert answers == [True, True, True, False]
    several = {"contexts": [{**PLAIN, "action": "search", "agent_id": "eve"}] * 5}
    decided = served.post(MANY, json=several).json()
    assert [one["allowed"] for one in decided] == [True, True, True, False, False]
