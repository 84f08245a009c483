"""The transaction as it lives on the device: a folder, a POSIX shell script, and a timer that needs nobody.

`/var/lib/testbed/txn/<id>/` holds the script, the lines, the rollback lines, the configuration from before and one
state file whose *name* is the state. The name changes by rename(2), which is atomic: when a confirmation meets the
timer, one of them finds the file gone. The timer is a process in a session of its own, so that the controller, its
connection and the shell it came by may all die.
"""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass

from adapters.base import Completed, TransactionState, Transport
from testbed.errors import BadInput, DeviceError, Refused

FOLDER = "/var/lib/testbed/txn"

SCRIPT = r"""
# One transaction: sh FOLDER/txn.sh load WHEN | keep | commit SECONDS | confirm | rollback | state | forget
# Exit: 0 done, 3 a line was rejected (and undone), 5 the old configuration is NOT back, 6 refused,
#       7 could not write the startup configuration, 8 another transaction is open.
# A fork is dear on some devices: what the shell itself can do, it does. The log's clock is that of /proc/uptime.
set -u
umask 077
trap '' HUP PIPE
here=${0%/*}
cd "$here" || exit 70
kept=${here%/*/*}/kept  # here since something was confirmed

say() { read -r up _ </proc/uptime; echo "$up $*" >>log; }
take() { [ -e "$1" ] && mv "$1" "$2" 2>/dev/null; }
is_before() { snapshot 2>/dev/null | cmp -s - before; }
saved_is_before() { saved 2>/dev/null | cmp -s - before; }
ticking() {
    words=
    read -r pid 2>/dev/null <timer && { read -r words 2>/dev/null <"/proc/$pid/cmdline" || :; }
    # After a boot the number may be anybody's, even that of the process that looks.
    case $words in *"$here/txn.sh"*timer*) return 0 ;; *) return 1 ;; esac
}
disarm() { if ticking; then kill -- "-$pid" 2>/dev/null; fi; : >timer; }

restore() {
    for pause in 0 0 1 2 3 4 5; do
        [ "$pause" = 0 ] || sleep "$pause"
        apply rollback >>log 2>&1
        is_before || continue
        saved_is_before || persist >>log 2>&1
        take firing reverted
        say "the old configuration is back"
        return 0
    done
    say "THE OLD CONFIGURATION IS NOT BACK:"
    snapshot 2>&1 | diff before - >>log
    return 5
}

settle() {
    if [ -e armed ] && ! ticking && take armed firing; then
        say "the timer died (power lost?), seen at $(date -u +%Y-%m-%dT%H:%M:%SZ): reverting"
    fi
    if [ -e firing ]; then restore; fi
}

open() {
    for each in ../*/armed ../*/firing; do
        if [ -e "$each" ]; then echo "$each"; return 0; fi
    done
    return 1
}

load() {
    if open; then cd / && rm -rf "$here"; exit 8; fi
    if [ -e reverted ] || [ -e activated ]; then rm -f reverted activated; fi
    say "loaded at $1"
    : >loaded
    sync lines rollback before mark txn.sh .
}

keep() { persist >>log 2>&1 || exit 7; }

commit() {
    if [ -e loaded ]; then
        take loaded armed || exit 6
        setsid sh "$here/txn.sh" timer "$1" </dev/null >>log 2>&1 9>&- &
        echo "$!" >timer
        sync .
        say "armed for $1 s, timer is process $!"
    fi
    [ -e armed ] || exit 6
    [ -e activated ] && exit 0
    if apply lines >applied 2>&1; then : >activated; exit 0; fi
    say "a line was rejected"
    cat applied
    take armed firing && disarm
    restore && exit 3
    exit 5
}

timer() {
    sleep "$1"
    exec 9>lock
    take armed firing || exit 0
    say "not confirmed in $1 s, at $(date -u +%Y-%m-%dT%H:%M:%SZ): reverting"
    flock 9
    restore
}

confirm() {
    if [ ! -e confirmed ]; then
        settle
        [ -e activated ] || exit 6
        take armed confirmed || exit 6
        disarm
    fi
    keep
    if [ ! -e "$kept" ]; then : >first; : >"$kept"; fi
    sync . ../..
    say "confirmed"
}

rollback() {
    if take armed firing; then disarm; fi
    if [ -e loaded ]; then rm -f loaded; fi # a commit that is still on its way finds nothing to arm
    if take confirmed firing && [ -e first ]; then rm -f first "$kept"; fi
    if [ -e firing ]; then say "rolling back"; restore || exit 5; fi
    state
}

state() {
    settle || exit 5
    for name in firing armed confirmed reverted loaded; do
        if [ -e "$name" ]; then echo "$name"; return; fi
    done
    echo none
}

forget() {
    if [ -e armed ] || [ -e firing ]; then exit 6; fi
    if [ ! -e "$kept" ] && ! open >/dev/null; then leave; fi
    cd / && rm -rf "$here"
}

verb=$1
shift
if [ "$verb" != timer ]; then exec 9>lock; flock 9; fi
"$verb" "$@"
"""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What differs from family to family: the bodies of five shell functions.

    Attributes:
        snapshot: prints the running configuration, the same bytes for the same configuration.
        saved: prints what a reboot would bring, in the manner of `snapshot`.
        apply: makes the lines of file `$1` active; fails, having said which line, when one is rejected.
        persist: makes the running configuration survive a reboot.
        leave: takes away what `persist` put on a device on which nothing is confirmed.
    """

    snapshot: str
    saved: str
    apply: str
    persist: str
    leave: str

    def script(self) -> str:
        """The whole script of a transaction."""
        bodies = {name: getattr(self, name) for name in ("snapshot", "saved", "apply", "persist", "leave")}
        return "".join(f"{name}() {{\n{body}\n}}\n" for name, body in bodies.items()) + SCRIPT


def folder(transaction: str) -> str:
    """The transaction's folder on the device.

    Raises:
        BadInput: a name that could not be a folder's.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", transaction):
        raise BadInput(f"transaction {transaction!r}: expected letters, digits, '-' and '_', at most 64")
    return f"{FOLDER}/{transaction}"


