"""Stores in a bucket: as on a disk, though there is no rename, no lock and no folder."""

import asyncio
import json
import threading
import time

import numpy as np
import pytest
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import ObjectStore as ZarrStore

from probekit.errors import RemoteError, StoreCorruptError, StoreError, UsageError
from probekit.paths import names_below, path_of, size_of
from probekit.remote import BucketPath, buckets
from probekit.remote.paths import ObjectFacts
from probekit.store import ABSENT, DONE, FAILED, Store, find_stores, list_stores, remove_store, zarrays
from probekit.store import lease as leases
from probekit.store.bucket_store import PatientStore
from probekit.store.claims import Claims, bury
from probekit.store.lease import leased
from probekit.store.locks import exclusive
from probekit.store.owners import STALE_SECONDS, Owner
from tests.nodes import wait_until
from tests.store.conftest import SETTINGS, commit, make_rows

obstore = pytest.importorskip("obstore", reason="the extra remote is not installed")
TAPS = {"a": 3}
FACTS = {"default_tap": "a", "batch_size": 4}


@pytest.fixture
def cache():
    buckets._store.cache_clear()
    yield path_of("memory://bucket/team/cache")
    buckets._store.cache_clear()


@pytest.fixture
def new_store(cache):
    return lambda: Store.create(cache, SETTINGS, FACTS)


def test_committed_rows_are_read_back_before_and_after_folding(new_store):
    store = new_store()
    rows = commit(store, [1, 2, 3], TAPS, failed={2})
    for _ in range(2):
        assert store.look_up(rows.keys, rows.crops, ["a"])[:, 0].tolist() == [DONE, FAILED, DONE]
        done = [0, 2]
        np.testing.assert_array_equal(store.read(rows.keys[done], rows.crops[done], "a"), rows.features["a"][done])
        assert store.reasons() == {rows.keys[1].tobytes(): "reason 2"}
        assert store.fold()
        store = Store.open(store.path)
    assert list(store.verify()) == []
    assert list(store.path.glob("journal/parts/*.safetensors")) == []


def test_shards_fill_up_over_several_folds_and_rows_come_in_the_order_asked_for(new_store):
    store, rows = new_store(), make_rows(list(range(9000)), TAPS)
    for begin in range(0, 9000, 3000):
        commit(store, list(range(begin, begin + 3000)), TAPS)
        store.fold()
    order = np.random.default_rng(0).permutation(9000)
    expected = rows.features["a"][order].astype(np.float16)
    np.testing.assert_array_equal(store.read(rows.keys[order], rows.crops[order], "a"), expected)
    assert store.rows == 9000


def test_a_tap_that_comes_later_is_there_beside_the_earlier_one(new_store):
    store = new_store()
    commit(store, [1, 2], TAPS)
    store.fold()
    rows = commit(store, [1, 2, 3], {"b": 2})
    store.fold()
    assert store.look_up(rows.keys, rows.crops, ["a", "b"]).tolist() == [[DONE, DONE], [DONE, DONE], [ABSENT, DONE]]
    assert list(store.verify()) == []


def test_another_process_sees_what_was_committed_since(new_store):
    one, other = new_store(), new_store()
    rows = make_rows([1, 2], TAPS)
    assert not other.look_up(rows.keys, rows.crops, ["a"]).any()
    commit(one, [1, 2], TAPS)
    other.update()
    assert (other.look_up(rows.keys, rows.crops, ["a"]) == DONE).all()
    one.fold()
    np.testing.assert_array_equal(other.read(rows.keys, rows.crops, "a"), rows.features["a"])


