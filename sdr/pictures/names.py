"""Names of places on a map, where they cover nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sdr.pictures.style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

_APART = 6.0
"""Points between a place and its name."""
_BESIDE = {
    (0, 1): ("center", "bottom"),
    (1, 0): ("left", "center"),
    (-1, 0): ("right", "center"),
    (0, -1): ("center", "top"),
}
"""Where a name may stand, the best first: which way from its place, and which of its sides is there."""


def write_names(axes: Axes, places: Mapping[str, tuple[float, float]]) -> list[str]:
    """Write names beside places, each where it covers no other name, no place and no edge.

    Call it last, for it must know where everything is: it ends the picture's layout.

    Args:
        places: by name, the most important first, in the axes' coordinates.

    Returns:
        The names that found no room, and were left out.
    """
    from matplotlib.transforms import Bbox

    picture = axes.get_figure(root=True)
    assert picture is not None
    picture.draw_without_rendering()
    picture.set_layout_engine("none")
    marked = [axes.transData.transform(place) for place in places.values()]
    taken = [Bbox.from_extents(x, y, x, y).padded(_APART * picture.dpi / 72 / 2) for x, y in marked]
    taken += [text.get_window_extent() for text in axes.texts]
    return [name for name, place in places.items() if not _written(axes, name, place, taken)]


def _written(axes: Axes, name: str, place: tuple[float, float], taken: list[Bbox]) -> bool:
    for way in _BESIDE:
        text = _write(axes, name, place, way)
        box = text.get_window_extent()
        inside = axes.bbox.contains(box.x0, box.y0) and axes.bbox.contains(box.x1, box.y1)
        if inside and not box.count_overlaps(taken):
            taken.append(box)
            return True
        text.remove()
    return False


def _write(axes: Axes, name: str, place: tuple[float, float], way: tuple[int, int]) -> Annotation:
    from matplotlib.patheffects import withStroke

    across, up = _BESIDE[way]
    return axes.annotate(
        name, place, (_APART * way[0], _APART * way[1]), textcoords="offset points", color=INK, fontsize=8,
        horizontalalignment=across, verticalalignment=up, path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )  # fmt: skip
