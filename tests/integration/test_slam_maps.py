"""Maps: what their cells mean, versions known by hash, and no robot loads one that nobody approved."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from brain.errors import InvalidInput
from brain.settings import Settings
from brain.slam.commands import app
from brain.slam.map_forms import MapForm
from brain.slam.maps import difference, made_map, png_of, read_map
from brain.vision.pictures import decoded
from support.server import running_server
from support.waiting import until

OLD, NEW = bytes([254] * 6 + [205] * 3 + [0] * 3), bytes([254] * 5 + [0] * 4 + [254] * 3)
MAPS = "/api/slam/maps"
WHERE = {"resolution": 0.05, "x": -10.0, "y": -2.5, "yaw": 0.5, "by": "ann"}


def pgm(cells: bytes, width: int, most: int = 255) -> bytes:
    return b"P5\n# made\n%d %d\n%d\n" % (width, len(cells) // width, most) + cells


def form(**more: Any) -> MapForm:
    given = {"resolution": 0.05, "origin": (-10.0, -2.5, 0.5), "occupied_thresh": 0.65, "free_thresh": 0.25}
    return MapForm(**(given | {"negate": False, "mode": "trinary"} | more))


# what cells mean


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [0, 0, -1, 100, 100]),
        ({"negate": True}, [100, 100, -1, 0, 0]),
        ({"mode": "scale"}, [0, 0, 62, 100, 100]),
        ({"mode": "scale", "occupied_thresh": 1.0, "free_thresh": 0.0}, [0, 20, 50, 80, 100]),
        ({"mode": "raw"}, [-1, -1, -1, 51, 0]),
    ],
)
def test_cells_mean_what_map_server_takes_them_for(more: dict[str, Any], expected: list[int]) -> None:
    assert made_map(form(**more), pgm(bytes([255, 204, 128, 51, 0]), 5)).cells.tolist() == [expected]


def test_a_map_of_fewer_shades_and_one_in_digits_are_read_alike() -> None:
    digits = made_map(form(), b"P2 5 1 15\n15 12\n 8 3\n0 ").cells
    assert digits.tolist() == made_map(form(), pgm(bytes([15, 12, 8, 3, 0]), 5, most=15)).cells.tolist()


@pytest.mark.parametrize(
    ("more", "image", "words"),
    [
        ({"resolution": float("nan")}, pgm(OLD, 4), "finite"),
        ({"mode": "other"}, pgm(OLD, 4), "trinary, scale, raw"),
        ({"free_thresh": 0.65}, pgm(OLD, 4), "below occupied_thresh"),
        ({}, b"\x89PNG\r\n", "no PGM"),
        ({}, pgm(OLD, 4)[:-2], "cut off"),
        ({}, b"P5 100000 100000 255\n", "100,000,000"),
        ({}, b"P5 4 3 65535\n", "0..65535"),
        ({}, b"P2 2 1 255\n12 x", "damaged"),
        ({}, b"P2 2 1 255\n12 300", "damaged"),
    ],
)
def test_what_is_no_map_is_refused(more: dict[str, Any], image: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        made_map(form(**more), image)


def test_turned_and_moved_maps_have_hashes_of_their_own_and_are_not_compared(tmp_path: Path) -> None:
    maps = [made_map(form(**more), pgm(OLD, 4)) for more in ({}, {"origin": (-10.0, -2.5, 0.6)}, {"mode": "scale"})]
    assert len({one.sha256 for one in maps}) == 3
    with pytest.raises(InvalidInput, match="origin"):
        difference(maps[0], maps[1])
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "hall.pgm").write_bytes(pgm(OLD, 4))
    text = "image: images/hall.pgm\nresolution: 0.05\norigin: [-10, -2.5, 0.5]\nnegate: 0\noccupied_thresh: 0.65\n"
    (tmp_path / "hall.yaml").write_text(text + "free_thresh: 0.25\n")
    assert read_map(tmp_path / "hall.yaml").sha256 == maps[0].sha256
    (tmp_path / "hall.yaml").write_text("[]")
    with pytest.raises(InvalidInput, match=r"hall\.yaml"):
        read_map(tmp_path / "hall.yaml")


def test_the_difference_of_random_maps_is_that_of_a_recount() -> None:
    random = np.random.default_rng(1)
    old, new = (random.choice([0, 205, 254], (60, 80)).astype(np.uint8) for _ in range(2))
    found = difference(*(made_map(form(free_thresh=0.19), pgm(cells.tobytes(), 80)) for cells in (old, new)))
    changed = old != new
    assert found.changed_cells == changed.sum()
    assert found.area_m2 == pytest.approx(changed.sum() * 0.0025)
    assert (found.became_occupied, found.became_free) == ((changed & (new == 0)).sum(), (changed & (new == 254)).sum())


DEPOT = {
    "depot.pgm": "71bbac79cfc2f5db89095182bfa86b29d96b07d4ed3b7726e513ed57afffc851",
    "depot.yaml": "fc724e706bfb453a5c4bf513644f754130be27b618e59d75293ead1b7e129bf6",
    "depot_keepout.pgm": "7423bc58822d91f22e80264eedf76ef941c9f8ca9ab92612545dac8c6385084d",
    "depot_keepout.yaml": "ac96a51b04afe111b9f0dad7e27211cae2fad1f5406966e3a7d0e18443999923",
}
"""Maps of Nav2 (ros-navigation/navigation2, nav2_bringup/maps, Apache-2.0), which no package registry has."""


def depot() -> Path:
    """The folder that NAV2_MAPS names, with the maps of the depot as they were published."""
    if not (given := os.environ.get("NAV2_MAPS")):
        pytest.skip("NAV2_MAPS names no folder with depot.pgm, depot_keepout.pgm and their YAML from Nav2")
    folder = Path(given)
    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in DEPOT}
    assert found == DEPOT, "the maps are not those that the figures are of"
    return folder


def read_by_numpy(file: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which cells of a map with `negate: 0`, 0.65 and 0.25 are occupied, and which are free; by other code."""
    rest, lines = file.read_bytes(), []
    while len(lines) < 3:
        line, rest = rest.split(b"\n", 1)
        if not line.startswith(b"#"):
            lines.append(line)
    magic, size, most = lines
    wide, high = map(int, size.split())
    assert (magic, int(most), len(rest)) == (b"P5", 255, wide * high)
    dark = (255 - np.frombuffer(rest, np.uint8).reshape(high, wide).astype(float)) / 255
    return dark > 0.65, dark < 0.25


