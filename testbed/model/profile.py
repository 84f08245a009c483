"""Link profiles: files that turn a few parameters into what a link does to packets, `fibre(km=80)`.

A profile says what it is `about`, its `source`, its `parameters`, values worked out on the way (`let`), and the
`impairment` of both directions with what differs `forward` and `backward`. A value that begins with `=` is worked out
from the parameters, in SI, with the constants and functions of NAMES and FUNCTIONS.
"""

from __future__ import annotations

import ast
import math
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import simpleeval

from testbed import units
from testbed.errors import BadInput, nearest
from testbed.model import measured, propagation
from testbed.model.call import parse
from testbed.model.impairment import Impairment
from testbed.model.source import Tree, read_yaml, shown
from testbed.model.validated import validated

PROFILES = Path(__file__).resolve().parents[2] / "netem_profiles"
DIRECTIONS = ("forward", "backward")

NAMES: Mapping[str, float] = {
    **{unit: units.TIME[unit] for unit in ("s", "ms", "us", "ns")},
    **{unit: units.RATE[unit] for unit in ("kbit", "Mbit", "Gbit")},
    "percent": 0.01,
}
_ARITHMETIC = (min, max, abs, round, math.sqrt, math.exp, math.log10, math.sin)
_PHYSICS = (
    propagation.fibre_delay,
    propagation.air_delay,
    propagation.rain_fade,
    propagation.modulation_bits,
    propagation.slant_range,
    propagation.pass_seconds,
)
FUNCTIONS = {function.__name__: function for function in (*_ARITHMETIC, *_PHYSICS)}
_KEYS = ("about", "source", "parameters", "let", "impairment", *DIRECTIONS)
_PARAMETER_KEYS = {
    "default": int | float | str,
    "least": int | float,
    "most": int | float,
    "unit": str,
    "choices": list | dict,
    "about": str,
}
_REFUSED = (ast.Attribute, ast.Subscript, ast.JoinedStr)
_FAULTS = (
    simpleeval.InvalidExpression, SyntaxError, ArithmeticError, ValueError, TypeError, LookupError, RecursionError,
)  # fmt: skip
"""What an expression may raise that parses as one or not."""
_TIMES, _RATES = ("delay", "jitter"), ("rate",)

Value = float | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a profile can be given: a number from `least` to `most` in `unit`, or one of `choices`.

    A choice may bring values of its own, which expressions then name.
    """

    default: Value
    least: float = -math.inf
    most: float = math.inf
    unit: str = ""
    choices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    about: str = ""

    @property
    def span(self) -> str:
        """What it takes, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return f"a number from {self.least:g} to {self.most:g}{f' {self.unit}' if self.unit else ''}"

    def read(self, text: str) -> Value:
        """Return the value that `text` gives.

        Raises:
            ValueError: it is none this parameter takes; the message says what it takes.
        """
        if self.choices:
            if text not in self.choices:
                raise ValueError(f"expected {self.span}{nearest(text, self.choices)}")
            return text
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not self.least <= value <= self.most:
            raise ValueError(f"expected {self.span}")
        return value


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile as it stands in its file."""

    name: str
    path: Path
    about: str
    source: str
    tree: Tree = field(repr=False)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def call(self) -> str:
        """How it is written with its defaults: `fibre(km=10)`."""
        given = ", ".join(f"{name}={_plain(p.default)}" for name, p in self.parameters.items())
        return f"{self.name}({given})" if given else self.name


# --- finding ---------------------------------------------------------------------------------------------------------


def folders(beside: Path | None = None) -> list[Path]:
    """Return where profiles are looked for, the first found counts: a file's folder, the user's, the product's.

    The user's is `$XDG_CONFIG_HOME/testbed/netem_profiles`, by default `~/.config/testbed/netem_profiles`.
    """
    near = [] if beside is None else [beside / "netem_profiles"]
    return [*near, user_folder(), PROFILES]


def user_folder() -> Path:
    """Return the folder whose profiles every topology of this user can name."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "testbed" / "netem_profiles"


