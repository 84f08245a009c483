"""Recordings on disk: what is written is read again, here and by SigMF's library; what is wrong is said."""

import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
import sigmf
from hypothesis import given, settings
from hypothesis import strategies as st

from sdr.recording import Recorder, open_recording
from sdr.recording.files import unfinished
from testbed.errors import BadInput, Unable


def some(n, seed=0):
    return np.random.default_rng(seed).standard_normal(2 * n, dtype=np.float32).view(np.complex64)


def all_of(recording, size=1000):
    return np.concatenate(list(recording.blocks(size)))


def by_its_library(meta):
    found = sigmf.fromfile(meta)  # checks the hash
    assert isinstance(found, sigmf.SigMFFile)
    found.validate()
    return found


@pytest.fixture
def meta(tmp_path):
    return tmp_path / "it.sigmf-meta"


@pytest.fixture
def recorded(meta):
    with Recorder(meta, 11.52e6, carrier=3.5e9, description="some") as recorder:
        recorder.take(some(1000), 0)
    return meta


@given(
    pieces=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 2)), min_size=1, max_size=8).filter(
        lambda pieces: any(length for length, _ in pieces)
    ),
    size=st.integers(1, 900),
)
@settings(max_examples=12, deadline=None)
def test_what_was_taken_is_read_again_bit_for_bit_and_gaps_are_segments(tmp_path_factory, pieces, size):
    meta = tmp_path_factory.mktemp("recording") / "it.sigmf-meta"
    sent, at, follows, starts = some(sum(length for length, _ in pieces)), 0, None, []
    with Recorder(meta, 1e6) as recorder:
        for length, gap in pieces:
            at, done = at + gap, recorder.samples
            recorder.take(sent[done : done + length], at)
            starts += [done] if length and at != follows else []
            at += length
            follows = at if length else follows
    found = open_recording(meta)
    assert np.array_equal(all_of(found, size), sent)
    assert (found.samples, found.rate, found.segments) == (len(sent), 1e6, tuple(starts))
    own = by_its_library(meta)
    assert np.array_equal(own.read_samples(), sent)
    global_index = [one["core:global_index"] - one["core:sample_start"] for one in own.get_captures()]
    assert all(one < other for one, other in pairwise(global_index))


def test_a_description_says_what_is_known(recorded):
    found = open_recording(recorded)
    assert (found.carrier, found.kind) == (3.5e9, "cf32_le")
    whole = json.loads(recorded.read_text())["global"]
    assert (whole["core:description"], len(whole["core:sha512"])) == ("some", 128)


def test_sixteen_bits_are_read_as_sigmf_reads_them(meta, tmp_path):
    values = np.array([[0, 1], [-32768, 32767], [16384, -1]], "<i2")
    (tmp_path / "it.sigmf-data").write_bytes(values.tobytes())
    own = sigmf.SigMFFile(global_info={"core:datatype": "ci16_le", "core:sample_rate": 1e6})
    own.set_data_file(tmp_path / "it.sigmf-data")
    own.tofile(meta)
    assert np.array_equal(all_of(open_recording(meta), 2), own.read_samples())


def test_repeated_samples_begin_again_without_a_gap(recorded):
    blocks = open_recording(recorded).blocks(300, repeat=True)
    lengths = [len(next(blocks)) for _ in range(8)]
    assert lengths == 2 * [300, 300, 300, 100]


def edit(meta, **fields):
    described = json.loads(meta.read_text())
    for key, value in fields.items():
        described["global"][f"core:{key}"] = value
    meta.write_text(json.dumps(described))


