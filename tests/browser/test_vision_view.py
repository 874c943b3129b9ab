"""The view of cameras, and their routes on the same server: live, in both looks, at 390 px."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from brain.vision.detectors import cv2, np
from browser.looks import check_looks
from browser.page import open_page
from browser.site import Site

CONSUMERS = ()
LOWER = [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]
HALL = {
    "source": "posted",
    "detector": "none",
    "by": "ann",
    "zones": [{"zone": "cell-1", "polygon": LOWER, "robot": "rover"}],
    "lines": [{"line": "gate", "start": [0.0, 0.4], "end": [1.0, 0.4]}],
}
PERSON = {"label": "person", "confidence": 0.9, "box": [0.4, 0.6, 0.1, 0.3]}


def set_up(site: Site, name: str, **changes: object) -> int:
    """The status that the server answers with."""
    return site.client.put(f"vision/cameras/{name}", json=HALL | changes).status_code


def see(site: Site, *found: object) -> None:
    """Three pictures with this in them: then it is known."""
    for _ in range(3):
        site.client.post("vision/cameras/hall/detections", json={"detections": found}).raise_for_status()


def test_cameras_are_shown_and_followed(tab: Page, site: Site) -> None:
    assert [set_up(site, "hall"), set_up(site, "door", detector="faces", zones=[], lines=[])] == [200, 200]
    assert set_up(site, "hall", source="/etc/passwd", detector="faces") == 422
    assert set_up(site, "hall", zones=[{"zone": "<b>", "polygon": LOWER}]) == 422
    open_page(tab, site, "#/vision")
    rows = tab.get_by_role("region", name="Cameras").locator("tbody tr")
    expect(rows.filter(has_text="hall")).to_contain_text("down: nothing came yet")
    see(site, PERSON)
    (track,) = site.get("vision/cameras/hall/tracks")  # now: what a silent camera saw is not remembered for long
    assert track["label"] == "person"
    expect(rows.filter(has_text="hall")).to_contain_text("cell-1 1")
    drawing = tab.get_by_role("img", name="Zones of camera hall")
    expect(drawing).to_contain_text("cell-1: 1 (rover)")
    expect(drawing.locator("rect")).to_have_count(2)
    check_looks(tab)
    picture = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    png = {"Content-Type": "image/png"}
    for path in ("vision/cameras/door/picture", "vision/detect"):
        assert site.client.post(path, content=picture, headers=png).json() == []
        assert site.client.post(path, content=b"", headers=png).status_code == 422
        assert site.client.post(path, content=b"{}").status_code == 415
    wrong = ("vision/cameras/door/picture?at=-1", "vision/cameras/D/picture", f"vision/detect?detector={'x' * 65}")
    assert [site.client.post(path, content=picture, headers=png).status_code for path in wrong] == [422] * 3
    assert site.client.post("vision/cameras/hall/detections", json={"detections": [], "at": 9e10}).status_code == 422
    assert [site.get("vision/models"), site.get("vision/evidence")] == [[], []]
    assert site.client.get("vision/evidence/ev_none").status_code == 404
    assert site.client.delete("vision/cameras/door", params={"by": "ann"}).status_code == 204
    expect(rows).to_have_count(1)