def profile_names(beside: Path | None = None) -> list[str]:
    """Return the names of the profiles there are, sorted."""
    return sorted({path.stem for folder in folders(beside) for path in folder.glob("*.yaml")})


def read_profile(name: str, beside: Path | None = None) -> Profile:
    """Read a profile's file, all but the impairments.

    Raises:
        BadInput: there is no such profile (the message names the nearest), or what stands around the impairments is
            wrong: file, line and column, the value, what was expected.
    """
    path = next((path for folder in folders(beside) if (path := folder / f"{name}.yaml").is_file()), None)
    if path is None:
        known = profile_names(beside)
        raise BadInput(f"no link profile called {name!r}{nearest(name, known)} (known: {', '.join(known)})")
    return _read(name, path, path.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _read(name: str, path: Path, changed: int) -> Profile:
    """A topology names the same few profiles on hundreds of links; `changed` makes a file that was edited another."""
    del changed
    tree = read_yaml(path)
    _only(tree, _KEYS)
    spelt = {key: _text(tree, key) for key in ("about", "source")}
    parameters = tree.child("parameters")
    given = {} if parameters is None else {key: _parameter(child) for key, child in _mapping(parameters).items()}
    return Profile(name, path, spelt["about"], spelt["source"], tree, given)


def _only(tree: Tree, known: Collection[str]) -> None:
    for key, child in _mapping(tree).items():
        if key not in known:
            raise BadInput(f"{child.key}: {child.where}: unknown key{nearest(key, known)} (known: {', '.join(known)})")


def _mapping(tree: Tree) -> dict[str, Tree]:
    if not isinstance(tree.value, dict):
        raise BadInput(f"{tree.place}: {tree.where}: {shown(tree)}expected a mapping")
    return tree.value


def _text(tree: Tree, key: str) -> str:
    child = tree.child(key)
    if child is None or not isinstance(child.value, str) or not child.value.strip():
        raise BadInput(
            f"{(child or tree).place}: {key}: expected text: a profile says what it is and where it comes from"
        )
    return child.value.strip()


def _parameter(tree: Tree) -> Parameter:
    _only(tree, _PARAMETER_KEYS)
    if tree.child("default") is None:
        raise BadInput(f"{tree.place}: {tree.where}: expected a default")
    for key, child in _mapping(tree).items():
        if not isinstance(child.plain(), _PARAMETER_KEYS[key]):
            expected = "words" if key == "choices" else "text" if key in ("unit", "about") else "a number"
            raise BadInput(f"{child.place}: {child.where}: {shown(child)}expected {expected}")
    plain = tree.plain()
    choices = plain.get("choices", {})
    made = Parameter(**plain | {"choices": choices if isinstance(choices, dict) else {word: {} for word in choices}})
    try:
        made.read(_plain(made.default))
    except (ValueError, TypeError) as error:
        raise BadInput(f"{tree.place}: {tree.where}.default: value {made.default!r}: {error}") from None
    return made


def _plain(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.15g}"


# --- calling ---------------------------------------------------------------------------------------------------------


def load_profile(call: str, beside: Path | None = None) -> tuple[Impairment, Impairment]:
    """Return what a link profile does forward and backward.

    Args:
        call: such as `lte` or `fibre(km=80)`. beside: a folder whose `netem_profiles` comes before the others.

    Raises:
        BadInput: no such profile or parameter (the message names the nearest), or the profile is wrong.
    """
    trees = worked_out(*called(call, beside))
    forward, backward = (validated(trees[direction], Impairment) for direction in DIRECTIONS)
    return forward, backward


def called(text: str, beside: Path | None = None) -> tuple[Profile, dict[str, Value]]:
    """Read a call such as `microwave(ghz=18, km=10)`.

    Returns:
        The profile, and a value for each of its parameters.

    Raises:
        BadInput: no call, no such profile or parameter, or a value it does not take. Without the place of the text.
    """
    name, given = parse(text, "a link profile", "fibre(km=80)")
    profile = read_profile(name, beside)
    values = {name: parameter.default for name, parameter in profile.parameters.items()}
    return profile, values | {key: _read_value(key, given[key], profile) for key in given}


def _read_value(name: str, text: str, profile: Profile) -> Value:
    if name not in profile.parameters:
        known = ", ".join(profile.parameters) or "none"
        raise BadInput(f"{profile.name} has no parameter {name!r}{nearest(name, profile.parameters)} (it has: {known})")
    try:
        return profile.parameters[name].read(text)
    except ValueError as error:
        raise BadInput(f"{name}={text}: {error}") from None


def worked_out(profile: Profile, values: Mapping[str, Value]) -> dict[str, Tree]:
    """Work a profile out.

    Returns:
        For each direction the impairment as a file would say it: a mapping whose values know their place.

    Raises:
        BadInput: an expression is wrong; its file, line and column are in the message.
    """
    scope = _scope(values)
    for name, parameter in profile.parameters.items():
        scope.names.update(parameter.choices.get(str(values[name]), {}))
    let = profile.tree.child("let")
    for name, tree in _mapping(let).items() if let else ():
        scope.names[name] = _evaluate(tree, scope)
    both = profile.tree.child("impairment")
    return {direction: _merged(both, profile.tree.child(direction), scope, profile) for direction in DIRECTIONS}


def _scope(values: Mapping[str, Value]) -> simpleeval.SimpleEval:
    """Arithmetic, comparisons, conditions and our functions: a profile that somebody else wrote can do no more."""
    scope = simpleeval.SimpleEval(functions=dict(FUNCTIONS), names={**NAMES, **values})
    scope.nodes = {node: rule for node, rule in (scope.nodes or {}).items() if node not in _REFUSED}
    return scope


def _merged(both: Tree | None, one: Tree | None, scope: simpleeval.SimpleEval, profile: Profile) -> Tree:
    found = [tree for tree in (both, one) if tree is not None]
    beside = profile.path.parent
    merged = {key: child for tree in found for key, child in _mapping(measured.written_out(tree, beside)).items()}
    return replace(found[-1] if found else profile.tree, value={k: _value(k, v, scope) for k, v in merged.items()})


def _value(key: str, tree: Tree, scope: simpleeval.SimpleEval) -> Tree:
    """Write out the expressions in a value, with the unit that its key has; a burst that never begins is none."""
    if isinstance(tree.value, dict):
        inside = {name: _value(name, child, scope) for name, child in tree.value.items()}
        never = key == "burst" and "p" in inside and inside["p"].value == units.show(0, units.SHARE)
        return replace(tree, value=None if never else inside)
    if not isinstance(tree.value, str) or not tree.value.startswith("="):
        return tree
    value = _evaluate(tree, scope)
    if value is None or isinstance(value, str):
        return replace(tree, value=value)
    if key == "limit":
        return replace(tree, value=round(value))
    table = units.TIME if key in _TIMES else units.RATE if key in _RATES else units.SHARE
    return replace(tree, value=units.show(value, table))


def _evaluate(tree: Tree, scope: simpleeval.SimpleEval) -> Any:
    text = str(tree.value).removeprefix("=").strip()
    try:
        value = scope.eval(text)
    except simpleeval.NameNotDefined as error:
        raise _wrong(tree, f"unknown name {error.name!r}{nearest(error.name, scope.names)}") from None
    except simpleeval.FunctionNotDefined as error:
        raise _wrong(tree, f"unknown function {error.func_name!r}{nearest(error.func_name, FUNCTIONS)}") from None
    except _FAULTS as error:
        raise _wrong(tree, f"{error}" or type(error).__name__) from None
    if isinstance(value, int | float) and not math.isfinite(value):
        raise _wrong(tree, f"the result is {value}")
    return value


def _wrong(tree: Tree, why: str) -> BadInput:
    return BadInput(f"{tree.place}: {tree.where}: {shown(tree)}{why}")


def all_profiles(beside: Path | None = None) -> Iterator[Profile]:
    """Yield every profile there is, by name."""
    return (read_profile(name, beside) for name in profile_names(beside))
