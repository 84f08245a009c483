"""Power-delay profiles of 3GPP, each with its clause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

from testbed.errors import BadInput, nearest


@dataclass(frozen=True)
class Profile:
    """The paths of a profile.

    Attributes:
        source: clause. paths: (delay, mean power in dB); a delay is in seconds, or in delay spreads where `scaled`.
        direct: mean power in dB of the direct path, which comes with the first of `paths` and doesn't fade; or None.
        direct_doppler: share of the largest Doppler shift at which the direct path comes.
    """

    source: str
    paths: tuple[tuple[float, float], ...]
    scaled: bool = True
    direct: float | None = None
    direct_doppler: float = 0.7

    def delays(self, spread: float | None = None) -> list[float]:
        """Return the delays in seconds.

        Args:
            spread: seconds, the delay spread that a profile of normalised delays is scaled to (TR 38.901 clause 7.7.3).

        Raises:
            BadInput: a spread is missing, not positive, or given to a profile that states its delays itself.
        """
        if not self.scaled:
            if spread is not None:
                raise BadInput(
                    f"a delay spread of {spread:g} s for a profile that states its delays itself; leave it out"
                )
            return [delay for delay, _ in self.paths]
        if spread is None or not 0 < spread < 1:
            raise BadInput(f"delay spread is {spread}; this profile needs one in seconds, such as 100e-9")
        return [delay * spread for delay, _ in self.paths]

    def powers(self) -> tuple[list[float], float]:
        """Return the mean powers of the fading paths and of the direct one, together 1."""
        fading = [10 ** (power / 10) for _, power in self.paths]
        direct = 0.0 if self.direct is None else 10 ** (self.direct / 10)
        total = sum(fading) + direct
        return [power / total for power in fading], direct / total

    def spread(self) -> float:
        """Return the root mean square delay spread, in the unit of the paths' delays."""
        fading, direct = self.powers()
        powers = [fading[0] + direct, *fading[1:]]
        mean = sum(power * delay for power, (delay, _) in zip(powers, self.paths, strict=True))
        square = sum(power * delay**2 for power, (delay, _) in zip(powers, self.paths, strict=True))
        return sqrt(square - mean**2)


def _paths(delays: str, powers: str, unit: float = 1.0) -> tuple[tuple[float, float], ...]:
    pairs = zip(delays.split(), powers.split(), strict=True)
    return tuple((float(delay) * unit, float(power)) for delay, power in pairs)


def _given(source: str, delays: str, powers: str) -> Profile:
    return Profile(source, _paths(delays, powers, 1e-9), scaled=False)