WRONG = {
    "data file": (lambda m: m.with_suffix(".sigmf-data").unlink(), "it.sigmf-data does not exist"),
    "kind": (lambda m: edit(m, datatype="cf64_le"), "core:datatype is 'cf64_le'; expected cf32_le or ci16_le"),
    "length": (
        lambda m: os.truncate(m.with_suffix(".sigmf-data"), 7993),
        "has 7993 bytes; expected whole samples of 8",
    ),
    "nothing": (lambda m: os.truncate(m.with_suffix(".sigmf-data"), 0), "has 0 bytes; expected whole samples"),
    "hash": (lambda m: edit(m, sha512="0" * 128), "these are not the samples that were recorded"),
    "antennas": (lambda m: edit(m, num_channels=2), "core:num_channels is 2; expected 1"),
    "elsewhere": (lambda m: edit(m, dataset="other.bin"), "core:dataset says that its samples are elsewhere"),
    "extension": (
        lambda m: edit(m, extensions=[{"name": "odd", "version": "1.0.0", "optional": False}]),
        "without the extension 'odd'",
    ),
    "schema": (lambda m: edit(m, sample_rate="fast"), "global: core:sample_rate: 'fast' is not of type 'number'"),
    "json": (lambda m: m.write_text("{'a'"), "it.sigmf-meta:1:2: "),
    "text": (lambda m: m.write_bytes(b"\xff\xfe"), "byte 0 is no UTF-8"),
    "description": (lambda m: m.unlink(), "it.sigmf-meta does not exist"),
    "list": (lambda m: m.write_text("[]"), "is not of type 'object'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_recording_is_said_before_its_first_sample(recorded, name):
    spoil, wanted = WRONG[name]
    spoil(recorded)
    with pytest.raises(BadInput) as refused:
        open_recording(recorded)
    assert wanted in str(refused.value)


def test_a_segment_behind_the_end_is_refused(recorded):
    described = json.loads(recorded.read_text())
    described["captures"].append({"core:sample_start": 1001})
    recorded.write_text(json.dumps(described))
    with pytest.raises(BadInput, match=r"starts at sample 1001, and it\.sigmf-data has 1000"):
        open_recording(recorded)


def test_a_file_that_is_cut_off_while_it_is_read_is_an_error_not_a_crash(recorded):
    blocks = open_recording(recorded).blocks(500)
    next(blocks)
    os.truncate(recorded.with_suffix(".sigmf-data"), 4800)
    with pytest.raises(BadInput, match="ends before sample 1000"):
        next(blocks)


def test_names_are_checked_before_anything_is_written(tmp_path, recorded):
    for name in ("it.sigmf-data", "it.sigmf", "it.wav", ".sigmf-meta"):
        with pytest.raises(BadInput, match="expected"):
            Recorder(tmp_path / name, 1e6)
    with pytest.raises(BadInput, match=r"exists; expected a new name"):
        Recorder(recorded, 1e6)
    with pytest.raises(BadInput, match="there is no folder"):
        Recorder(tmp_path / "none" / "it.sigmf-meta", 1e6)
    with pytest.raises(BadInput, match="carrier is"):
        Recorder(tmp_path / "new.sigmf-meta", 1e6, carrier=1e15)
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(BadInput, match="rate is"):
            Recorder(tmp_path / "new.sigmf-meta", rate)
    assert {path.name for path in tmp_path.iterdir()} == {"it.sigmf-meta", "it.sigmf-data"}
    with Recorder(recorded, 2e6, replace=True) as recorder:
        recorder.take(some(10), 0)
    assert open_recording(recorded).samples == 10


def broken_off(meta, samples):
    with suppress(Unable), Recorder(meta, 1e6) as recorder:
        recorder.take(some(samples), 5)
        raise Unable("the disk is full")


def test_an_error_leaves_an_unfinished_recording_that_can_be_read_and_nothing_where_nothing_came(meta, tmp_path):
    broken_off(meta, 100)
    with pytest.raises(BadInput, match=r"was broken off, and what there is of it is .*it\.unfinished\.sigmf-meta"):
        open_recording(meta)
    assert np.array_equal(all_of(open_recording(unfinished(meta))), some(100))
    broken_off(tmp_path / "empty.sigmf-meta", 0)
    assert not list(tmp_path.glob("empty*"))


def test_killed_at_any_moment_it_is_a_recording_named_unfinished(meta):
    program = (
        "import sys, pathlib, numpy as np\n"
        "from sdr.recording import Recorder\n"
        "recorder, at = Recorder(pathlib.Path(sys.argv[1]), 1e6), 0\n"
        "while True:\n"
        "    recorder.take(np.full(1001, at, np.complex64), at)\n"
        "    at += 1001 + (at % 5 == 0)\n"
        "    print(flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, meta], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    found = open_recording(unfinished(meta))
    assert found.samples >= 20 * 1001
    assert not meta.exists()
    assert by_its_library(unfinished(meta)).sample_count == found.samples


def test_a_full_disk_leaves_whole_samples(meta):
    with pytest.raises(Unable, match=r"cannot write .*unfinished\.sigmf-data"), Recorder(meta, 1e6) as recorder:
        small_files_only(recorder)
    assert np.array_equal(all_of(open_recording(unfinished(meta))), some(100))


def small_files_only(recorder):
    """The kernel writes a part of what goes beyond a process' limit of file sizes, as it does on a full disk."""
    before, limit = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    recorder.take(some(100), 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1003, limit[1]))
    try:
        recorder.take(some(100), 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
