"""Where cells are heard: which one best and how loudly, over an area, from their positions and a path loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import log10
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from sdr.channel.pathloss import BY_DISTANCE, Place, Scenario, by_distance, find, share_of
from sdr.pictures import style
from sdr.pictures.names import write_names
from testbed.errors import BadInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Position = tuple[float, float, float]
"""Metres to the east, to the north and above the ground."""
Area = tuple[float, float, float, float]
"""West, south, east and north edge, metres."""
Loss = Callable[[Place], float]
"""dB between two places."""
Values = NDArray[np.float64]

POINTS = 241
"""Points along the longer side of an area."""
_DISTANCES = 1024
"""Distances at which a loss is computed; between them straight lines over the logarithm, to some 0.01 dB."""
_STEP = 10.0
"""dB from one contour to the next."""
_PALE = 0.75
"""Opacity of the cells' colours, so that names can be read on them."""


@dataclass(frozen=True)
class Site:
    """A cell: where it is, and with what power (dBm) it sends a sample of magnitude 1."""

    position: Position
    power: float = 0.0


@dataclass(frozen=True)
class User:
    """A UE: where it is, and every cell's level there, dBm."""

    position: Position
    levels: Mapping[str, float]

    @property
    def best(self) -> str:
        """The cell that it hears best."""
        return max(self.levels, key=lambda name: self.levels[name])


@dataclass(frozen=True)
class Coverage:
    """What arrives where.

    Attributes:
        cells: by name. height: above ground of who listens, m. east, north: of the points, m.
        levels: by cell, northing, easting: power of a sample of magnitude 1 where it arrives, dBm; with `element` of
            a resource element, which is RSRP.
        users: UEs by name. element: power of a resource element over that of a sample of magnitude 1, dB.
        smooth: levels differ little between neighbouring points, so that contours say something.
    """

    cells: Mapping[str, Site]
    height: float
    east: Values
    north: Values
    levels: Values
    users: Mapping[str, User]
    element: float | None = None
    smooth: bool = True

    @property
    def best(self) -> NDArray[np.intp]:
        """The number of the cell that is heard best, by northing and easting."""
        return self.levels.argmax(axis=0)

    @property
    def level(self) -> Values:
        """The level of that cell, dBm."""
        return self.levels.max(axis=0)

    def shares(self) -> dict[str, float]:
        """Return the share of the area in which each cell is heard best."""
        counts = np.bincount(self.best.ravel(), minlength=len(self.cells)) / self.best.size
        return dict(zip(self.cells, counts.tolist(), strict=True))

    def plain(self) -> dict[str, Any]:
        """Return the numbers drawn, for JSON: levels to 0.01 dB, cells by their number in `cells`."""
        cells = {name: {"position": list(one.position), "power": one.power} for name, one in self.cells.items()}
        return {
            "cells": cells, "height": self.height, "element": self.element, "shares": self.shares(),
            "east": self.east.tolist(), "north": self.north.tolist(),
            "best": self.best.tolist(), "level": self.level.round(2).tolist(),
            "users": {
                name: {"position": list(one.position), "best": one.best, "levels": dict(one.levels)}
                for name, one in self.users.items()
            },
        }  # fmt: skip


class Losses(Protocol):
    """What is lost between cells and listeners, dB; `smooth` as of Coverage."""

    smooth: ClassVar[bool]

    def over(self, cell: str, here: Place, site: Site, grid: tuple[Values, Values]) -> Values:
        """Return it over an area, by northing and easting; `here` has the heights and the carrier."""
        ...

    def to(self, cell: str, place: Place, at: Position) -> float:
        """Return it at one place."""
        ...


@dataclass(frozen=True)
class Mean:
    """What to expect: it depends on the distance alone, so it is computed for some and looked up."""

    smooth: ClassVar[bool] = True
    loss: Loss

    def over(self, cell: str, here: Place, site: Site, grid: tuple[Values, Values]) -> Values:
        distances = _distances(site, grid)
        return _looked_up(distances, here, self.loss)

    def to(self, cell: str, place: Place, at: Position) -> float:
        return self.loss(place)


