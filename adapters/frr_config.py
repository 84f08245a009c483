"""FRR configurations as data: parse, compare, turn a difference into lines, foretell what lines do.

FRR's vtysh prints one context a block: a header, its settings one space deeper, `exit`. That is all the grammar that
is used here; a setting's meaning is not known, only which settings replace each other (`ip ospf cost 10`, `ip ospf
cost 40`). What a device really makes of the lines is compared with this model after every commit.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Sequence

from testbed.errors import BadInput

Path = tuple[str, ...]
"""Headers from the outside in: `()` the top, `("router bgp 65000", "address-family ipv4 unicast")`."""

Config = dict[Path, tuple[str, ...]]
"""Settings by context, in FRR's order. An interface without settings is the same as none, and is left out."""

_HEADER = re.compile(
    r"(interface|router|route-map|vrf|key chain|line vty|bfd$|segment-routing|mpls ldp|l2vpn|pbr-map|nexthop-group|rpki"
    r"|address-family|traffic-eng|srv6|locator|peer|profile)\b(?!.*\brouter-id\b)"
)
_REMOVABLE = re.compile(r"(router|route-map|vrf|key chain|pbr-map|nexthop-group|bfd|rpki)\b")
_CLOSERS = re.compile(r"(exit|end|exit-[a-z-]+|quit)")
_SINGLE = tuple(
    re.compile(pattern)
    for pattern in (
        r"(description)\b",
        r"(ip ospf (?:cost|hello-interval|dead-interval|network|area|priority|retransmit-interval|transmit-delay))\b",
        r"(bandwidth|link-params|hostname|domainname|router-id|frr version|frr defaults|agentx)\b",
        r"(isis (?:metric|hello-interval|hello-multiplier|circuit-type|priority|network))\b",
        r"(log (?:file|syslog|stdout|facility|timestamp|record-priority))\b",
        r"((?:ip|ipv6) prefix-list \S+ (?:seq \d+|description))\b",
        r"((?:ospf|bgp|isis) router-id|auto-cost reference-bandwidth|timers throttle \S+|timers bgp|timers lsa \S+)\b",
        r"(default-metric|maximum-paths|default-information originate|distance|max-metric router-lsa \S+)\b",
        r"(redistribute \S+|area \S+ (?:range \S+|default-cost|stub|nssa|authentication)|is-type|metric-style)\b",
        r"(neighbor \S+ (?:remote-as|description|update-source|ebgp-multihop|password|timers|weight|local-as))\b",
        r"(neighbor \S+ (?:route-map|prefix-list|filter-list|distribute-list) )\S+ (in|out)\b",
        r"(bgp (?:cluster-id|confederation identifier|graceful-restart \S+|bestpath \S+))\b",
        r"(set (?:metric|local-preference|weight|origin|tag|ip next-hop|community|metric-type))\b",
        r"(match (?:ip address|ip next-hop|interface|metric|tag|as-path|community)|on-match|call)\b",
    )
)
_NEGATIVE = re.compile(
    r"(ip|ipv6) forwarding|bgp (default ipv4-unicast|ebgp-requires-policy|network import-check|suppress-duplicates)"
    r"|neighbor \S+ activate|ip ospf passive|service integrated-vtysh-config"
)
"""Settings that FRR shows only when they are off, as `no ...`."""


def meaningful(text: str) -> list[str]:
    """The lines of a running configuration that say something: no banner, no `!`, no blank line, no `end`."""
    lines = [line.rstrip() for line in text.splitlines()]
    if "Current configuration:" in lines:
        lines = lines[lines.index("Current configuration:") + 1 :]
    return [line for line in lines if line.strip() and not line.lstrip().startswith("!") and line != "end"]


def parse(text: str) -> Config:
    """Read a configuration as `show running-config` prints it, or lines written in the same manner."""
    config: dict[Path, list[str]] = {}
    for path, line in _walk(text):
        config.setdefault(path, [])
        if line is not None:
            config[path].append(line)
    return _tidy({path: tuple(lines) for path, lines in config.items()})


def _walk(text: str) -> Iterator[tuple[Path, str | None]]:
    """Each setting with its context, None where a context opens."""
    lines = meaningful(text)
    opened: list[tuple[int, str]] = []
    for index, raw in enumerate(lines):
        line, depth = raw.strip(), len(raw) - len(raw.lstrip())
        closer = _CLOSERS.fullmatch(line)
        while opened and (opened[-1][0] > depth or (opened[-1][0] == depth and not closer)):
            opened.pop()
        if closer:
            if opened:
                opened.pop()
        elif _opens(line, depth, lines[index + 1 : index + 2]):
            opened.append((depth, line))
            yield tuple(header for _, header in opened), None
        else:
            yield tuple(header for _, header in opened), line


def _opens(line: str, depth: int, following: Sequence[str]) -> bool:
    deeper = bool(following) and len(following[0]) - len(following[0].lstrip()) > depth
    return deeper or (bool(_HEADER.match(line)) and (depth == 0 or line.startswith("address-family")))


def _tidy(config: Config) -> Config:
    """Leave out contexts that are there only while they have settings."""
    return {path: lines for path, lines in config.items() if lines or (len(path) == 1 and _REMOVABLE.match(path[0]))}


