"""NR's channel code, and what share of blocks fails with it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdr.radio import coded, ldpc, modulation
from sdr.radio.schemes import CQI, MCS, Scheme, computed_errors, loss
from testbed.errors import BadInput

SHORT = 200
"""Bits, up to which rates above 0.88 may be beyond what is decoded by messages, noise or none."""
SIZES = st.integers(24, 3840).flatmap(
    lambda size: st.tuples(
        st.just(size), st.floats(0.08, 0.94 if size > SHORT else 0.88), st.sampled_from(modulation.ORDERS)
    )
)


def block_of(size, seed=0):
    return np.random.default_rng(seed).integers(0, 2, size).astype(np.uint8)


@pytest.mark.parametrize(("graph", "rows", "columns", "entries"), [(1, 46, 68, 316), (2, 42, 52, 197)])
def test_base_graphs_are_as_large_as_the_tables(graph, rows, columns, entries):
    """Beyond the core, every row has one parity of its own."""
    found = ldpc.base_graph(graph, 384)
    assert (len(found), 1 + max(column for row in found for column, _ in row)) == (rows, columns)
    assert sum(map(len, found)) == entries
    assert [max(row)[0] for row in found[4:]] == list(range(columns - rows + 4, columns))
    assert all(0 <= shift < 384 for row in found for _, shift in row)


@pytest.mark.parametrize("lifting", ldpc.LIFTING)
@pytest.mark.parametrize("graph", [1, 2])
def test_every_check_holds_in_every_code_word(graph, lifting):
    columns, rows = {1: (22, 46), 2: (10, 42)}[graph]
    code = ldpc.Code(graph, columns * lifting, (columns + rows - 2) * lifting, 1, lifting)
    word = ldpc.code_word(block_of(columns * lifting), code)
    assert len(word) == columns + rows
    for row in ldpc.base_graph(graph, lifting):
        assert not np.bitwise_xor.reduce([np.roll(word[column], -shift) for column, shift in row]).any()


@given(SIZES, st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_what_is_sent_is_read_again(case, seed):
    size, rate, order = case
    code, block = ldpc.code(size, rate, order), block_of(size, seed)
    coded_bits = ldpc.encode(block, code)
    assert len(coded_bits) % order == 0
    assert len(coded_bits) == pytest.approx(size / rate, abs=order)
    points = modulation.constellation(order)[coded_bits.reshape(-1, order) @ (1 << np.arange(order - 1, -1, -1))]
    soft = modulation.soft(points, order, 0.01)
    assert np.array_equal(soft < 0, coded_bits)
    assert np.array_equal(ldpc.decode(soft, code), block)


@pytest.mark.parametrize("order", modulation.ORDERS)
def test_soft_bits_are_as_likely_as_the_points_say(order):
    random = np.random.default_rng(order)
    points = (random.standard_normal((50, 2), np.float32)).view(np.complex64)[:, 0]
    likely = np.exp(-(np.abs(points[:, None] - modulation.constellation(order)) ** 2) / 0.5)
    bits = np.arange(2**order)[:, None] >> np.arange(order - 1, -1, -1) & 1
    wanted = [np.log(likely[:, one == 0].sum(1) / likely[:, one == 1].sum(1)) for one in bits.T]
    assert np.allclose(modulation.soft(points, order, 0.5).reshape(-1, order).T, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("scheme", [MCS["64qam"][7], MCS["256qam"][20], CQI["256qam"][14]])
def test_as_many_blocks_fail_as_was_measured(scheme):
    """A tenth fails at the SNR stored, to 0.25 dB; on both sides of it that share is far from a tenth."""
    tenth = next(snr for snr in np.arange(-12, 30, 0.01) if computed_errors(scheme, snr, coded.SIZE) <= 0.1)
    begin = float(tenth) + loss(scheme)
    assert coded.failing(scheme, begin - 0.25, blocks=40, seed=1) > 0.15
    assert coded.failing(scheme, begin + 0.25, blocks=40, seed=2) < 0.15


def test_all_schemes_were_measured_and_no_code_beats_the_best():
    schemes = {one for table in (CQI, MCS) for each in table.values() for one in each}
    losses = [loss(scheme) for scheme in schemes]
    assert 0.3 < min(losses) <= max(losses) < 2.5
    assert loss(Scheme(2, 0.48)) == pytest.approx(
        (loss(Scheme(2, 449 / 1024)) + loss(Scheme(2, 526 / 1024))) / 2, abs=0.1
    )


@pytest.mark.parametrize("case", [(0, 0.5, 2), (8449, 0.9, 2), (100, 0.0, 2), (100, 1.0, 2)])
def test_what_is_no_code_block_is_refused(case):
    with pytest.raises(BadInput, match="expected 1 to"):
        ldpc.code(*case)
