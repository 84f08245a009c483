"""One lab's state on disk: written before anything is started, found again after any crash, removed last."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import msgspec
from msgspec import Struct

from testbed.errors import BadInput, Unable, nearest
from testbed.processes import Process, alive, identify

Kind = Literal["lab", "rack", "twin"]
State = Literal["starting", "running", "ended"]
SHM = Path("/dev/shm")
_TRACE = re.compile(r"\s*(\[<[0-9a-f]+>\]|[0-9a-f]{8}( [0-9a-f]{8})*$|Stack:$|Call Trace:$)")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


class Guest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of a lab's kernels, or natively its agent.

    Attributes:
        processes: its own, the launcher first.
        endpoint: ZeroMQ endpoint of its agent, None without a control channel.
    """

    processes: tuple[Process, ...] = ()
    endpoint: str | None = None


class Elsewhere(Struct, frozen=True):
    """Where a lab runs when not on this machine.

    Attributes:
        host: the substrate as the user named it. lab: its name there. endpoints: its agents' as they are there.
    """

    host: str
    lab: str
    endpoints: tuple[str, ...] = ()


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `lab.json` holds.

    Attributes:
        id: marker carried by the command line of every process of the lab (`testbed-` and 12 hex digits).
        created: Unix seconds. starter: the command that brings the lab up; while it lives the lab is `starting`.
        keeper: the process that holds the lab. guests: what it is spread over, mostly one.
        ports: loopback addresses and ports here that lead into the lab's management network, as `127.0.0.1:7000`.
        sealed: whether the host's files are read-only to the guest's kernel itself; `seal` says how, or why not.
        missing_modules: kernel modules that this machine lacks, so that the lab cannot have what they do.
        elsewhere: the other machine, from the moment that something of the lab may be there; the keeper is then the
            process that holds the connection.
        ended: how it ended, in words. culprit: number of the guest that ended first, from 1.
    """

    name: str
    kind: Kind
    substrate: str
    id: str
    created: float
    starter: Process
    state: State = "starting"
    keeper: Process | None = None
    guests: tuple[Guest, ...] = ()
    ports: tuple[str, ...] = ()
    sealed: bool | None = None
    seal: str = ""
    missing_modules: tuple[str, ...] = ()
    elsewhere: Elsewhere | None = None
    ended: str = ""
    culprit: int = 1

    @property
    def processes(self) -> tuple[Process, ...]:
        """All guests' own processes."""
        return tuple(process for guest in self.guests for process in guest.processes)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where the agents answer, guest by guest; empty without a control channel."""
        return tuple(guest.endpoint for guest in self.guests if guest.endpoint is not None)

    def title(self, number: int) -> str:
        """Return what to call a guest: its number matters where there are several."""
        return f"guest {number} of {len(self.guests)}" if len(self.guests) > 1 else "the guest"


def home() -> Path:
    """Return where all state is: `$TESTBED_HOME`, else `$XDG_STATE_HOME/testbed`, else `~/.local/state/testbed`."""
    if chosen := os.environ.get("TESTBED_HOME"):
        return Path(chosen).absolute()
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "testbed"


def write_atomically(path: Path, data: bytes, mode: int = 0o600, *, sync: bool = True) -> None:
    """Replace a file so that a crash leaves the old content or the new, never a part.

    Args:
        sync: wait until it is on the disk. Without, only a crash of the machine may lose both: for what is written anew
            every second and worth nothing after one.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    draft.replace(path)
    if sync:
        _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class LabFolder:
    """The folder of one lab: `<home>/labs/<name>`, mode 0700."""

    path: Path

    # --- what is in it ---

    @property
    def name(self) -> str:
        return self.path.name

    def guest(self, number: int = 1) -> Path:
        """Return the one folder that a guest's kernel may write: `guest`, and `guest2` and so on of further ones."""
        return self.path / _numbered("guest", number)

    def console(self, number: int = 1) -> Path:
        """Return where a guest's console is written: `console.log`, `console2.log`, ..."""
        return self.path / f"{_numbered('console', number)}.log"

    @property
    def keeper_log(self) -> Path:
        return self.path / "keeper.log"

    @property
    def topology(self) -> Path:
        return self.path / "topology.json"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def run(self) -> Path:
        """Sockets and the guest's memory file: a short path in memory, removed with the lab."""
        return run_folder(self.record().id)

    def record(self) -> Record:
        """Read `lab.json`.

        Raises:
            BadInput: there is no such lab (any more), or the file is not one that this version wrote.
        """
        try:
            return msgspec.json.decode((self.path / "lab.json").read_bytes(), type=Record)
        except (FileNotFoundError, NotADirectoryError):
            raise BadInput(_unknown(self.name)) from None
        except msgspec.DecodeError as problem:
            raise BadInput(
                f"{self.path}/lab.json cannot be read ({problem}); `testbed doctor --clean` removes broken labs"
            ) from None

    def update(self, **fields: Any) -> Record:
        """Change fields of `lab.json`; what another process changes at the same time is kept."""
        descriptor = os.open(self.guest(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            record = msgspec.structs.replace(self.record(), **fields)
            self._write_record(record)
        finally:
            os.close(descriptor)
        return record

    def _write_record(self, record: Record) -> None:
        write_atomically(self.path / "lab.json", msgspec.json.format(msgspec.json.encode(record)))

    def read_keys(self) -> dict[str, str]:
        """Return the CURVE keys (Z85 text): server_public, server_secret, client_public, client_secret."""
        return json.loads(self.keys.read_bytes())

    def console_tail(self, number: int = 1, lines: int = 20) -> tuple[str, ...]:
        """Return the last lines of a guest's console, without the call traces of a kernel panic."""
        return tuple(line for line in tail(self.console(number), 8 * lines) if not _TRACE.match(line))[-lines:]

    # --- life ---

    @classmethod
    def create(cls, name: str, kind: Kind, substrate: str, keys: dict[str, str] | None = None) -> Self:
        """Make the folder, with `lab.json` and keys in it, in one step that is there wholly or not at all.

        Args:
            keys: see `read_keys`; fresh ones when None.

        Raises:
            BadInput: the name is not usable, or in use.
        """
        labs = _checked(home(), name) / "labs"
        labs.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep_drafts()
        starter = _self()
        draft = labs / f".new-{starter.pid}-{starter.started}-{secrets.token_hex(4)}"
        (draft / "guest").mkdir(mode=0o700, parents=True)
        draft.chmod(0o700)
        record = Record(
            name=name, kind=kind, substrate=substrate, id=f"testbed-{secrets.token_hex(6)}", created=time.time(),
            starter=starter,
        )  # fmt: skip
        write_atomically(draft / "keys", json.dumps(keys or curve_keys()).encode())
        cls(draft)._write_record(record)
        try:
            draft.rename(labs / name)
        except OSError:
            shutil.rmtree(draft)
            raise BadInput(
                f"a lab called {name!r} exists already; take it down with `testbed down {name}` or choose another name"
            ) from None
        return cls(labs / name)

    @classmethod
    def open(cls, name: str) -> Self:
        """Return the folder of an existing lab.

        Raises:
            BadInput: there is none; the message has the nearest name and the known ones.
        """
        folder = cls(home() / "labs" / name)
        if not _NAME.fullmatch(name) or not (folder.path / "lab.json").exists():
            raise BadInput(_unknown(name))
        return folder

    @classmethod
    def all(cls) -> list[Self]:
        """Return all labs, by name."""
        labs = home() / "labs"
        if not labs.is_dir():
            return []
        return [cls(path) for path in sorted(labs.iterdir()) if not path.name.startswith(".")]

    def busy(self) -> str:
        """Return who is bringing this lab up right now, or an empty string."""
        record = self.record()
        if record.state == "starting" and record.starter != identify(os.getpid()) and alive(record.starter):
            return f"process {record.starter.pid} is bringing it up"
        return ""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lab against other commands that change it.

        Raises:
            Unable: another command holds it.
            BadInput: the lab is gone.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise BadInput(_unknown(self.name)) from None
        try:
            reason = self.busy() or _try_lock(descriptor)
            if reason:
                raise Unable(f"lab {self.name!r} is in use: {reason}; wait for it, or end it, and try again")
            yield
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove the folder. From the first moment the name is free, so a crash half way leaves nothing in use."""
        doomed = self.path.with_name(f".gone-{secrets.token_hex(4)}")
        self.path.rename(doomed)
        sweep_drafts()


def _numbered(word: str, number: int) -> str:
    return word if number == 1 else f"{word}{number}"


def tail(path: Path, lines: int) -> tuple[str, ...]:
    """Return the last lines of a text file, empty when there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 200 * lines))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ()
    return tuple(line.rstrip() for line in text.splitlines() if line.strip())[-lines:]