def check(lines: str) -> None:
    """Refuse lines whose context is not plain from their indentation.

    Raises:
        BadInput: a setting follows a header without being indented, or there is nothing to do.
    """
    previous, depth = "", 0
    if not meaningful(lines):
        raise BadInput("the configuration has no lines; write settings as `show running-config` prints them")
    for raw in meaningful(lines):
        indent = len(raw) - len(raw.lstrip())
        outside = _CLOSERS.fullmatch(raw.strip()) or _HEADER.match(raw.strip())
        if _HEADER.match(previous) and not outside and indent <= depth:
            raise BadInput(
                f"{raw!r} after {previous!r}: indent the settings of a context by one space, as `show "
                "running-config` prints them, or close the context with `exit`"
            )
        previous, depth = raw.strip(), indent


def apply(config: Config, lines: str) -> Config:
    """Foretell the configuration after `lines`: settings added, replaced, or taken away by `no`."""
    after = dict(config)
    for path, line in _walk(lines):
        for depth in range(1, len(path) + 1):
            after.setdefault(path[:depth], ())
        if line is None:
            continue
        removed = line.removeprefix("no ")
        if removed != line and not path and _REMOVABLE.match(removed):
            after = {p: kept for p, kept in after.items() if not _inside(p, removed)}
        else:
            after[path] = _set(after.get(path, ()), line)
    return _tidy(after)


def _inside(path: Path, header: str) -> bool:
    return bool(path) and (path[0] == header or path[0].startswith(header + " "))


def _set(lines: tuple[str, ...], line: str) -> tuple[str, ...]:
    if line.startswith("no "):
        return _unset(lines, line.removeprefix("no "))
    if f"no {line}" in lines:
        return tuple(kept for kept in lines if kept != f"no {line}")
    key = key_of(line)
    places = [index for index, kept in enumerate(lines) if key_of(kept) == key]
    if not places:
        return lines if _NEGATIVE.fullmatch(line) else (*lines, line)
    return (*lines[: places[0]], line, *lines[places[0] + 1 :])


def _unset(lines: tuple[str, ...], line: str) -> tuple[str, ...]:
    key = key_of(line)
    kept = tuple(old for old in lines if not (old == line or old.startswith(line + " ") or key_of(old) == key))
    if len(kept) == len(lines) and _NEGATIVE.fullmatch(line) and f"no {line}" not in lines:
        return (*lines, f"no {line}")
    return kept


def key_of(line: str) -> str:
    """What a setting is about: two lines with the same key in one context replace each other."""
    for pattern in _SINGLE:
        if match := pattern.match(line):
            return "".join(group for group in match.groups() if group)
    return line


def difference(old: Config, new: Config) -> str:
    """The lines that turn `old` into `new`; empty when they are equal.

    Removals go first, last setting first (an FRR neighbour loses its other settings with its `remote-as`), then
    additions in FRR's own order.
    """
    gone = [path for path in old if len(path) == 1 and path not in new and _REMOVABLE.match(path[0])]
    blocks = [_block(path, _removals(old[path], new.get(path, ()))) for path in reversed(old) if path[:1] not in gone]
    blocks += [f"no {path[0]}\n" for path in gone]
    blocks += [_block(path, _additions(old.get(path, ()), new[path]), path not in old) for path in new]
    return "".join(blocks)


def _removals(old: Sequence[str], new: Sequence[str]) -> list[str]:
    kept = {key_of(line) for line in new}
    return [_no(line) for line in reversed(old) if line not in new and key_of(line) not in kept]


def _no(line: str) -> str:
    if line.startswith("no "):
        return line.removeprefix("no ")
    key = key_of(line)
    return f"no {key}" if key.endswith("description") else f"no {line}"


def _additions(old: Sequence[str], new: Sequence[str]) -> list[str]:
    return [line for line in new if line not in old]


def _block(path: Path, lines: Sequence[str], fresh: bool = False) -> str:
    opens = fresh and len(path) == 1 and bool(_REMOVABLE.match(path[0]))
    if not lines and not opens:
        return ""
    if not path:
        return "".join(f"{line}\n" for line in lines)
    heads = [f"{' ' * depth}{header}\n" for depth, header in enumerate(path)]
    tails = [f"{' ' * depth}{_closer(path[depth])}\n" for depth in reversed(range(len(path)))]
    return "".join([*heads, *(f"{' ' * len(path)}{line}\n" for line in lines), *tails])


def _closer(header: str) -> str:
    return "exit-address-family" if header.startswith("address-family") else "exit"


def without_trace(lines: str, after: Config) -> list[str]:
    """The settings of `lines` that should now be in `after`, and are not: nobody took them."""
    wanted = apply({}, lines)
    dropped = _taken_away(lines)
    return [
        " / ".join((*path, line))
        for path, settings in wanted.items()
        for line in settings
        if not line.startswith("no ") and line not in after.get(path, ()) and (path, line) not in dropped
    ]


def _taken_away(lines: str) -> set[tuple[Path, str]]:
    """Settings that a later `no` of the same lines takes away, so that they leave no trace by intent."""
    return {(path, line.removeprefix("no ")) for path, line in _walk(lines) if line and line.startswith("no ")}


def unified(old: Config, new: Config, device: str) -> str:
    """A unified diff for people."""
    before, after = (_text(config).splitlines() for config in (old, new))
    return "\n".join(difflib.unified_diff(before, after, f"{device} now", f"{device} then", lineterm="", n=2))


def _text(config: Config) -> str:
    return "".join(_block(path, lines, fresh=True) for path, lines in config.items())


def digest(config: Config) -> str:
    """SHA-256 (hex) of a configuration, whatever order its contexts and settings are printed in."""
    rows = sorted("\x1f".join((*path, line)) for path, lines in config.items() for line in (*lines, ""))
    return hashlib.sha256("\x1e".join(rows).encode()).hexdigest()