@dataclass(frozen=True)
class Drawn:
    """What the seeds of a scenario draw: lines of sight and shadowing, as the broker has them.

    Attributes:
        seeds: by cell. sight: given for all, or None. shadowing: whether it is added.
    """

    smooth: ClassVar[bool] = False
    model: Scenario
    seeds: Mapping[str, Sequence[int]]
    sight: bool | None = None
    shadowing: bool = True

    def over(self, cell: str, here: Place, site: Site, grid: tuple[Values, Values]) -> Values:
        model, distances, seed = self.model, _distances(site, grid), self.seeds[cell]
        if self.sight is None:
            drawn = np.vectorize(share_of)(model.field(2, seed).over(*grid))
            in_sight = drawn < _looked_up(distances, here, model.sight)
        else:
            in_sight = np.full(distances.shape, self.sight)
        ways = [_looked_up(distances, here, partial(model.loss, in_sight=way)) for way in (True, False)]
        if self.shadowing:
            for hidden in (0, 1):
                deviation = _looked_up(distances, here, lambda place, hidden=hidden: model.shadow(place)[hidden])
                ways[hidden] = ways[hidden] + deviation * model.field(hidden, seed).over(*grid)
        return np.where(in_sight, *ways)

    def to(self, cell: str, place: Place, at: Position) -> float:
        return self.model.draw(place, at[:2], self.seeds[cell], self.sight, self.shadowing)[1]


def path_loss(model: str, exponent: float = 2.0, reference: float | None = None, sight: bool | None = None) -> Loss:
    """Return the loss between two places, without shadowing.

    Args:
        model: free-space, log-distance, or a scenario of TR 38.901 (sdr.channel.pathloss).
        exponent, reference: of log-distance: its slope, and its loss (dB) at 1 m; by default that of free space.
        sight: whether there is a line of sight. None weighs the powers with and without one by its probability.

    Raises:
        BadInput: no such model.
    """
    if model in BY_DISTANCE:
        return lambda place: by_distance(model, place.length, place.carrier, exponent, reference)
    scenario = find(model)

    def loss(place: Place) -> float:
        share = scenario.sight(place) if sight is None else float(sight)
        ways = ((share, True), (1 - share, False))
        return -10 * log10(sum(part * 10 ** (-scenario.loss(place, way) / 10) for part, way in ways if part))

    return loss


def cover(
    cells: Mapping[str, Site], users: Mapping[str, Position], losses: Losses, carrier: float, *,
    height: float = 1.5, area: Area | None = None, element: float | None = None,
) -> Coverage:  # fmt: skip
    """Compute every cell's level over an area, and where UEs are.

    Args:
        cells, users: by name. carrier: Hz. height: above ground of who listens in the area, m.
        area: by default around all of them. element: see Coverage.

    Raises:
        BadInput: no cell, an area without extent, or a place where the loss does not hold.
    """
    grid = _grid(area or around([*(cell.position for cell in cells.values()), *users.values()]))
    sent = {name: cell.power + (element or 0.0) for name, cell in cells.items()}
    levels: list[Values] = []
    for name, cell in cells.items():
        with _named(name):
            here = Place(1.0, cell.position[2], height, carrier)
            levels.append(sent[name] - losses.over(name, here, cell, grid))
    heard: dict[str, User] = {}
    for name, position in users.items():
        with _named(name):
            there = {
                one: sent[one] - losses.to(one, _place(cell.position, position, carrier), position)
                for one, cell in cells.items()
            }
        heard[name] = User(position, there)
    return Coverage(dict(cells), height, *grid, np.array(levels), heard, element, losses.smooth)


def _grid(area: Area) -> tuple[Values, Values]:
    """Return eastings and northings, as far apart as each other."""
    west, south, east, north = area
    if not (west < east and south < north and np.isfinite(area).all()):
        raise BadInput(
            f"an area from {west:g} to {east:g} m east and {south:g} to {north:g} m north; expected rising numbers"
        )
    step = max(east - west, north - south) / (POINTS - 1)
    across = np.linspace(west, east, max(2, round((east - west) / step) + 1))
    return across, np.linspace(south, north, max(2, round((north - south) / step) + 1))


@contextmanager
def _named(radio: str) -> Iterator[None]:
    """Say of which radio a place is that cannot be."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{radio}: {error}") from None


def _distances(site: Site, grid: tuple[Values, Values]) -> Values:
    """Return how far a cell's foot is from each point, 1 m at least."""
    x, y, _ = site.position
    return np.maximum(np.hypot(grid[0][None, :] - x, grid[1][:, None] - y), 1.0)


def _looked_up(distances: Values, here: Place, what: Callable[[Place], float]) -> Values:
    """Return what depends on the distance alone, computed for some distances."""
    known = np.geomspace(1.0, max(2.0, distances.max()), _DISTANCES)
    values = [what(replace(here, distance=float(one))) for one in known]
    return np.interp(np.log(distances), np.log(known), values)


def _place(cell: Position, user: Position, carrier: float) -> Place:
    distance = float(np.hypot(user[0] - cell[0], user[1] - cell[1]))
    return Place(distance, cell[2], user[2], carrier)


