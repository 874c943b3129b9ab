"""What every store promises, run on all three: in memory, on a real SQLite file, on a real Redis."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from brain.errors import Conflict, InvalidInput
from brain.store import START, Document, DocumentChange, Mark, Store, open_store
from support.old_stores import fill_old_store

STORES = ["memory", "sqlite", "redis"]
SHARED = ["sqlite", "redis"]


all_stores = pytest.mark.parametrize("url", STORES, indirect=True)
shared_stores = pytest.mark.parametrize("url", SHARED, indirect=True)


@all_stores
def test_a_document_is_read_back_with_its_version(store: Store) -> None:
    assert store.get("rules", "a") is None
    assert store.put("rules", "a", b'{"x": 1}') == 1
    assert store.get("rules", "a") == Document("a", 1, b'{"x": 1}')
    assert store.put("rules", "a", b"") == 2
    assert store.get("rules", "a") == Document("a", 2, b"")


@all_stores
def test_any_bytes_and_any_writable_key_are_kept(store: Store) -> None:
    data = bytes(range(256)) + b"12:34\r\n"
    for key in ("plain", "with:colon {brain}", "π ≠ 3", "a\nb\x00c", "[(-+", "𝄞"):
        store.put("odd", key, data)
        assert store.get("odd", key) == Document(key, 1, data)
    assert [document.key for document in store.scan("odd")] == sorted(
        ["plain", "with:colon {brain}", "π ≠ 3", "a\nb\x00c", "[(-+", "𝄞"]
    )


@all_stores
@pytest.mark.parametrize("key", ["", "lone \ud800 surrogate"])
def test_a_key_that_cannot_be_kept_is_refused(store: Store, key: str) -> None:
    for call in (lambda: store.put("c", key, b""), lambda: store.get("c", key), lambda: store.delete("c", key)):
        with pytest.raises(InvalidInput, match="key in c"):
            call()
    assert store.scan("c") == []


@all_stores
def test_collections_do_not_meet(store: Store) -> None:
    store.put("a", "k", b"1")
    store.put("a:keys", "k", b"2")
    assert [document.data for document in store.scan("a")] == [b"1"]
    assert store.delete("a:keys", "k")
    assert store.get("a", "k") == Document("k", 1, b"1")


@all_stores
def test_put_with_an_expected_version(store: Store) -> None:
    assert store.put("c", "k", b"first", expected=0) == 1
    with pytest.raises(Conflict, match="expected to be absent, but it is version 1"):
        store.put("c", "k", b"again", expected=0)
    assert store.put("c", "k", b"second", expected=1) == 2
    with pytest.raises(Conflict, match="expected version 1, but it is version 2"):
        store.put("c", "k", b"late", expected=1)
    with pytest.raises(Conflict, match="expected version 7, but it is absent"):
        store.put("c", "other", b"", expected=7)
    assert store.get("c", "k") == Document("k", 2, b"second")
    assert store.get("c", "other") is None


@all_stores
def test_delete_says_whether_the_key_was_there(store: Store) -> None:
    assert store.delete("c", "k") is False
    store.put("c", "k", b"")
    with pytest.raises(Conflict, match="expected version 2, but it is version 1"):
        store.delete("c", "k", expected=2)
    assert store.delete("c", "k", expected=1) is True
    assert store.get("c", "k") is None
    assert store.scan("c") == []
    with pytest.raises(Conflict, match="but it is absent"):
        store.delete("c", "k", expected=1)
    assert store.put("c", "k", b"new", expected=0) == 1


@all_stores
def test_scan_runs_in_key_order_from_a_start_both_ways_up_to_a_limit(store: Store) -> None:
    for key in ("d", "a", "c", "b", "e"):
        store.put("c", key, key.encode())

    def keys(**options: object) -> str:
        return "".join(document.key for document in store.scan("c", **options))  # type: ignore[arg-type]

    assert keys() == "abcde"
    assert keys(newest_first=True) == "edcba"
    assert keys(start="c") == "cde"
    assert keys(start="bb") == "cde"
    assert keys(start="c", newest_first=True) == "edc"
    assert keys(limit=2) == "ab"
    assert keys(limit=2, newest_first=True) == "ed"
    assert keys(start="b", limit=2) == "bc"
    assert keys(limit=0) == ""
    assert keys(start="f") == ""
    assert store.scan("none") == []


@all_stores
def test_a_long_scan_holds_every_document_once(store: Store) -> None:
    keys = [f"{number:05d}" for number in range(2_345)]
    for key in reversed(keys):
        store.put("c", key, key.encode())
    assert [document.key for document in store.scan("c")] == keys
    assert [document.key for document in store.scan("c", newest_first=True)] == keys[::-1]
    assert [document.key for document in store.scan("c", start="00042", limit=1_500)] == keys[42:1_542]
    assert all(document.data == document.key.encode() for document in store.scan("c"))


@all_stores
def test_revision_grows_with_every_change_of_its_collection_only(store: Store) -> None:
    assert store.revision("c") == 0
    seen = [0]

    def grown() -> bool:
        seen.append(store.revision("c"))
        return seen[-1] > seen[-2]

    store.put("c", "k", b"")
    assert grown()
    store.put("c", "k", b"")
    assert grown()
    store.put("other", "k", b"")
    store.get("c", "k")
    store.delete("c", "absent")
    with pytest.raises(Conflict):
        store.put("c", "k", b"", expected=0)
    assert not grown()
    store.delete("c", "k")
    assert grown()


def increment(store: Store, times: int) -> None:
    for _ in range(times):
        while True:
            found = store.get("c", "n")
            assert found is not None
            try:
                store.put("c", "n", str(int(found.data) + 1).encode(), expected=found.version)
                break
            except Conflict:
                continue


@all_stores
def test_concurrent_compare_and_swap_loses_no_update(store: Store) -> None:
    store.put("c", "n", b"0")
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(increment, store, 25) for _ in range(8)]:
            done.result()
    assert store.get("c", "n") == Document("n", 201, b"200")


@all_stores
def test_of_many_that_create_one_key_one_succeeds(store: Store) -> None:
    def create(number: int) -> int | None:
        try:
            store.put("c", "k", str(number).encode(), expected=0)
            return number
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(create, range(40)) if number is not None]
    found = store.get("c", "k")
    assert found is not None
    assert [found.data] == [str(number).encode() for number in winners]


@shared_stores
def test_several_stores_on_one_place_see_and_respect_each_other(url: str) -> None:
    stores = [open_store(url) for _ in range(4)]
    stores[0].put("c", "n", b"0")
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(increment, store, 25) for store in stores]:
            done.result()
    assert [store.get("c", "n") for store in stores] == [Document("n", 101, b"100")] * 4
    assert len({store.revision("c") for store in stores}) == 1
    for store in stores:
        store.close()


@shared_stores
def test_documents_survive_closing_and_opening(url: str) -> None:
    first = open_store(url)
    first.put("c", "k", b"kept")
    revision = first.revision("c")
    first.close()
    second = open_store(url)
    assert second.get("c", "k") == Document("k", 1, b"kept")
    assert second.revision("c") == revision
    second.close()


@shared_stores
def test_many_can_open_a_new_place_at_once(url: str) -> None:
    def open_and_put(number: int) -> None:
        store = open_store(url)
        store.put("c", str(number), b"")
        store.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_and_put, range(16)))
    store = open_store(url)
    assert len(store.scan("c")) == 16
    store.close()


def put(key: str, data: bytes = b"", **more: int) -> DocumentChange:
    return DocumentChange("c", key, data, **more)


def gone(key: str, **more: int) -> DocumentChange:
    return DocumentChange("c", key, None, **more)


@all_stores
def test_a_write_makes_all_its_changes_of_several_collections_or_none(store: Store) -> None:
    store.put("c", "old", b"1")
    other = DocumentChange("d", "a", b"2")
    written = store.write([put("a", b"1", expected=0), gone("old", expected=1), gone("none"), other])
    assert list(written.versions) == [1, 1, 0, 1]
    assert set(written.steps) == {"c", "d"}
    assert [store.scan("c"), store.scan("d")] == [[Document("a", 1, b"1")], [Document("a", 1, b"2")]]
    for name, step in written.steps.items():
        assert step.after == store.mark(name)
        assert step.after.revision > step.before.revision
    marks = [store.mark("c"), store.mark("d")]
    with pytest.raises(Conflict, match="d/b: expected version 3, but it is absent"):
        store.write([put("b"), gone("a"), DocumentChange("d", "b", b"", 3)])
    with pytest.raises(InvalidInput, match="'b' is there twice"):
        store.write([put("b"), gone("b")])
    assert [store.mark("c"), store.mark("d")] == marks
    assert [len(store.scan("c")), len(store.scan("d"))] == [1, 1]
    assert list(store.write([put("a", version=7)]).versions) == [7]
    assert store.get("c", "a") == Document("a", 7, b"")


@all_stores
def test_a_write_that_changes_nothing_makes_no_revision(store: Store) -> None:
    store.put("c", "a", b"")
    mark = store.mark("c")
    assert store.write([gone("b")]).steps["c"] == (mark, mark)
    assert store.write([]).steps == {}
    assert store.mark("c") == mark


@all_stores
def test_a_write_of_thousands_is_one_revision_and_complete(store: Store) -> None:
    keys = [f"{number:05d}" for number in range(3_217)]
    step = store.write([put(key, key.encode() * 3, expected=0) for key in keys]).steps["c"]
    first = store.read("c")
    assert (first.mark, first.whole) == (step.after, True)
    assert list(first.documents) == [Document(key, 1, key.encode() * 3) for key in keys]
    with pytest.raises(Conflict, match="c/03000: expected to be absent, but it is version 1"):
        store.write([put(f"n{key}", expected=0) for key in keys] + [put("03000", expected=0)])
    assert store.mark("c") == step.after
    written = store.write([gone(key) for key in keys[:3_000]] + [put(key, expected=1) for key in keys[3_000:]])
    assert list(written.versions) == [1] * 3_000 + [2] * 217
    again = store.read("c", first.mark)
    assert (again.continues, again.whole, len(again.documents)) == (True, True, 217)
    assert again.marks == [written.steps["c"].after]


@all_stores
def test_a_reader_is_given_what_changed_since(store: Store) -> None:
    nothing = store.read("c")
    assert (nothing.mark, nothing.whole, list(nothing.documents)) == (START, True, [])
    for key in "abc":
        store.put("c", key, key.encode())
    first = store.read("c")
    assert first.whole
    assert not store.read("c", first.mark).whole
    assert list(store.read("c", first.mark).documents) == []
    store.put("c", "b", b"B")
    store.delete("c", "a")
    store.write([put("d"), put("e")])
    store.delete("c", "e")
    now = store.read("c", first.mark)
    assert (now.continues, now.whole) == (True, False)
    assert sorted(now.documents) == [Document("b", 2, b"B"), Document("d", 1, b"")]
    assert sorted(now.deleted) == ["a", "e"]
    assert len(now.marks) == 4
    assert (now.marks[-1], now.mark) == (store.mark("c"), store.mark("c"))
    assert store.read("c", now.mark) == (now.mark, True, False, (), (), ())


@all_stores
def test_a_reader_of_another_line_is_told_apart(store: Store) -> None:
    for key in "abc":
        store.put("c", key, b"")
    known = store.mark("c")
    for stranger in (Mark(known.revision, "0123"), Mark(known.revision + 5, "0123"), Mark(known.revision - 1, "0123")):
        reading = store.read("c", stranger)
        assert (reading.continues, reading.whole, len(reading.documents)) == (False, True, 3)
        assert reading.marks[-1] == known
    other = [Mark(known.revision + 3, "aaaa"), Mark(known.revision + 4, "bbbb")]
    step = store.write([put("back", version=9)], {"c": other}).steps["c"]
    assert step.after.revision > other[-1].revision
    for mark in (known, *other):
        reading = store.read("c", mark)
        assert (reading.continues, reading.whole, len(reading.documents)) == (True, True, 4)
    store.put("c", "next", b"")
    assert [one.key for one in store.read("c", step.after).documents] == ["next"]
    assert not store.read("c", Mark(other[0].revision, "bbbb")).continues
    assert store.write([], {"c": [Mark(1, "cccc")]}).steps["c"].after == store.mark("c") != step.after


@all_stores
def test_a_reader_far_behind_reads_everything(store: Store) -> None:
    store.put("c", "k", b"")
    first = store.mark("c")
    for _ in range(12):
        store.write([put(f"k{number}") for number in range(100)])
    assert not (changed := store.read("c", first)).whole
    assert len(changed.documents) == 100
    store.write([put(f"k{number}") for number in range(101)])
    everything = store.read("c", first)
    assert (everything.continues, everything.whole, len(everything.documents)) == (True, True, 102)


@shared_stores
def test_a_reader_sees_whole_writes_only(url: str) -> None:
    """Two writers replace all of a collection again and again; whatever is read is of one write."""
    stores = [open_store(url) for _ in range(3)]
    stores[0].write([put(f"{key:04d}", b"start") for key in range(1_500)])
    done: list[int] = []

    def replace(number: int) -> None:
        for turn in range(6):
            data = f"{number}-{turn}".encode()
            stores[number].write([put(f"{key:04d}", data) for key in range(1_500)])
        done.append(number)

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(replace, number) for number in (0, 1)]
        known, seen = None, 0
        while len(done) < 2 or seen == 0:
            reading = stores[2].read("c", known)
            if reading.whole:
                assert len({document.data for document in reading.documents}) == 1
                assert len(reading.documents) == 1_500
                seen += 1
            known = reading.mark
        for one in running:
            one.result()
    for each in stores:
        each.close()


@shared_stores
def test_a_store_of_an_earlier_version_keeps_its_documents(url: str) -> None:
    fill_old_store(url, {"c": {"a": (1, b"one"), "b": (4, b"12:34")}, "d": {"k": (2, b"")}})
    store = open_store(url)
    assert list(store.scan("c")) == [Document("a", 1, b"one"), Document("b", 4, b"12:34")]
    first = store.read("c")
    assert (first.mark.token, list(first.documents)) == ("", list(store.scan("c")))
    assert first.mark.revision > 0
    assert store.put("c", "b", b"new", expected=4) == 5
    then = store.read("c", first.mark)
    assert (then.continues, then.whole) == (True, False)
    assert list(then.documents) == [Document("b", 5, b"new")]
    assert store.get("d", "k") == Document("k", 2, b"")
    store.close()


@pytest.mark.parametrize("url", ["cluster"], indirect=True)
def test_a_cluster_takes_writes_of_every_size(store: Store) -> None:
    first = store.write([put("a"), DocumentChange("d", "b", b"")]).steps["c"].after
    store.write([put(f"{key:04d}", b"x", expected=0) for key in range(1_200)])
    assert len(store.read("c", first).documents) == 1_201
    store.delete("c", "a")
    assert len(store.read("c").documents) == 1_200
    store.write([gone(f"{key:04d}", expected=1) for key in range(1_200)])
    assert store.read("c").documents == []
