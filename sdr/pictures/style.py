"""How pictures look, and how they become files. matplotlib draws; it is imported when something is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.errors import BadInput, Unable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

INK, SOFT, LINE = "#17202a", "#566373", "#dfe4ea"
FIRST, SECOND = "#2f6fde", "#d9660a"
"""Blue and orange, which every kind of colour-blindness tells apart; the reports have the same."""
LEVELS = "viridis"
"""Colours of levels: even steps to the eye, rising in lightness, so that a grey print can be read too."""
NAMES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
"""Colours of things that have names (Okabe and Ito 2008: told apart by the colour-blind)."""

_RULES: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a file's name may have dollars in it
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "legend.frameon": False,
    "svg.hashsalt": "testbed",  # the same picture is the same file
}


def check(out: Path) -> None:
    """Refuse a file that no picture can go to, before anything is computed.

    Raises:
        BadInput: its name ends in something else than .png or .svg, or its folder does not exist.
    """
    if out.suffix not in (".png", ".svg"):
        raise BadInput(f"--out {out}: expected a name that ends in .png or .svg")
    if not out.parent.is_dir():
        raise BadInput(f"--out {out}: there is no folder {out.parent}")


def figure(width: float, height: float, title: str) -> Figure:
    """Return an empty picture; sizes in inches, of which a PNG has 120 dots each."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update(_RULES)
    made = Figure(figsize=(width, height), dpi=120, layout="constrained")
    made.suptitle(title, x=0.01, horizontalalignment="left")
    return made


def save(picture: Figure, out: Path) -> None:
    """Write a picture as what its file's name says.

    Raises:
        BadInput: see `check`. Unable: the file cannot be written.
    """
    check(out)
    nothing = {".png": {"Software": None}, ".svg": {"Date": None}}
    try:
        picture.savefig(out, metadata=nothing[out.suffix], bbox_inches="tight", pad_inches=0.12)
    except OSError as error:
        raise Unable(f"--out {out}: {error.strerror or error}") from None


def label(axes: Axes, across: str, up: str, title: str = "") -> None:
    """Name a panel and what its axes show, with the units."""
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    if title:
        axes.set_title(title)


def plain(axes: Axes) -> None:
    """Take the grid away where colours fill the panel, and close its frame."""
    axes.grid(False)
    axes.spines[:].set_visible(True)
