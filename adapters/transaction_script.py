"""The transaction as it lives on the device: a folder, a POSIX shell script, and a timer that needs nobody.

`/var/lib/testbed/txn/<id>/` holds the script, the lines, the rollback lines, the configuration from before and one
state file whose *name* is the state. The name changes by rename(2), which is atomic: when a confirmation meets the
timer, one of them finds the file gone. The timer is a process in a session of its own, so that the controller, its
connection and the shell it came by may all die.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters.base import Completed, TransactionState, Transport
from testbed.errors import BadInput, DeviceError, Refused

FOLDER = "/var/lib/testbed/txn"

SCRIPT = r"""
# One transaction on this device: sh txn.sh load | commit SECONDS | confirm | rollback | state | forget
# Exit: 0 done, 3 a line was rejected (and undone), 4 changed since load, 5 the old configuration is NOT back,
#       6 refused, 7 could not write the startup configuration, 8 another transaction is open.
set -u
umask 077
trap '' HUP PIPE
here=$(cd "$(dirname "$0")" && pwd) && cd "$here" || exit 70

say() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $*" >>log; }
take() { mv "$1" "$2" 2>/dev/null; }
is_before() { snapshot 2>/dev/null | cmp -s - before; }
saved_is_before() { saved 2>/dev/null | cmp -s - before; }
ticking() { pid=$(cat timer 2>/dev/null) && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$here/txn.sh"; }
disarm() { if ticking; then kill -- "-$pid" 2>/dev/null; fi; rm -f timer; }

restore() {
    for attempt in 1 2 3 4 5 6; do
        if is_before; then
            saved_is_before || persist >>log 2>&1
            take firing reverted
            say "the old configuration is back"
            return 0
        fi
        say "applying the rollback, attempt $attempt"
        apply rollback >>log 2>&1
        is_before || sleep "$((attempt - 1))"
    done
    if is_before; then take firing reverted; say "the old configuration is back"; return 0; fi
    say "THE OLD CONFIGURATION IS NOT BACK:"
    snapshot 2>&1 | diff before - >>log
    return 5
}

settle() {
    if [ -e armed ] && ! ticking && take armed firing; then say "the timer died (power lost?): reverting"; fi
    if [ -e firing ]; then restore; fi
}

load() {
    for other in ../*/armed ../*/firing; do
        case $other in "../${here##*/}/"* | "../*/"*) ;; *) echo "$other"; exit 8 ;; esac
    done
    [ -e armed ] || [ -e firing ] || [ -e confirmed ] && exit 6
    is_before || exit 4
    rm -f reverted activated
    : >loaded
}

commit() {
    if [ -e loaded ]; then
        is_before || exit 4
        saved_is_before || persist >>log 2>&1 || exit 7
        take loaded armed || exit 6
        setsid sh "$here/txn.sh" timer "$1" </dev/null >>log 2>&1 9>&- &
        echo "$!" >timer
        sync .
        say "armed for $1 s, timer is process $!"
    fi
    [ -e armed ] || exit 6
    [ -e activated ] && exit 0
    if apply lines >applied 2>&1; then : >activated; say "activated"; exit 0; fi
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
    say "not confirmed in $1 s: reverting"
    flock 9
    restore
}

confirm() {
    settle
    if [ ! -e confirmed ]; then
        [ -e activated ] || exit 6
        take armed confirmed || exit 6
        disarm
    fi
    persist >>log 2>&1 || exit 7
    sync .
    say "confirmed"
}

rollback() {
    if take armed firing; then disarm; fi
    take confirmed firing
    if [ -e firing ]; then say "rolling back"; restore; exit "$?"; fi
    [ -e reverted ] || [ -e loaded ] || exit 6
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
    cd / && rm -rf "$here"
}

verb=$1
shift
if [ "$verb" != timer ]; then exec 9>lock; flock 9; fi
"$verb" "$@"
"""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What differs from family to family: the bodies of four shell functions.

    Attributes:
        snapshot: prints the running configuration, the same bytes for the same configuration.
        saved: prints what a reboot would bring, in the manner of `snapshot`.
        apply: makes the lines of file `$1` active; fails, having said which line, when one is rejected.
        persist: makes the running configuration survive a reboot.
    """

    snapshot: str
    saved: str
    apply: str
    persist: str

    def script(self) -> str:
        """The whole script of a transaction."""
        bodies = {name: getattr(self, name) for name in ("snapshot", "saved", "apply", "persist")}
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
    """Put a candidate on the device; nothing becomes active.

    Args:
        files: `lines`, `rollback` and `before` (what `snapshot` prints now).

    Raises:
        DeviceError: another transaction is open there, or the configuration has just changed.
        Refused: this transaction has been committed already.
    """
    place = folder(transaction)
    state_now = state(transport, transaction)
    if state_now not in (TransactionState.NONE, TransactionState.LOADED, TransactionState.REVERTED):
        raise Refused(f"{transport.name}: transaction {transaction} is {state_now} already; forget it first")
    _expect(transport.run(f"umask 077; mkdir -p {place}"), transport.name, "making the transaction's folder")
    for name, text in {**files, "txn.sh": hooks.script()}.items():
        transport.write(f"{place}/{name}", text.encode())
    _call(transport, transaction, "load")


def commit(transport: Transport, transaction: str, revert_after: float) -> None:
    """Arm the timer on the device, then activate the lines.

    Raises:
        BadInput: a time that is no time to look at anything.
        DeviceError: a line was rejected (the old configuration is back), or the configuration changed since `load`.
        Refused: not loaded, or already over.
    """
    if not 1 <= revert_after <= 86400:
        raise BadInput(f"revert_after is {revert_after} s; expected 1 s to 24 h")
    _call(transport, transaction, f"commit {revert_after:g}", timeout=90.0)


def confirm(transport: Transport, transaction: str) -> None:
    """Keep the change: timer off, startup configuration written. Raises Refused when the timer was first."""
    _call(transport, transaction, "confirm", timeout=60.0)


def rollback(transport: Transport, transaction: str) -> None:
    """Put the old configuration back now, and as startup configuration too."""
    if state(transport, transaction) is not TransactionState.NONE:
        _call(transport, transaction, "rollback", timeout=120.0)


def state(transport: Transport, transaction: str) -> TransactionState:
    """What the device knows of the transaction; a timer found dead is made good first."""
    script = f"{folder(transaction)}/txn.sh"
    done = transport.run(f"if [ -e {script} ]; then exec sh {script} state; else echo none; fi", timeout=60.0)
    word = done.out.strip().rpartition("\n")[2]
    if done.code or word not in _STATES:
        _expect(done, transport.name, f"reading the state of transaction {transaction}")
        raise DeviceError(f"{transport.name}: transaction {transaction} is in a state it cannot tell: {word!r}")
    return _STATES[word]


def forget(transport: Transport, transaction: str) -> None:
    """Remove the transaction's folder. Raises Refused while its timer runs."""
    if state(transport, transaction) is not TransactionState.NONE:
        _call(transport, transaction, "forget")


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
    4: (DeviceError, "the configuration is not what it was at `load`; load the transaction anew"),
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
