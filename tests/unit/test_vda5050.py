"""Messages of VDA 5050 3.0.0: made by us they are valid, by the official schemas too; and what those miss is found.

The schemas (https://github.com/VDA5050/VDA5050, json_schemas at 3.0.0) are not part of this repository: the tests that
need them read them from the folder that VDA5050_SCHEMAS names.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from math import pi
from typing import Any

import pytest

from brain.errors import InvalidInput
from brain.missions.vda5050.checks import check_state, check_update
from brain.missions.vda5050.messages import Headers
from brain.missions.vda5050.orders import (
    OrderOptions,
    Pose,
    as_poses,
    extend_order,
    instant_actions,
    make_order,
    stops_of_mission,
    stops_of_path,
    within_pi,
)
from brain.missions.vda5050.progress import progress_of
from brain.missions.vda5050.schemas import Schemas, faults_of
from support.clock import Clock

FOLDER = os.environ.get("VDA5050_SCHEMAS", "")
official = pytest.mark.skipif(not FOLDER, reason="VDA5050_SCHEMAS names no folder with the official schemas")

PATH = [Pose(0, 0, 0), Pose(1, 0.05, 0), Pose(2, 0, 0), Pose(2, 2, pi / 2), Pose(4, 2, 0)]
OPTIONS = OrderOptions(map_id="hall", order_id="o1", speed=0.5, released=2)
Message = dict[str, Any]


def headers() -> Headers:
    return Headers("brain", "r1", Clock())


def an_order() -> Message:
    return make_order(headers(), stops_of_path(PATH, 0.1), OPTIONS)


def a_state(order: Message, reached: int = 0, **more: Any) -> Message:
    """What a robot says that has reached this node of the order, by its place."""
    nodes, edges = order["nodes"][reached + 1 :], order["edges"][reached:]
    here = order["nodes"][reached]
    known = ("nodeId", "edgeId", "sequenceId", "released")
    actions = [action for one in (*order["nodes"], *order["edges"]) for action in one["actions"]]
    return {
        **headers().next("state"),
        "orderId": order["orderId"],
        "orderUpdateId": order["orderUpdateId"],
        "lastNodeId": here["nodeId"],
        "lastNodeSequenceId": here["sequenceId"],
        "nodeStates": [{key: one[key] for key in known if key in one} for one in nodes],
        "edgeStates": [{key: one[key] for key in known if key in one} for one in edges],
        "driving": bool(nodes),
        "actionStates": [{"actionId": one["actionId"], "actionStatus": "FINISHED"} for one in actions],
        "instantActionStates": [],
        "powerSupply": {"stateOfCharge": 80, "charging": False},
        "operatingMode": "AUTOMATIC",
        "errors": [],
        "safetyState": {"activeEmergencyStop": "NONE", "fieldViolation": False},
        **more,
    }


def a_mission() -> list[Message]:
    tasks = [("go", {"x": 1, "y": 2}), ("lift", {"height": 0.4}), ("back", {"x": 0, "y": 0, "theta": 7.0})]
    return [{"id": f"mis_1.{name}", "name": name, "type": name, "input": given} for name, given in tasks]


def test_an_order_from_a_path_has_few_nodes_and_stays_near_it() -> None:
    order = an_order()
    assert [(node["nodeId"], node["sequenceId"], node["released"]) for node in order["nodes"]] == [
        ("n0", 0, True),
        ("n1", 2, True),
        ("n2", 4, False),
        ("n3", 6, False),
    ]
    assert [(edge["sequenceId"], edge["released"], edge["length"]) for edge in order["edges"]] == [
        (1, True, 2.0),
        (3, False, 2.0),
        (5, False, 2.0),
    ]
    assert order["timestamp"] == "2023-12-19T15:33:20.000Z"
    kept = [(node["nodePosition"]["x"], node["nodePosition"]["y"]) for node in order["nodes"]]
    assert kept == [(0, 0), (2, 0), (2, 2), (4, 2)]
    assert len(stops_of_path(PATH, 0.01)) == 5
    assert [stop.name for stop in stops_of_path(PATH[:1], 0.1)] == ["n0"]
    assert faults_of("order", order) == []


def test_a_mission_as_an_order_has_a_node_for_each_place_and_actions_for_the_rest() -> None:
    stops = stops_of_mission(a_mission())
    order = make_order(headers(), stops, OrderOptions(map_id="hall", order_id="mis_1"))
    assert [node["nodeId"] for node in order["nodes"]] == ["go", "back"]
    (lift,) = order["nodes"][0]["actions"]
    assert lift == {
        "actionId": "mis_1.lift",
        "actionType": "lift",
        "blockingType": "HARD",
        "actionParameters": [{"key": "height", "value": 0.4}],
    }
    assert order["nodes"][1]["nodePosition"]["theta"] == pytest.approx(7 - 2 * pi)
    assert faults_of("order", order) == []
    with pytest.raises(InvalidInput, match="task lift: the first task of an order needs x and y"):
        stops_of_mission(a_mission()[1:])
    with pytest.raises(InvalidInput, match="no place to go to"):
        make_order(headers(), [], OPTIONS)


def test_paths_are_read_and_directions_brought_into_their_bounds() -> None:
    assert as_poses([[1, 2], [1, 2, 0.5], {"x": 1, "y": 2}]) == [Pose(1, 2), Pose(1, 2, 0.5), Pose(1, 2)]
    for wrong, words in ((7, "is no list"), ([["a", 2]], "must be numbers"), ([1], r"path\[0\]: is no place")):
        with pytest.raises(InvalidInput, match=words):
            as_poses(wrong)
    assert all(abs(within_pi(turn)) <= 3.14159265359 for turn in (-pi, pi, 3 * pi, -7.0, 100.0))


def test_each_topic_counts_its_messages_and_begins_again_after_the_last_number() -> None:
    made = headers()
    made._sent["order"] = 2**32 - 1
    assert [made.next(topic)["headerId"] for topic in ("order", "order", "state", "state")] == [2**32 - 1, 0, 0, 1]


def broken(change: Callable[[Message], object]) -> Message:
    order = copy.deepcopy(an_order())
    change(order)
    return order


WRONG = {
    "no nodes": (lambda o: o.update(nodes=[], edges=[]), "nodes: is empty"),
    "an edge too few": (lambda o: o["edges"].pop(), "edges: 2 are not one fewer than the 4 nodes"),
    "a ghost": (lambda o: o["edges"][0].update(endNodeId="nowhere"), "edges[0].endNodeId: there is no node 'nowhere'"),
    "a far end": (lambda o: o["edges"][0].update(startNodeId="n3"), "edges[0].startNodeId: 'n3' is not its neighbour"),
    "odd": (lambda o: o["nodes"][0].update(sequenceId=1), "nodes[0].sequenceId: 1 is odd"),
    "a gap": (lambda o: o["nodes"][2].update(sequenceId=8), "nodes[2].sequenceId: 8 is not 4"),
    "swapped": (lambda o: o["edges"][0].update(sequenceId=2), "edges[0].sequenceId: 2 is not 1"),
    "unreleased": (lambda o: o["nodes"][0].update(released=False), "nodes[0].released: is false"),
    "behind": (lambda o: o["nodes"][3].update(released=True), "nodes[3].released: is true behind"),
    "ahead": (lambda o: o["edges"][1].update(released=True), "edges[1].released: is not that of the node"),
    "header below 0": (lambda o: o.update(headerId=-1), "headerId: -1 is not between 0"),
    "header too large": (lambda o: o.update(headerId=2**32), "headerId: 4294967296 is not between"),
    "version": (lambda o: o.update(version="2.1.0"), "version: '2.1.0' is not 3.0.0"),
    "time": (lambda o: o.update(timestamp="2026-11-29T12:00:00+01:00"), "is no time in UTC"),
    "nobody": (lambda o: o.update(serialNumber=""), "serialNumber: is empty"),
    "no id": (lambda o: o.update(orderId=""), "orderId: is empty"),
    "twice": (
        lambda o: [o["nodes"][n]["actions"].append(stops_of_mission(a_mission())[0].actions[0]) for n in (0, 1)],
        "actions: 'mis_1.lift' is there 2 times",
    ),
    "knots": (
        lambda o: o["edges"][0].update(
            trajectory={"degree": 1, "knotVector": [0, 1], "controlPoints": [{"x": 0, "y": 0}, {"x": 1, "y": 0}]}
        ),
        "edges[0].trajectory.knotVector: 2 knots are not 4",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_the_schemas_take_and_is_wrong_is_found(name: str) -> None:
    change, words = WRONG[name]
    found = faults_of("order", broken(change))
    assert any(fault.startswith(words) or words in fault for fault in found), found


def test_an_update_goes_on_from_the_base() -> None:
    order = an_order()
    update = extend_order(headers(), order, stops_of_path(PATH[3:], 0.1, "m"), OPTIONS)
    assert [node["nodeId"] for node in update["nodes"]] == ["n1", "m0", "m1"]
    assert (update["orderUpdateId"], update["nodes"][0]["sequenceId"]) == (1, 2)
    assert faults_of("order", update) == []
    assert list(check_update(order, update)) == []
    assert next(check_update(update, order)) == "orderUpdateId: 0 is not above that of the order, 1"
    gap = {**update, "nodes": update["nodes"][1:]}
    assert "'m0' with sequenceId 4 is not the last node of the base, 'n1' with 2" in next(check_update(order, gap))
    assert next(check_update(order, {**update, "orderId": "o2"})).startswith("orderId: 'o2' is not that of the order")


def test_a_state_says_how_far_the_robot_is() -> None:
    order = make_order(headers(), stops_of_mission(a_mission()), OrderOptions(map_id="hall", order_id="mis_1"))
    for reached, share, finished in ((0, 0.5, False), (1, 1.0, True)):
        state = a_state(order, reached)
        assert list(check_state(state, order)) == []
        assert progress_of(order, state) == type(progress_of(order, state))(share, finished, (), ())
    failed = a_state(order, 1, actionStates=[{"actionId": "mis_1.lift", "actionStatus": "FAILED"}])
    assert progress_of(order, failed).failed_actions == ("mis_1.lift",)
    fatal = a_state(order, 0, errors=[{"errorType": "noRoute", "errorLevel": "FATAL"}])
    assert progress_of(order, fatal).errors == ("noRoute",)
    assert progress_of(order, a_state(order, 1, orderId="other")).share == 0


def test_a_state_that_does_not_fit_its_order_is_found() -> None:
    order = make_order(headers(), stops_of_mission(a_mission()), OrderOptions(map_id="hall", order_id="mis_1"))
    for more, words in (
        ({"lastNodeId": "back"}, "lastNodeId: 'back' is not the order's node 0, 'go'"),
        ({"lastNodeSequenceId": 1}, "lastNodeSequenceId: 1 is odd"),
        ({"lastNodeSequenceId": 2}, "is not beyond lastNodeSequenceId, 2"),
        ({"orderId": "other"}, "orderId: 'other' is not the order's, 'mis_1'"),
        ({"actionStates": []}, "actionStates: mis_1.lift of the order are missing"),
        ({"nodeStates": [{"nodeId": "x", "sequenceId": 2, "released": True}]}, "'x' with 2 is not in the order"),
    ):
        assert any(words in fault for fault in check_state(a_state(order, 0, **more), order)), words


def test_a_message_of_another_shape_is_a_fault_and_no_crash() -> None:
    for topic, message in (("order", []), ("nothing", {}), ("order", {"nodes": [{"sequenceId": "a"}], "edges": []})):
        assert faults_of(topic, message) != []
    assert faults_of("instantActions", instant_actions(headers(), []))[0].startswith("actions: is empty")


@official
def test_what_we_make_is_valid_by_the_official_schemas_and_what_they_refuse_is_said_with_its_place() -> None:
    schemas = Schemas(FOLDER)
    order = make_order(headers(), stops_of_mission(a_mission()), OrderOptions(map_id="hall", order_id="mis_1"))
    cancel = instant_actions(headers(), [("c1", "cancelOrder", {})])
    made = [("order", an_order()), ("order", order), ("state", a_state(order)), ("instantActions", cancel)]
    made.append(("order", extend_order(headers(), an_order(), stops_of_path(PATH[3:], 0.1, "m"), OPTIONS)))
    made.append(("connection", {**headers().next("connection"), "connectionState": "ONLINE"}))
    for topic, message in made:
        assert faults_of(topic, message, schemas) == [], topic
    without = {key: value for key, value in order.items() if key != "orderId"}
    assert faults_of("order", without, schemas) == ["$: 'orderId' is a required property"]
    assert faults_of("order", {**order, "timestamp": "yesterday"}, schemas)[0].startswith("timestamp: 'yesterday'")
    old = {**order, "nodes": [{**node, "actions": None} for node in order["nodes"]]}
    assert faults_of("order", old, schemas)[0].startswith("nodes[0].actions: None is not of type")


@official
def test_the_official_schemas_take_most_of_what_our_checks_find() -> None:
    """So the checks are needed; this fails when a later edition of the schemas has become stricter."""
    schemas = Schemas(FOLDER)
    taken = [name for name, (change, _) in WRONG.items() if not list(schemas.faults("order", broken(change)))]
    assert sorted(taken) == sorted(WRONG)


def test_a_folder_without_schemas_is_refused_by_name(tmp_path: Any) -> None:
    with pytest.raises(InvalidInput, match=r"has no order\.schema"):
        Schemas(tmp_path)