def around(positions: Iterable[Position], margin: float = 0.25, least: float = 100.0) -> Area:
    """Return the area in which positions lie, wider by a share of its longer side on each side, `least` m at least."""
    places = np.array([position[:2] for position in positions])
    low, high = places.min(axis=0), places.max(axis=0)
    wider = max(least, margin * float((high - low).max()))
    west, south, east, north = (*(low - wider), *(high + wider))
    return float(west), float(south), float(east), float(north)


# --- the picture -----------------------------------------------------------------------------------------------------


def draw(it: Coverage, title: str) -> Figure:
    """Draw the best cell's level with contours, and beside it which cell that is; radios are named where they fit."""
    tall = (it.north[-1] - it.north[0]) / (it.east[-1] - it.east[0])
    picture = style.figure(11, float(np.clip(4 * tall, 2.5, 9)) + 1.2, title)
    picture.set_layout_engine("compressed")
    levels, servers = picture.subplots(1, 2, sharex=True, sharey=True)
    _draw_levels(levels, it)
    _draw_servers(servers, it)
    what = "Level of the best cell at {:g} m, for samples of magnitude 1" if it.element is None else "RSRP at {:g} m"
    style.label(levels, "east, m", "north, m", what.format(it.height))
    style.label(servers, "east, m", "", "Best cell, and its share of the area")
    for axes in (levels, servers):
        axes.set(xlim=it.east[[0, -1]], ylim=it.north[[0, -1]], aspect="equal")
        _mark(axes, it.cells.values(), "^", 8)
        _mark(axes, it.users.values(), "o", 5)
    places = {name: one.position[:2] for name, one in {**it.cells, **it.users}.items()}
    for axes in (levels, servers):
        write_names(axes, places)
    return picture


def _extent(it: Coverage) -> tuple[float, float, float, float]:
    """The edges of the outermost points' squares."""
    dx, dy = (it.east[1] - it.east[0]) / 2, (it.north[1] - it.north[0]) / 2
    return it.east[0] - dx, it.east[-1] + dx, it.north[0] - dy, it.north[-1] + dy


def _draw_levels(axes: Axes, it: Coverage) -> None:
    style.plain(axes)
    low, common, high = np.percentile(it.level, (0, 95, 99.5))  # at a cell's foot it rises without end
    low, high = 5 * np.floor(low / 5), 5 * np.ceil(high / 5)
    shown = {"origin": "lower", "extent": _extent(it), "vmin": low, "vmax": high}
    image = axes.imshow(it.level, cmap=style.LEVELS, interpolation="bilinear", **shown)
    if it.smooth:
        steps = np.arange(_STEP * np.ceil(low / _STEP), common, _STEP)
        lines = axes.contour(it.east, it.north, it.level, steps, colors="white", linewidths=0.8, linestyles="solid")
        axes.clabel(lines, fmt="%g", fontsize=7)
    axes.figure.colorbar(
        image,
        ax=axes,
        label="level, dBm" if it.element is None else "RSRP, dBm",
        extend="max",
        extendfrac=0.03,
        shrink=0.95,
    )


def _draw_servers(axes: Axes, it: Coverage) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    style.plain(axes)
    colours = [style.NAMES[number] for number in _colours(it.best, len(it.cells))]
    shown = {"origin": "lower", "extent": _extent(it), "vmin": 0, "vmax": max(1, len(colours) - 1)}
    axes.imshow(it.best, cmap=ListedColormap(colours), alpha=_PALE, **shown)
    for number in np.unique(it.best)[1:] if it.smooth else ():
        axes.contour(it.east, it.north, it.best == number, [0.5], colors="white", linewidths=1.0)
    named = [
        Patch(facecolor=colour, alpha=_PALE, label=f"{name} {100 * share:.0f} %")
        for colour, (name, share) in zip(colours, it.shares().items(), strict=True)
    ]
    axes.legend(handles=named, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)


def _colours(best: NDArray[np.intp], cells: int) -> list[int]:
    """Return numbers of style.NAMES: of those that no neighbour has, where there are any, the least used."""
    sides = ((best[:, 1:], best[:, :-1]), (best[1:], best[:-1]))
    pairs = np.concatenate([np.stack((one[one != other], other[one != other])) for one, other in sides], axis=1)
    chosen: list[int] = []
    for cell in range(cells):
        beside = {chosen[one] for one in np.unique(pairs[1, pairs[0] == cell]) if one < cell}
        beside |= {chosen[one] for one in np.unique(pairs[0, pairs[1] == cell]) if one < cell}
        chosen.append(min(range(len(style.NAMES)), key=lambda colour: (colour in beside, chosen.count(colour), colour)))
    return chosen


def _mark(axes: Axes, radios: Iterable[Site | User], marker: str, size: float) -> None:
    for x, y, _ in (one.position for one in radios):
        axes.plot(x, y, marker, color=style.INK, markersize=size, markeredgecolor="white")