def run_folder(marker: str) -> Path:
    """Return the folder in memory that belongs to a marker."""
    return (SHM if SHM.is_dir() else Path("/tmp")) / marker


def sweep_drafts() -> list[str]:
    """Remove folders half made by a command that died, or half removed; return their paths."""
    labs = home() / "labs"
    removed: list[str] = []
    for path in labs.glob(".*") if labs.is_dir() else ():
        if path.name.startswith(".gone-") or _draft_is_dead(path.name):
            shutil.rmtree(path, ignore_errors=True)
            removed.append(str(path))
    return removed


def _draft_is_dead(name: str) -> bool:
    match = re.fullmatch(r"\.new-(\d+)-(\d+)-[0-9a-f]+", name)
    return match is not None and not alive(Process(int(match[1]), int(match[2])))


def _try_lock(descriptor: int) -> str:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "another command is changing it"
    return ""


def _self() -> Process:
    process = identify(os.getpid())
    assert process is not None
    return process


def _checked(base: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"lab name {name!r}: expected lower-case letters, digits and inner hyphens, at most 40, such as 'metro-2'"
        )
    if any(letter.isspace() or letter == "," for letter in str(base)):
        raise BadInput(
            f"state folder {str(base)!r}: spaces and commas cannot be passed to a guest kernel; "
            "take a folder without them (TESTBED_HOME, or --output of the demo)"
        )
    return base


def curve_keys() -> dict[str, str]:
    """Return fresh keys for one lab's agent and its controller (CurveZMQ, Z85 text)."""
    import zmq

    server_public, server_secret = zmq.curve_keypair()
    client_public, client_secret = zmq.curve_keypair()
    return {
        "server_public": server_public.decode(),
        "server_secret": server_secret.decode(),
        "client_public": client_public.decode(),
        "client_secret": client_secret.decode(),
    }


def _unknown(name: str) -> str:
    known = [folder.name for folder in LabFolder.all()]
    listing = ", ".join(known) if known else "none; `testbed up FILE` brings one up"
    return f"no lab called {name!r}{nearest(name, known)} (labs: {listing})"
