import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import BadInput, Unable
from testbed.telemetry.sample import Sample
from testbed.telemetry.sinks import Ring, SqliteFile, read
from testbed.telemetry.store import Store


def sample(value=1.0, measured=10.0, entity="link:a-b:forward", metric="delay", received=None):
    return Sample(entity, metric, value, "s", measured, measured + 0.1 if received is None else received, "a/ping")


@given(st.lists(st.floats(0, 1000), min_size=1))
def test_the_latest_is_the_newest_measured_whatever_the_order_of_arrival(times):
    store = Store()
    store.add(sample(measured=moment, value=moment) for moment in times)
    latest = store.latest("link:a-b:forward", "delay")
    assert latest is not None
    assert latest.value == max(times)


def test_an_unknown_field_has_no_latest():
    assert Store().latest("link:none", "delay") is None


def test_all_samples_reach_all_sinks_in_batches_and_are_read_back(tmp_path):
    ring, file = Ring(1000), SqliteFile(tmp_path / "samples.sqlite")
    store = Store([ring, file], batch=4)
    given_samples = [sample(measured=float(i), value=i / 7) for i in range(10)]
    for each in given_samples:
        store.add([each])
    assert len(list(ring)) == 8  # two full batches
    store.flush()
    assert list(ring) == given_samples
    assert read(tmp_path / "samples.sqlite") == given_samples
    assert read(tmp_path / "samples.sqlite", since=8.0) == given_samples[8:]
    assert read(tmp_path / "samples.sqlite", entity="link:other") == []
    store.close()


def test_samples_survive_a_reopening_and_old_ones_can_be_forgotten(tmp_path):
    path = tmp_path / "samples.sqlite"
    for start in (0, 10):
        store = Store([SqliteFile(path)])
        store.add(sample(measured=float(start + i)) for i in range(5))
        store.close()
    assert len(read(path)) == 10
    file = SqliteFile(path)
    assert file.forget_before(10.0) == 5
    file.close()
    assert [s.measured for s in read(path)] == [10.0, 11.0, 12.0, 13.0, 14.0]


def test_a_store_that_cannot_be_kept_is_told(tmp_path):
    (tmp_path / "text").write_text("no database, but long enough to be taken for one by its first sixteen bytes")
    for path in (tmp_path / "nowhere" / "samples.sqlite", tmp_path / "text"):
        with pytest.raises(Unable, match=f"{path}: cannot keep samples there: "):
            SqliteFile(path)


def test_the_ring_forgets_the_oldest():
    ring = Ring(3)
    ring.write([sample(measured=float(i)) for i in range(5)])
    assert [s.measured for s in ring] == [2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    "bad", [sample(value=float("nan")), sample(measured=float("inf")), sample(measured=100.0, received=98.0)]
)
def test_what_cannot_be_a_measurement_is_refused_and_nothing_of_its_batch_is_kept(bad):
    ring = Ring(10)
    store = Store([ring])
    with pytest.raises(BadInput, match="clock offset"):
        store.add([sample(), bad])
    store.flush()
    assert list(ring) == []
    assert store.all_latest() == {}


def test_threads_lose_nothing(tmp_path):
    store = Store([SqliteFile(tmp_path / "s.sqlite")], batch=50)
    threads = [
        threading.Thread(
            target=lambda n=n: [store.add([sample(measured=float(i), entity=f"e{n}")]) for i in range(200)]
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    assert len(read(tmp_path / "s.sqlite")) == 800
