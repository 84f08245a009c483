"""Blocks through NR's code, points and white noise: what share of them fails, measured.

`python -m sdr.radio.coded` measures how many dB later than computed (`schemes.computed_errors`) each scheme of the
tables lets a tenth of its blocks fail, and prints what `losses.csv` holds.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from sdr.radio import ldpc, modulation
from sdr.radio.schemes import CQI, MCS, Scheme, computed_errors

SIZE = 3840
"""Bits of the blocks: the most of base graph 2, so that both base graphs have their part."""
_STEP, _BLOCKS = 0.15, 160
_SEED = 38_212


def failing(scheme: Scheme, snr: float, size: int = SIZE, blocks: int = _BLOCKS, seed: int = _SEED) -> float:
    """Return what share of code blocks is not what was sent.

    Args:
        snr: of a resource element, dB. size: bits of a block, its check included.
    """
    code = ldpc.code(size, scheme.rate, scheme.order)
    random = np.random.Generator(np.random.Philox(seed))
    weights = 1 << np.arange(scheme.order - 1, -1, -1)
    noise, failed = 10 ** (-snr / 10), 0
    for _ in range(blocks):
        block = random.integers(0, 2, size).astype(np.uint8)
        values = ldpc.encode(block, code).reshape(-1, scheme.order) @ weights
        sent = modulation.constellation(scheme.order)[values]
        disturbed = random.standard_normal((len(sent), 2), np.float32).view(np.complex64)[:, 0] * np.sqrt(noise / 2)
        soft = modulation.soft((sent + disturbed).astype(np.complex64), scheme.order, noise)
        failed += bool((ldpc.decode(soft, code) != block).any())
    return failed / blocks


def late(scheme: Scheme, size: int = SIZE) -> float:
    """Return by how many dB later than computed a tenth of the blocks fails.

    From shares at a few SNRs: their distances from the mean of a normal distribution lie on a line.
    """
    begin = _tenth(scheme, size)
    normal, found = NormalDist(), []
    for step in range(1, 40):
        share = failing(scheme, begin + step * _STEP, size)
        if 0 < share < 0.9:
            found.append((step * _STEP, normal.inv_cdf(share)))
        if share < 0.02 and len(found) > 1:
            break
    slope, offset = np.polyfit([over for over, _ in found], [distance for _, distance in found], 1)
    return float((normal.inv_cdf(0.1) - offset) / slope)


def _tenth(scheme: Scheme, size: int) -> float:
    """The SNR at which a tenth is computed to fail, dB."""
    low, high = -20.0, 40.0
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if computed_errors(scheme, middle, size) > 0.1 else (low, middle)
    return high


def main() -> None:
    """Measure all schemes."""
    print("# bits of a point, code rate in 1024ths, dB later than computed: printed by python -m sdr.radio.coded")
    for order, rate in sorted(
        {(one.order, one.rate) for table in (CQI, MCS) for each in table.values() for one in each}
    ):
        print(f"{order},{1024 * rate:g},{late(Scheme(order, rate)):.2f}", flush=True)


if __name__ == "__main__":
    main()