def test_the_depot_against_its_keep_out_map_is_that_of_a_recount() -> None:
    folder = depot()
    found = difference(read_map(folder / "depot.yaml"), read_map(folder / "depot_keepout.yaml"))
    (occupied, free), (now_occupied, now_free) = (
        read_by_numpy(folder / f"{name}.pgm") for name in ("depot", "depot_keepout")
    )
    changed = (occupied != now_occupied) | (free != now_free)
    assert found.changed_cells == changed.sum() == 25_266
    assert found.area_m2 == pytest.approx(changed.sum() * 0.05**2)
    assert found.area_m2 == pytest.approx(63.165)
    assert found.became_occupied == (now_occupied & ~occupied).sum()
    assert found.became_free == (now_free & ~free).sum()


def test_the_picture_of_a_map_is_white_black_and_grey() -> None:
    picture = decoded(png_of(made_map(form(free_thresh=0.19), pgm(OLD, 4))))
    assert picture[:, :, 0].tolist() == [[254] * 4, [254, 254, 205, 205], [205, 0, 0, 0]]


# versions


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    url = f"sqlite:///{folder}/brain.db"
    async with running_server(Settings(stream=url, store=url, port=0)) as (_, client):
        yield client


async def test_a_robot_loads_only_what_somebody_approved_and_another_map_is_a_threat(tmp_path: Path) -> None:
    async with served(tmp_path) as client:

        async def publish(cells: bytes, width: int = 4, **more: Any) -> dict[str, Any]:
            answer = await client.post(f"{MAPS}/hall", params=WHERE | more, content=pgm(cells, width), headers=_PGM)
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

        async def load(**more: Any) -> httpx.Response:
            return await client.post(f"{MAPS}/hall/load", json={"robot": "rover", "by": "rover", **more})

        async def approve(version: int, sha256: str) -> int:
            body = {"by": "ben", "sha256": sha256}
            return (await client.post(f"{MAPS}/hall/versions/{version}/approve", json=body)).status_code

        assert (await load()).status_code == 404
        first = await publish(OLD)
        assert (first["version"], first["width"], first["height"], first["approved_by"]) == (1, 4, 3, None)
        assert await publish(OLD) == first
        refused = await load()
        assert (refused.status_code, "nobody approved version 1" in refused.json()["detail"]) == (409, True)
        assert await approve(1, "0" * 64) == 409
        assert await approve(1, first["sha256"]) == 200
        assert (await load()).json()["sha256"] == first["sha256"]
        second = await publish(NEW)
        assert (await load(version=2)).status_code == 409
        assert (await load()).json()["version"] == 1  # the newest that is approved
        await publish(NEW, 6)
        found = (await client.get(f"{MAPS}/hall/difference", params={"old": 1, "new": 2})).json()
        assert (found["changed_cells"], found["became_occupied"], found["became_free"]) == (7, 4, 3)
        assert (await client.get(f"{MAPS}/hall/difference", params={"old": 1, "new": 3})).status_code == 422
        assert (await client.get(f"{MAPS}/hall/versions/1/image")).content == pgm(OLD, 4)
        assert (await client.get(f"{MAPS}/hall/versions/1/picture")).content.startswith(b"\x89PNG")
        assert [one["version"] for one in (await client.get(f"{MAPS}/hall/versions")).json()] == [3, 2, 1]
        assert [one["version"] for one in (await client.get(MAPS)).json()] == [3]

        async def say(sha256: str, at: float) -> None:
            pose = {"x": 0.1, "y": 0.2, "map": "hall", "map_sha256": sha256, "at": at}
            assert (await client.post("/api/slam/robots/rover/pose", json=pose)).status_code == 200

        await say(first["sha256"], 1_800_000_000 - 9e7)
        await say(second["sha256"], 1_800_000_001 - 9e7)

        async def threats() -> bool:
            found = (await client.get("/api/threats", params={"type": "map_tampering"})).json()
            return [one["source"] for one in found] == ["rover"]

        await until(threats)

        async def kinds() -> list[str]:
            events = (await client.get("/api/events", params={"pattern": "slam.map_*", "limit": 50})).json()["events"]
            return sorted(event["event"]["type"].removeprefix("slam.map_") for event in events)

        expected = ["approved", "changed", "changed", "loaded", "loaded", "published", "published", "published"]
        await until(lambda: _same(kinds(), expected))