def load(transport: Transport, transaction: str, hooks: Hooks, files: dict[str, str]) -> None:
    """Put a candidate on the device, in one command; nothing becomes active.

    Args:
        files: `lines`, `rollback` and `before` (what `snapshot` prints now).

    Raises:
        DeviceError: another transaction is open there.
        Refused: this transaction has been committed already.
    """
    place = folder(transaction)
    parts = [f"for state in armed firing confirmed; do [ -e {place}/$state ] && exit 6; done"]
    parts += [f"umask 077; [ -d {place} ] || mkdir -p {place} && cd {place} || exit 1"]
    parts += ["if [ -e loaded ]; then rm -f loaded || exit 1; fi", "printf '\\0' >mark || exit 1"]
    for name, text in {**files, "txn.sh": hooks.script()}.items():
        parts.append(f"printf %s {shlex.quote(text)} >{name} || exit 1")
    parts.append(f"exec sh {place}/txn.sh load {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}")
    _expect(transport.run("\n".join(parts), timeout=30.0), transport.name, f"transaction {transaction}: load")


def commit(transport: Transport, transaction: str, revert_after: float) -> None:
    """Arm the timer on the device, then activate the lines.

    Raises:
        BadInput: a time that is no time to look at anything.
        DeviceError: a line was rejected; the old configuration is back.
        Refused: not loaded, or already over.
    """
    if not 1 <= revert_after <= 86400:
        raise BadInput(f"revert_after is {revert_after} s; expected 1 s to 24 h")
    _call(transport, transaction, f"commit {revert_after:g}", timeout=90.0)


def keep(transport: Transport, transaction: str) -> None:
    """Make the running configuration the one that a boot brings."""
    _call(transport, transaction, "keep", timeout=60.0)


