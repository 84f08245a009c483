"""A Linux device's network settings as lines of ip-batch(8): parse, foretell, compare, undo.

The running configuration of such a device is what `SNAPSHOT` prints, in the very words that would set it:

    link set dev eth1 mtu 1500
    link set dev eth1 up
    address add 10.0.0.1/30 dev eth1
    route add 10.9.0.0/16 via 10.0.0.2 dev eth1
"""

from __future__ import annotations

import difflib
import hashlib
import shlex
from collections.abc import Iterator
from ipaddress import ip_interface, ip_network

from testbed.errors import BadInput

Key = tuple[str, ...]
Config = dict[Key, str]
"""What is set, by what it is about: `("mtu", "eth1")` to `link set dev eth1 mtu 1500`."""

SNAPSHOT = r"""
    ip -o link | awk '{
        name = $2; sub(/[@:].*/, "", name); alias = ""
        if (match($0, / alias .*/)) alias = substr($0, RSTART + 7)
        for (i = 3; i < NF; i++) if ($i == "mtu") mtu = $(i + 1)
        print "link set dev " name " mtu " mtu
        if (alias != "") { gsub(/["\\]/, "\\\\&", alias); print "link set dev " name " alias \"" alias "\"" }
        print "link set dev " name " " ($3 ~ /[<,]UP[,>]/ ? "up" : "down")
    }' | sort
    ip -o address show scope global permanent | awk '{ print "address add " $4 " dev " $2 }' | sort
    for family in -4 -6; do
        for origin in boot static; do ip "$family" route show proto "$origin"; done |
            sed -E -e 's/ (linkdown|dead|onlink|pref medium|proto (boot|static))//g' -e 's/ *$//' -e 's/^/route add /'
    done | sort"""

_ACCEPTED = (
    "link set dev NAME (up | down | mtu N | alias TEXT)...; address add|del|replace ADDRESS/LENGTH dev NAME; "
    "route add|del|replace PREFIX [via ADDRESS] [dev NAME] [metric N]"
)


def parse(text: str) -> Config:
    """Read a running configuration."""
    return apply({}, text)


def check(lines: str) -> None:
    """Refuse lines that are not understood, for they could not be undone.

    Raises:
        BadInput: such a line, or there is nothing to do.
    """
    if not list(_walk(lines)):
        raise BadInput(f"the configuration has no settings; accepted are: {_ACCEPTED}")


def apply(config: Config, lines: str) -> Config:
    """Foretell the configuration after `lines`.

    Raises:
        BadInput: a line that could not be undone, because it is none of the accepted ones.
    """
    after = dict(config)
    for key, line in _walk(lines):
        if line is None:
            after.pop(key, None)
        else:
            after[key] = line
    return after


def _walk(lines: str) -> Iterator[tuple[Key, str | None]]:
    """Every setting in turn, None where one is taken away."""
    for raw in lines.splitlines():
        if raw.strip() and not raw.lstrip().startswith("#"):
            yield from _settings(raw)


def _settings(raw: str) -> Iterator[tuple[Key, str | None]]:
    """What a line sets, None where it takes something away."""
    try:
        words = shlex.split(raw.strip())
        words = words[1:] if words[:1] == ["ip"] else words
        match words:
            case ["link", "set", "dev", name, *settings] if settings:
                yield from _link(name, settings)
            case ["address" | "addr", "add" | "del" | "replace" as verb, address, "dev", name]:
                line = f"address add {ip_interface(address)} dev {name}"
                yield ("address", name, str(ip_interface(address))), None if verb == "del" else line
            case ["route", "add" | "del" | "replace" as verb, prefix, *rest]:
                yield _route(verb, prefix, rest)
            case _:
                raise ValueError("not an accepted line")
    except ValueError as error:
        raise BadInput(f"{raw.strip()!r}: {error}; accepted are: {_ACCEPTED}") from None


def _link(name: str, words: list[str]) -> Iterator[tuple[Key, str | None]]:
    rest = list(words)
    while rest:
        match rest.pop(0):
            case "up" | "down" as state:
                yield ("state", name), f"link set dev {name} {state}"
            case "mtu" if rest and rest[0].isdigit():
                yield ("mtu", name), f"link set dev {name} mtu {rest.pop(0)}"
            case "alias" if rest:
                text = rest.pop(0)
                yield ("alias", name), f"link set dev {name} alias {quoted(text)}" if text else None
            case word:
                raise ValueError(f"{word!r} is not a setting that can be undone")


def _route(verb: str, prefix: str, rest: list[str]) -> tuple[Key, str | None]:
    if any(word not in {"via", "dev", "metric"} for word in rest[::2]) or len(rest) % 2:
        raise ValueError("not an accepted route")
    destination = prefix if prefix == "default" else _shortest(prefix)
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    family = "6" if ":" in f"{prefix}{options.get('via', '')}" else "4"
    key = ("route", family, destination, options.get("metric", ""))
    return key, None if verb == "del" else " ".join(["route add", destination, *rest])


def _shortest(prefix: str) -> str:
    """As iproute2 prints it: a host route without its length."""
    network = ip_network(prefix)
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def quoted(text: str) -> str:
    """A word of ip-batch(8), whatever it holds."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def difference(old: Config, new: Config) -> str:
    """The lines that turn `old` into `new`: routes go before what they need, and come after it."""
    gone = [_removal(key, old[key]) for key in old if key not in new]
    come = [new[key] for key in new if old.get(key) != new[key]]
    replaced = [line.replace("route add", "route replace", 1) for line in come]
    ordered = sorted(gone, key=lambda line: not line.startswith("route")) + sorted(replaced, key=_rank)
    return "".join(f"{line}\n" for line in ordered)


def _rank(line: str) -> int:
    return ("link", "address", "route").index(line.split(maxsplit=1)[0])


def _removal(key: Key, line: str) -> str:
    if key[0] == "alias":
        return f'link set dev {key[1]} alias ""'
    return line.replace(" add ", " del ", 1)


def without_trace(lines: str, after: Config) -> list[str]:
    """Settings of `lines` that are not in force after them."""
    return [line for key, line in apply({}, lines).items() if after.get(key) != line]


def unified(old: Config, new: Config, device: str) -> str:
    """A unified diff for people."""
    before, after = sorted(old.values()), sorted(new.values())
    return "\n".join(difflib.unified_diff(before, after, f"{device} now", f"{device} then", lineterm="", n=2))


def digest(config: Config) -> str:
    """SHA-256 (hex) of a configuration."""
    return hashlib.sha256("\n".join(sorted(config.values())).encode()).hexdigest()