_PGM = {"Content-Type": "image/x-portable-graymap"}


async def _same(found: Any, expected: list[str]) -> bool:
    return bool(await found == expected)


async def test_rules_decide_who_publishes_approves_and_loads(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        condition = {"field": "action", "operator": "matches", "value": r"slam\."}
        rule = {"id": "no", "name": "no maps", "effect": "DENY", "conditions": [condition]}
        (await client.post("/api/policy/rules", json=rule)).raise_for_status()
        answer = await client.post(f"{MAPS}/hall", params=WHERE, content=pgm(OLD, 4), headers=_PGM)
        assert answer.status_code == 403
        for path, body in (
            ("versions/1/approve", {"by": "ann", "sha256": "0" * 64}),
            ("load", {"robot": "r", "by": "r"}),
        ):
            assert (await client.post(f"{MAPS}/hall/{path}", json=body)).status_code == 403


def test_the_command_line_publishes_approves_and_lists(tmp_path: Path) -> None:
    (tmp_path / "hall.pgm").write_bytes(pgm(OLD, 4))
    text = "image: hall.pgm\nresolution: 0.05\norigin: [0, 0, 0]\noccupied_thresh: 0.65\nfree_thresh: 0.25\n"
    (tmp_path / "hall.yaml").write_text(text)
    where = ["--stream", f"sqlite:///{tmp_path}/brain.db"]

    def say(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["map", *arguments, *where])
        assert done.exit_code == 0, done.output
        return done.output

    assert "hall: version 1" in say("publish", str(tmp_path / "hall.yaml"), "--by", "ann")
    assert "not approved" in say("list")
    assert "approved by ben" in say("approve", "hall", "--by", "ben")
    assert "4 x 3 cells of 0.05 m" in say("list")
    for name in ("hall\n", "a/b", "é", "-hall", "a" * 101):
        refused = CliRunner().invoke(
            app, ["map", "publish", str(tmp_path / "hall.yaml"), "--by", "ann", f"--map={name}", *where]
        )
        assert "--map" in str(refused.exception), name
