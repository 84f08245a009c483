"""A link's settings as a person types them: `delay=20ms loss=1% rate=none`, partial both ways.

A guest's agent reads them too, so what takes long to import (profiles, the models) is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from msgspec import UNSET, structs

from testbed import units
from testbed.emulator.netem import DISTRIBUTIONS
from testbed.emulator.patch import GilbertElliott, LinkPatch
from testbed.errors import BadInput, nearest

if TYPE_CHECKING:
    from testbed.model.traces.track import Setting

_TABLES = {
    **dict.fromkeys(("delay", "wait", "jitter"), units.TIME),
    "rate": units.RATE,
    **dict.fromkeys(("jitter_correlation", "loss", "loss_correlation", "duplicate", "reorder", "corrupt"), units.SHARE),
}
_EXAMPLES = {id(units.TIME): "20ms", id(units.RATE): "100Mbit", id(units.SHARE): "1%"}
_FIELDS = structs.fields(LinkPatch)


def read_patch(words: Iterable[str]) -> LinkPatch:
    """Read `key=value` words.

    `rate=none`, `limit=none` and `burst=none` take them away; `burst=p/r[/bad_loss[/good_loss]]` in percent.

    Raises:
        BadInput: unknown key (with the nearest), a value out of its range or without its unit.
    """
    values: dict[str, Any] = {}
    for word in words:
        key, separator, text = word.partition("=")
        key = key.replace("-", "_")
        known = [field.name for field in _FIELDS]
        if not separator or key not in known:
            also = ", ".join((*known, "profile"))
            raise BadInput(f"{word!r}: expected KEY=VALUE{nearest(key, known)} (known: {also})")
        if key in values:
            raise BadInput(f"{word!r}: {key} is given twice")
        values[key] = _read(key, text)
    return LinkPatch(**values)


def _read(key: str, text: str) -> Any:
    try:
        return _value(key, text)
    except ValueError as error:
        raise BadInput(f"{key}={text}: {error}") from None


def _value(key: str, text: str) -> Any:
    if key in ("rate", "limit", "burst") and text == "none":
        return None
    if key == "burst":
        shares = [_quantity(units.SHARE, part) for part in text.split("/")]
        if not 2 <= len(shares) <= 4:
            raise ValueError("expected p/r, p/r/bad_loss or p/r/bad_loss/good_loss, such as 1%/10%, or none")
        return GilbertElliott(**dict(zip(("p", "r", "bad_loss", "good_loss"), shares, strict=False)))
    if key == "distribution":
        if text not in DISTRIBUTIONS:
            raise ValueError(f"expected one of {', '.join(DISTRIBUTIONS)}{nearest(text, DISTRIBUTIONS)}")
        return text
    if key == "limit":
        if not text.isascii() or not text.isdigit() or int(text) == 0:
            raise ValueError("expected a whole number of packets above 0, or none")
        return int(text)
    value = _quantity(_TABLES[key], text)
    if key == "rate" and value == 0:
        raise ValueError("expected a rate above 0; rate=none takes the limit away")
    return value


def _quantity(table: Any, text: str) -> float:
    if text == "0" and table is not units.RATE:
        return 0.0
    value = units.parse(text, table, _EXAMPLES[id(table)])
    if value < 0 or (table is units.SHARE and value > 1):
        raise ValueError("expected 0% to 100%" if table is units.SHARE else "expected no negative value")
    return value


def read_directions(words: Iterable[str]) -> tuple[LinkPatch, LinkPatch]:
    """Read words as `read_patch` does, and `profile=CALL`, which sets everything; the others go over it.

    Returns:
        What changes forward, and backward; a profile may differ in them.

    Raises:
        BadInput: as `read_patch`; no such profile or parameter.
    """
    given = list(words)
    calls = [word.removeprefix("profile=") for word in given if word.startswith("profile=")]
    patch = read_patch(word for word in given if not word.startswith("profile="))
    if not calls:
        return patch, patch
    from testbed.emulator.lower import patch_of
    from testbed.model.profile import load_profile

    said = {name: value for name, value in structs.asdict(patch).items() if value is not UNSET}
    forward, backward = (structs.replace(patch_of(one), **said) for one in load_profile(calls[-1]))
    return forward, backward


def write_patch(patch: LinkPatch, only: LinkPatch | None = None) -> list[str]:
    """Write settings as words that `read_patch` reads back.

    Args:
        patch: the settings.
        only: where given, exactly the keys set in it are written, also those at rest; otherwise what is at rest
            (zero, none, uniform) is left out.
    """
    words = []
    for field in _FIELDS:
        value = getattr(patch, field.name)
        named = only is not None and getattr(only, field.name) is not UNSET
        if named or (only is None and value not in (UNSET, None, 0, "uniform")):
            words.append(f"{field.name}={_show(field.name, value)}")
    return words


def write_setting(setting: Setting) -> str:
    """Write one setting of a trace; `wait` is on top of the link's own delay."""
    return " ".join(
        f"{name}={units.show(value, _TABLES[name])}" for name, value in cast(dict[str, float], setting).items()
    )


def _show(key: str, value: Any) -> str:
    if value is None or value is UNSET:
        return "none" if key in ("rate", "limit", "burst") else "0"
    if isinstance(value, GilbertElliott):
        return "/".join(units.show(share, units.SHARE) for share in (value.p, value.r, value.bad_loss, value.good_loss))
    if isinstance(value, tuple):
        return "measured"
    return units.show(value, _TABLES[key]) if key in _TABLES else str(value)