def confirm(transport: Transport, transaction: str) -> None:
    """Keep the change: timer off, startup configuration written. Raises Refused when the timer was first."""
    _call(transport, transaction, "confirm", timeout=60.0)


def rollback(transport: Transport, transaction: str) -> TransactionState:
    """Put the old configuration back now, and as startup configuration too; returns the state then."""
    return _state(transport, transaction, "rollback", timeout=120.0)


def state(transport: Transport, transaction: str) -> TransactionState:
    """What the device knows of the transaction; a timer found dead is made good first."""
    return _state(transport, transaction, "state", timeout=60.0)


def _state(transport: Transport, transaction: str, verb: str, timeout: float) -> TransactionState:
    script = f"{folder(transaction)}/txn.sh"
    done = transport.run(f"if [ -e {script} ]; then exec sh {script} {verb}; else echo none; fi", timeout=timeout)
    _expect(done, transport.name, f"transaction {transaction}: {verb}")
    word = done.out.strip().rpartition("\n")[2]
    if word not in _STATES:
        raise DeviceError(f"{transport.name}: transaction {transaction} is in a state it cannot tell: {word!r}")
    return _STATES[word]


def forget(transport: Transport, transaction: str) -> None:
    """Remove the transaction's folder. Raises Refused while its timer runs."""
    script = f"{folder(transaction)}/txn.sh"
    done = transport.run(f"if [ -e {script} ]; then exec sh {script} forget; fi", timeout=30.0)
    _expect(done, transport.name, f"transaction {transaction}: forget")


def read(transport: Transport, transaction: str, *names: str) -> list[str]:
    """Read files of the transaction's folder in one command.

    Args:
        names: the last may be the whole path of a file elsewhere; where there is none, it is read as empty.

    Raises:
        DeviceError: one of the transaction's cannot be read.
    """
    *first, last = names
    other = f"last={last}; [ -e $last ] || last=/dev/null" if last.startswith("/") else f"last={last}"
    done = transport.run(f"cd {folder(transaction)} || exit 1; {other}; exec cat {' mark '.join([*first, '$last'])}")
    texts = done.out.split("\0", len(first))
    if done.code or len(texts) != len(names):
        said = done.out.strip()[-300:]
        raise DeviceError(f"{transport.name}: cannot read {', '.join(names)} of transaction {transaction}: {said}")
    return texts


def log(transport: Transport, transaction: str) -> str:
    """What the transaction wrote down on the device."""
    return transport.run(f"cat {folder(transaction)}/log 2>/dev/null").out


_STATES = {
    "none": TransactionState.NONE,
    "loaded": TransactionState.LOADED,
    "armed": TransactionState.COMMITTED,
    "confirmed": TransactionState.CONFIRMED,
    "firing": TransactionState.COMMITTED,
    "reverted": TransactionState.REVERTED,
}

_MEANING: dict[int, tuple[type[Exception], str]] = {
    3: (DeviceError, "a line was rejected and the old configuration put back"),
    5: (DeviceError, "THE OLD CONFIGURATION IS NOT BACK; its log and `before` are on the device"),
    6: (Refused, "the transaction is not in a state for that; its timer may have fired"),
    7: (DeviceError, "the startup configuration could not be written; see its log on the device"),
    8: (DeviceError, "another transaction is open; confirm it, roll it back or let its timer run out"),
}


def _call(transport: Transport, transaction: str, words: str, timeout: float = 30.0) -> None:
    place = folder(transaction)
    done = transport.run(f"[ -e {place}/txn.sh ] || exit 6; exec sh {place}/txn.sh {words}", timeout=timeout)
    _expect(done, transport.name, f"transaction {transaction}: {words.split(maxsplit=1)[0]}")


def _expect(done: Completed, device: str, doing: str) -> None:
    if done.code == 0:
        return
    kind, meaning = _MEANING.get(done.code, (DeviceError, f"exit code {done.code}"))
    said = " | ".join(line.strip() for line in done.out.splitlines() if line.strip())
    raise kind(f"{device}: {doing}: {meaning}" + (f": {said}" if said else ""))