PROFILES: Mapping[str, Profile] = {
    "TDL-A": Profile("TR 38.901 table 7.7.2-1", _paths(
        "0 0.3819 0.4025 0.5868 0.4610 0.5375 0.6708 0.5750 0.7618 1.5375 1.8978 2.2242 2.1718 2.4942 2.5119 "
        "3.0582 4.0810 4.4579 4.5695 4.7966 5.0066 5.3043 9.6586",
        "-13.4 0 -2.2 -4 -6 -8.2 -9.9 -10.5 -7.5 -15.9 -6.6 -16.7 -12.4 -15.2 -10.8 -11.3 -12.7 -16.2 -18.3 -18.9 "
        "-16.6 -19.9 -29.7",
    )),
    "TDL-B": Profile("TR 38.901 table 7.7.2-2", _paths(
        "0 0.1072 0.2155 0.2095 0.2870 0.2986 0.3752 0.5055 0.3681 0.3697 0.5700 0.5283 1.1021 1.2756 1.5474 "
        "1.7842 2.0169 2.8294 3.0219 3.6187 4.1067 4.2790 4.7834",
        "0 -2.2 -4 -3.2 -9.8 -1.2 -3.4 -5.2 -7.6 -3 -8.9 -9 -4.8 -5.7 -7.5 -1.9 -7.6 -12.2 -9.8 -11.4 -14.9 -9.2 "
        "-11.3",
    )),
    "TDL-C": Profile("TR 38.901 table 7.7.2-3", _paths(
        "0 0.2099 0.2219 0.2329 0.2176 0.6366 0.6448 0.6560 0.6584 0.7935 0.8213 0.9336 1.2285 1.3083 2.1704 "
        "2.7105 4.2589 4.6003 5.4902 5.6077 6.3065 6.6374 7.0427 8.6523",
        "-4.4 -1.2 -3.5 -5.2 -2.5 0 -2.2 -3.9 -7.4 -7.1 -10.7 -11.1 -5.1 -6.8 -8.7 -13.2 -13.9 -13.9 -15.8 -17.1 "
        "-16 -15.7 -21.6 -22.8",
    )),
    "TDL-D": Profile("TR 38.901 table 7.7.2-4", _paths(
        "0 0.035 0.612 1.363 1.405 1.804 2.596 1.775 4.042 7.937 9.424 9.708 12.525",
        "-13.5 -18.8 -21 -22.8 -17.9 -20.1 -21.9 -22.9 -27.8 -23.6 -24.8 -30.0 -27.7",
    ), direct=-0.2),
    "TDL-E": Profile("TR 38.901 table 7.7.2-5", _paths(
        "0 0.5133 0.5440 0.5630 0.5440 0.7112 1.9092 1.9293 1.9589 2.6426 3.7136 5.4524 12.0034 20.6519",
        "-22.03 -15.8 -18.1 -19.8 -22.9 -22.4 -18.6 -20.8 -22.6 -22.3 -25.6 -20.2 -29.8 -29.2",
    ), direct=-0.03),
    "TDLA30": _given("TS 38.101-4 table B.2.1.1-2", "0 10 15 20 25 50 65 75 105 135 150 290",
        "-15.5 0 -5.1 -5.1 -9.6 -8.2 -13.1 -11.5 -11.0 -16.2 -16.6 -26.2"),
    "TDLB100": _given("TS 38.101-4 table B.2.1.1-3", "0 10 20 30 35 45 55 120 170 245 330 480",
        "0 -2.2 -0.6 -0.6 -0.3 -1.2 -5.9 -2.2 -0.8 -6.3 -7.5 -7.1"),
    "TDLC300": _given("TS 38.101-4 table B.2.1.1-4", "0 65 70 190 195 200 240 325 520 1045 1510 2595",
        "-6.9 0 -7.7 -2.5 -2.4 -9.9 -8.0 -6.6 -7.1 -13.0 -14.2 -16.0"),
    "EPA": _given("TS 36.101 table B.2.1-2", "0 30 70 90 110 190 410", "0 -1 -2 -3 -8 -17.2 -20.8"),
    "EVA": _given("TS 36.101 table B.2.1-3", "0 30 150 310 370 710 1090 1730 2510",
        "0 -1.5 -1.4 -3.6 -0.6 -9.1 -7.0 -12.0 -16.9"),
    "ETU": _given("TS 36.101 table B.2.1-4", "0 50 120 200 230 500 1600 2300 5000", "-1 -1 -1 0 0 0 -3 -5 -7"),
    "NTN-TDL-A": Profile("TR 38.811 table 6.9.2-1", _paths("0 1.0811 2.8416", "0 -4.675 -6.482")),
    "NTN-TDL-B": Profile("TR 38.811 table 6.9.2-2", _paths("0 0.7249 0.7410 5.7392", "0 -1.973 -4.332 -11.914")),
    "NTN-TDL-C": Profile("TR 38.811 table 6.9.2-3", _paths("0 14.8124", "-10.618 -23.373"), direct=-0.394),
    "NTN-TDL-D": Profile(
        "TR 38.811 table 6.9.2-4", _paths("0 0.5596 7.3340", "-11.991 -9.887 -16.771"), direct=-0.284
    ),
}  # fmt: skip


def find(name: str) -> Profile:
    """Return the profile called `name`.

    Raises:
        BadInput: no such profile; the message lists the known ones, the nearest first.
    """
    if name not in PROFILES:
        raise BadInput(f"no profile called {name!r}{nearest(name, PROFILES)} (known: {', '.join(PROFILES)})")
    return PROFILES[name]