def test_of_many_that_make_a_store_at_once_each_gets_the_same_one(cache):
    made: list[Store] = []
    threads = [
        threading.Thread(target=lambda number=number: made.append(Store.create(cache, SETTINGS, FACTS | {"n": number})))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({store.facts["n"] for store in made}) == 1
    assert list(made[0].verify()) == []
    commit(made[0], [1], TAPS)
    assert made[1].fold()


def test_a_store_whose_making_was_killed_anywhere_is_finished_by_the_next(new_store, cache):
    whole = {path: path.read_bytes() for path in new_store().path.files()}
    order = sorted(whole, key=lambda path: (path.name == "seal.json", path.parent.parent == cache, path))
    for survived in range(len(order)):
        cache.delete_all()
        for path in order[:survived]:
            path.write_bytes(whole[path])
        store = new_store()
        commit(store, [1], TAPS)
        assert store.fold()
        assert list(store.verify()) == [], survived


@pytest.mark.parametrize("what", ["a/c/0/0", "key/c/0/0", "status/c/0/0", "a/zarr.json"])
@pytest.mark.parametrize("how", ["flipped", "deleted"])
def test_verify_finds_what_was_changed_in_a_bucket(new_store, what, how):
    store = new_store()
    commit(store, list(range(20)), TAPS)
    store.fold()
    path = store.path / what
    data = bytearray(path.read_bytes())
    path.unlink()
    if how == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    assert list(Store(store.path, store.settings, store.facts).verify()) != []


def test_a_damaged_part_of_a_bucket_is_named(new_store):
    store = new_store()
    commit(store, [1], TAPS)
    (part,) = store.path.glob("journal/parts/*.safetensors")
    part.write_bytes(part.read_bytes()[:-5] + b"xxxxx")
    assert str(part) in "".join(store.verify())
    with pytest.raises(StoreCorruptError, match=r"memory://bucket/team/cache/.*is damaged: delete it and run"):
        store.fold()


def test_rows_are_not_pruned_in_a_bucket_and_it_says_what_can_be_done(new_store):
    store = new_store()
    rows = commit(store, [1, 2], TAPS)
    surplus = store.surplus(rows.keys[:1])
    assert surplus.dropped == 1
    with pytest.raises(StoreError, match=r"in a bucket.*nothing was removed"):
        store.prune(surplus)
    assert store.rows == 2


def test_a_store_of_a_bucket_is_removed_unless_somebody_works_in_it(new_store, cache):
    store, other = new_store(), new_store()
    commit(store, [1], TAPS)
    assert other.claims.take("unit-1")
    with pytest.raises(StoreError, match="is being extracted into by process"):
        remove_store(store.path)
    other.claims.release("unit-1")
    remove_store(store.path)
    assert find_stores(cache) == ([], {})
    assert not store.path.exists()
    assert new_store().rows == 0


def test_stores_are_found_beside_whatever_else_is_in_the_cache(new_store, cache):
    (cache / "keys" / "part.parquet").write_bytes(b"")
    (cache / "torn-1" / "journal" / "seal.json").write_bytes(b"{}")
    store = new_store()
    stores, damaged = find_stores(cache)
    assert [found.path for found in stores] == [store.path]
    assert [path.name for path in damaged] == ["torn-1"]
    assert list_stores(path_of("memory://bucket/nothing")) == []


def test_of_many_who_try_one_gets_the_claim_and_a_released_one_is_free(cache):
    everybody = [Claims(cache) for _ in range(16)]
    assert sum(claims.take("unit-1") for claims in everybody) == 1
    owner = next(claims for claims in everybody if claims._owner.has(cache / "unit-1"))
    owner.show_life("unit-1")
    owner.release("unit-1")
    assert everybody[3].take("unit-1")


def age(path: BucketPath, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the object have been written by another machine so long ago."""
    owner = json.loads(path.read_text())
    path.write_bytes(json.dumps(owner | {"host": "another"}).encode())
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)


def test_the_claim_of_another_machine_is_taken_over_once_it_is_stale(cache, monkeypatch):
    theirs, ours = Claims(cache), Claims(cache)
    assert theirs.take("u")
    age(cache / "u", STALE_SECONDS - 60, monkeypatch)
    assert not ours.take("u")
    age(cache / "u", STALE_SECONDS + 120, monkeypatch)
    assert ours.take("u")
    assert not theirs.take("u")


def test_a_claim_that_changed_after_it_was_judged_is_not_removed(cache):
    claims, others = Claims(cache), Claims(cache)
    assert claims.take("u")

    def judge(path):
        path.write_bytes(others._owner.sign())  # released, and taken by another, at this very moment
        return True

    assert not bury(cache / "u", judge)
    assert others._owner.has(cache / "u")


def test_a_lease_is_held_by_one_and_given_back(cache):
    with exclusive(cache / "fold.lock") as first:
        assert first
        first()
        with exclusive(cache / "fold.lock") as second:
            assert second is None
    with exclusive(cache / "fold.lock") as third:
        assert third


def test_while_one_has_the_lease_others_do_not_fold_and_nothing_is_lost(new_store):
    store, other = new_store(), new_store()
    rows = commit(store, [1], TAPS)
    with leased(store.path / "journal/claims/fold.lock"):
        assert not other.fold()
    assert other.fold()
    assert (other.look_up(rows.keys, rows.crops, ["a"]) == DONE).all()


def test_a_lease_is_renewed_and_one_that_was_taken_over_is_lost(cache, monkeypatch):
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    path = cache / "fold.lock"
    with leased(path) as lease:
        signed = path.read_bytes()
        wait_until(lambda: path.read_bytes() != signed, "it is never renewed")
        lease.check()
        other = Owner()
        path.write_bytes(other.sign())
        wait_until(lambda: lease._lost, "it is not noticed")
        with pytest.raises(StoreError, match="another may be folding the store: run again"):
            lease.check()
    assert other.has(path), "it was given back by one who did not have it"


def test_a_machine_of_the_same_name_is_not_taken_for_this_one(cache):
    path = cache / "fold.lock"
    owner = json.loads(Owner().sign())
    name, started, *container = owner["host"].split(" ", 2)
    gone = {"pid": 2**22 + 1, "host": " ".join([name, "another-start", *container])}
    path.write_bytes(json.dumps(owner | gone).encode())
    with leased(path) as lease:
        assert lease is None
    path.write_bytes(json.dumps(owner | {"pid": 2**22 + 1}).encode())  # of this machine, and gone
    with leased(path) as lease:
        assert lease
    assert started


def test_a_fold_that_loses_its_lease_between_two_objects_writes_no_more(new_store):
    store = new_store()
    rows = commit(store, list(range(5)), TAPS)
    check, asked = leases.Lease.check, []

    def taken_over(self):
        asked.append(1)
        if len(asked) == 4:
            self._path.write_bytes(json.dumps(json.loads(Owner().sign()) | {"host": "another"}).encode())
        check(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leases.Lease, "check", taken_over)
        with pytest.raises(StoreError, match="cut off for so long"):
            store.fold()
    assert len(asked) == 4
    (store.path / "journal/claims/fold.lock").unlink()
    assert store.fold()
    np.testing.assert_array_equal(store.read(rows.keys, rows.crops, "a"), rows.features["a"])
    assert list(store.verify()) == []


def test_a_removal_that_was_killed_anywhere_is_finished_by_doing_it_again(new_store, cache, monkeypatch):
    class Killed(BaseException):
        pass

    delete, left = obstore.delete, [0]

    def one_by_one(store, paths):
        for path in [paths] if isinstance(paths, str) else paths:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            delete(store, path)

    monkeypatch.setattr(obstore, "delete", one_by_one)
    for deletions in range(60):
        left[0] = -1
        store = new_store()
        commit(store, list(range(5)), TAPS)
        store.fold()
        left[0] = deletions
        try:
            remove_store(store.path)
        except Killed:
            left[0] = -1
            if not (store.path / "zarr.json").exists():
                with pytest.raises(StoreError, match=r"is being removed, or that was cut off: `probekit cache rm srm-"):
                    new_store()
            for claim in store.path.glob("journal/claims/[!.]*"):
                if claim.name != "zarr.json":
                    claim.unlink()  # of this process, which lives
            remove_store(store.path)
            assert find_stores(cache) == ([], {}), deletions
        else:
            break
    assert 10 < deletions < 59


def test_googles_store_is_given_the_version_that_it_goes_by(monkeypatch):
    from obstore.store import GCSStore

    store = GCSStore("b", skip_signature=True, client_options={"timeout": "1s"}, retry_config={"max_retries": 0})
    monkeypatch.setattr("probekit.remote.paths.store_of", lambda *_: store)
    monkeypatch.setattr(buckets, "TRIES", 1)
    path = path_of("gs://b/key")
    with pytest.raises(RemoteError, match="Version required"):
        path.replace_if(ObjectFacts(0, 0.0, "tag"), b"")
    with pytest.raises(RemoteError, match=r"^(?!.*Version required)"):
        path.replace_if(ObjectFacts(0, 0.0, "tag", "7"), b"")


def test_a_try_to_write_ends_before_others_may_take_the_lease():
    request = buckets.RETRY_TIME + buckets.LONGEST_PAUSE + buckets.TIMEOUT
    assert leases.GIVE_UP_SECONDS + 3 * request.total_seconds() < STALE_SECONDS  # begun, sent in parts, completed


@pytest.mark.parametrize("slow", ["taken", "checked"])
def test_a_lease_counts_from_before_it_was_asked_for(cache, monkeypatch, slow):
    now, taken, has = [time.monotonic()], leases._take, Owner.has
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def slowly(how, which):
        def act(*arguments):
            answer = how(*arguments)
            now[0] += (leases.GIVE_UP_SECONDS + 1) * (which == slow)
            return answer

        return act

    monkeypatch.setattr(leases, "_take", slowly(taken, "taken"))
    monkeypatch.setattr(Owner, "has", slowly(has, "checked"))
    with leased(cache / "fold.lock") as lease, pytest.raises(StoreError, match="cut off"):
        lease.check()


@pytest.fixture
def written(monkeypatch):
    """What was done, in order, while stores are folded, of which every array has many objects."""
    done, check, write = [], leases.Lease.check, ZarrStore.set

    def checked(self):
        check(self)
        done.append("checked")

    async def set_(self, key, value):
        done.append("begun")
        await asyncio.sleep(0.01)  # so that others are under way
        await write(self, key, value)
        done.append("written")

    monkeypatch.setattr(zarrays, "SHARD_ROWS", 4)
    monkeypatch.setattr(leases.Lease, "check", checked)
    monkeypatch.setattr(ZarrStore, "set", set_)
    return done


def test_every_object_of_a_fold_is_checked_by_itself(new_store, written):
    store = new_store()
    commit(store, list(range(30)), TAPS)
    store.fold()
    assert written.count("begun") > 20
    for number, what in enumerate(written):
        assert what != "begun" or written[:number].count("checked") > written[:number].count("begun")


def test_what_is_under_way_when_a_lease_is_lost_has_ended_before_it_is_given_back(new_store, written, monkeypatch):
    store = new_store()
    commit(store, list(range(30)), TAPS)
    check, give_back, before = leases.Lease.check, leases.Lease.give_back, []

    def lost(self):
        if written.count("checked") >= 8:  # in the middle of the keys
            raise StoreError("lost")
        check(self)

    def given_back(self):
        before.extend(written)
        give_back(self)

    monkeypatch.setattr(leases.Lease, "check", lost)
    monkeypatch.setattr(leases.Lease, "give_back", given_back)
    with pytest.raises(StoreError, match="lost"):
        store.fold()
    assert 0 < before.count("begun") == before.count("written") == written.count("written")


def test_every_try_to_write_is_checked(monkeypatch):
    tries, checks = [], []

    async def breaks_off(self, *arguments):
        tries.append(len(checks))
        raise obstore.exceptions.GenericError("HTTP error: request or response body error")

    def may_write():
        if len(checks) == 2:
            raise StoreError("lost")
        checks.append(1)

    monkeypatch.setattr(buckets, "_pause", lambda attempt: 0)
    for name, arguments in (("set", (default_buffer_prototype().buffer.from_bytes(b"x"),)), ("delete", ())):
        monkeypatch.setattr(ZarrStore, name, breaks_off)
        tries.clear()
        checks.clear()
        store = PatientStore(buckets.store_of("memory", "bucket"), may_write=may_write)
        with pytest.raises(StoreError, match="lost"):
            asyncio.run(getattr(store, name)("key", *arguments))
        assert tries == [1, 2]


def test_a_lease_that_was_not_renewed_for_long_is_given_up_before_others_may_take_it(cache, monkeypatch):
    with leased(cache / "fold.lock") as lease:
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + STALE_SECONDS / 2)
        with pytest.raises(StoreError, match="cut off"):
            lease.check()


def test_a_fold_stops_before_it_writes_once_its_lease_is_lost(new_store, monkeypatch):
    store = new_store()
    rows = commit(store, list(range(5)), TAPS)
    monkeypatch.setattr(leases.Lease, "check", lambda self: (_ for _ in ()).throw(StoreError("lost")))
    before = {path: path.read_bytes() for path in store.path.files() if "claims" not in str(path)}
    with pytest.raises(StoreError, match="lost"):
        store.fold()
    assert before == {path: path.read_bytes() for path in store.path.files() if "claims" not in str(path)}
    monkeypatch.undo()
    assert store.fold()
    np.testing.assert_array_equal(store.read(rows.keys, rows.crops, "a"), rows.features["a"])


@pytest.mark.parametrize(("ignored", "kind"), [("If-None-Match", str), ("If-Match", dict)])
def test_a_bucket_that_ignores_a_condition_is_refused(cache, monkeypatch, ignored, kind):
    put = BucketPath._put

    def careless(self, data, mode):
        self.write_bytes(data) if isinstance(mode, kind) else put(self, data, mode)

    monkeypatch.setattr(BucketPath, "_put", careless)
    said = rf"\({ignored}\).*keep stores in another bucket or on a disk"
    with pytest.raises(StoreError, match=said), leased(cache / "fold.lock"):
        pass


def test_paths_in_buckets_are_spelled_like_paths():
    path = path_of("s3://lab/a/b c.tar.gz")
    assert isinstance(path, BucketPath)
    assert (path.name, path.stem, path.suffix, str(path.parent)) == ("b c.tar.gz", "b c.tar", ".gz", "s3://lab/a")
    assert str(path.with_name("x") / "y/z") == "s3://lab/a/x/y/z"
    assert str(path_of("s3://lab/a/")) == "s3://lab/a"
    assert str(path_of("file:///a/b")) == "/a/b"
    assert str(path_of("cache")) == "cache"
    for wrong in ("s3://lab", "ftp://lab/a", "s3://key:secret@lab/a", "s3://lab/a//b", "s3://lab/../b"):
        with pytest.raises(UsageError):
            path_of(wrong)


def test_a_bucket_is_looked_through_like_a_folder(cache):
    for name in ("a/zarr.json", "b/zarr.json", "b/c/0", "zarr.json", ".x/zarr.json"):
        (cache / name).write_bytes(b"12")
    assert names_below(cache, "*/zarr.json") == [".x/zarr.json", "a/zarr.json", "b/zarr.json"]
    assert [path.name for path in cache.glob("[!.]*")] == ["a", "b", "zarr.json"]
    assert [path.name for path in cache.glob("b/c")] == ["c"]
    assert list(cache.glob("b/d")) == []
    assert (cache / "b").is_dir()
    assert not (cache / "zarr.json").is_dir()
    assert size_of(cache) == 10


def test_an_object_is_read_here_and_there(cache):
    data = bytes(np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8))
    (cache / "x").write_bytes(data)
    with (cache / "x").open_reader() as file:
        assert file.seek(-10, 2) == 299_990
        assert file.read() == data[-10:]
        file.seek(7)
        assert file.read(250_000) == data[7:250_007]
        assert file.read(100_000) == data[250_007:]
        assert file.read(1) == b""
    with pytest.raises(FileNotFoundError):
        (cache / "y").open_reader()
