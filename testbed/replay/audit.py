"""The audit log: append-only, a Merkle tree (RFC 6962) over lines of canonical JSON, every head signed.

In the log's directory: `log.jsonl` (the entries), `checkpoints.jsonl` (a signed head after every append), `pending`
(the append under way, so that a crash leaves it done or not begun), `key` and `key.pub` (who signs), `lock`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from testbed.errors import BadInput, Refused, Unable
from testbed.replay import canonical, faultpoint, keys, merkle, note
from testbed.replay.note import Checkpoint

ORIGIN = "testbed/audit"
REDACTED = "[redacted]"
FILES = ("log.jsonl", "checkpoints.jsonl", "pending")

_SECRET_KEY = re.compile(r"passw|secret|token|private|credential|community|passphrase|psk", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|((?:password|passwd|secret|md5|authentication-key|key-string|community)(?:\s+\d)?[ =:]+)\S+",
    re.IGNORECASE | re.DOTALL,
)


class AuditLog:
    """One process's hand on the log. Every append is durable, signed and safe beside other processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(path, fcntl.LOCK_EX):
            if not (path / "key").exists():
                _make_log(path)
            self._key = keys.read_private(path / "key")
            self._reload()

    @classmethod
    def open(cls, path: Path) -> AuditLog:
        """Open or make the log in this directory.

        Raises:
            Refused: what is there does not fit its last signed head; `testbed audit verify` says where.
        """
        return cls(path)

    @property
    def head(self) -> Checkpoint:
        """The head as this process last saw it."""
        return Checkpoint(ORIGIN, self._tree.size, self._tree.root())

    def append(self, kind: str, **fields: Any) -> Checkpoint:
        """Add one entry, sign the new head, sync both.

        Args:
            kind: what happened, such as `plan.approved`. fields: JSON values; secrets in them are blotted out.

        Returns:
            The new head.

        Raises:
            Refused: the log on disk does not fit its last signed head.
            Unable: it cannot be written (a full disk); the entry may still be carried out by the next append.
            ValueError: a field JSON cannot carry.
        """
        try:
            return self._append(kind, fields)
        except OSError as error:
            raise Unable(f"cannot write the audit log {self.path}: {error.strerror}") from None

    def _append(self, kind: str, fields: dict[str, Any]) -> Checkpoint:
        with _locked(self.path, fcntl.LOCK_EX):
            self._catch_up()
            entry = {"n": self._tree.size, "at": time.time(), "kind": kind, "fields": without_secrets(fields)}
            line = canonical.encode(entry)
            tree = self._tree.copy()
            tree.append(merkle.leaf_hash(line))
            head = Checkpoint(ORIGIN, tree.size, tree.root())
            signed = note.sign(head.text(), ORIGIN, self._key)
            _write_pending(self.path, self._sizes, line + b"\n", canonical.encode(signed) + b"\n")
            self._sizes = _carry_out_pending(self.path)
            self._tree = tree
        return head

    def contains(self, head: Checkpoint) -> bool:
        """Tell whether a head seen earlier (the journal keeps one) is of the beginning of this log."""
        leaves = [merkle.leaf_hash(line) for line in _lines(self.path / "log.jsonl")]
        return head.size <= len(leaves) and merkle.root(leaves[: head.size]) == head.root

    def _catch_up(self) -> None:
        if _read(self.path / "pending") or _sizes(self.path) != self._sizes:
            self._reload()

    def _reload(self) -> None:
        missing = [name for name in FILES if not (self.path / name).exists()]
        if missing:
            raise Refused(f"the audit log {self.path} lacks {', '.join(missing)}; put it back from a copy")
        _carry_out_pending(self.path)
        tree = merkle.Frontier()
        for line in _lines(self.path / "log.jsonl"):
            tree.append(merkle.leaf_hash(line))
        signed = _lines(self.path / "checkpoints.jsonl")
        head = _checkpoint(signed[-1], self._key.public_key()) if signed else Checkpoint(ORIGIN, 0, merkle.EMPTY_ROOT)
        if (head.size, head.root) != (tree.size, tree.root()):
            raise Refused(
                f"the audit log {self.path} does not fit its last signed head ({head.size} entries signed, "
                f"{tree.size} there); testbed audit verify says where. Move the directory aside to begin a new log"
            )
        self._tree, self._sizes = tree, _sizes(self.path)


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found. False when anything is wrong; `first_bad` is the number of the first bad entry (from 0)."""

    ok: bool
    size: int
    first_bad: int | None
    problems: tuple[str, ...]
    head: Checkpoint | None

    def __bool__(self) -> bool:
        return self.ok


def verify(path: Path, heads: Sequence[Checkpoint] = (), verifier: str | None = None) -> Report:
    """Check every entry against every signed head.

    Args:
        path: the log's directory.
        heads: heads kept elsewhere (the journal's, one written down); each must be a prefix of the log. They
            uncover what the directory alone cannot: log and checkpoints put back together to an older state.
        verifier: the key as in `key.pub`, when it was kept elsewhere; else that file's.

    Raises:
        BadInput: no log there.
    """
    if not (path / "key.pub").exists():
        raise BadInput(f"no audit log in {path}: expected the files log.jsonl, checkpoints.jsonl and key.pub")
    try:
        with _locked(path, fcntl.LOCK_SH):
            text = verifier or (path / "key.pub").read_text(errors="replace")
            lines, signed, problems = _state(path)
    except OSError as error:
        raise BadInput(f"cannot read the audit log {path}: {error.strerror} ({error.filename})") from None
    checked = _checkpoints(signed, text, problems)
    return _report(lines, checked, heads, problems)


def signed_head(path: Path) -> str:
    """Return the newest signed head, a C2SP checkpoint.

    Raises:
        BadInput: no log there, or nothing in it yet.
    """
    try:
        return json.loads(_lines(path / "checkpoints.jsonl")[-1])
    except (IndexError, ValueError):
        raise BadInput(f"no signed head in {path}: expected at least one line in checkpoints.jsonl") from None


def read_head(path: Path, file: Path) -> Checkpoint:
    """Read a signed head of the log in `path` that was kept in a file.

    Raises:
        BadInput: no such file, or no such log. Refused: it is not signed by the log's key.
    """
    try:
        _, key = note.read_verifier((path / "key.pub").read_text())
        return note.read_checkpoint(file.read_text(), ORIGIN, key)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the head {file} of the audit log {path}: {error}") from None


def entries(path: Path) -> list[dict[str, Any]]:
    """Return the log's entries, for people to read; `verify` says whether they are true.

    Raises:
        BadInput: no log there. Refused: a line is no entry.
    """
    if not (path / "log.jsonl").exists():
        raise BadInput(f"no audit log in {path}: expected the file log.jsonl")
    lines = _lines(path / "log.jsonl")
    bad = next((number for number, line in enumerate(lines) if _number(line) is None), None)
    if bad is not None:
        raise Refused(f"line {bad + 1} of {path / 'log.jsonl'} is no entry; see: testbed audit verify")
    return [json.loads(line) for line in lines]


def prove_inclusion(path: Path, number: int) -> tuple[bytes, list[bytes]]:
    """Return an entry's leaf hash and its proof against the present head (RFC 6962, 2.1.1)."""
    leaves = [merkle.leaf_hash(line) for line in _lines(path / "log.jsonl")]
    proof = merkle.inclusion_proof(leaves, number)
    return leaves[number], proof


def prove_consistency(path: Path, older: int) -> list[bytes]:
    """Prove that the log of `older` entries is a prefix of the present one (RFC 6962, 2.1.2)."""
    return merkle.consistency_proof([merkle.leaf_hash(line) for line in _lines(path / "log.jsonl")], older)


def without_secrets(value: Any) -> Any:
    """Return the value with passwords, keys and tokens blotted out, whatever depth they hide at."""
    if isinstance(value, Mapping):
        return {k: REDACTED if _SECRET_KEY.search(k) else without_secrets(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    if isinstance(value, str):
        return _SECRET_TEXT.sub(lambda m: f"{m[1] or m[3]}{REDACTED}{m[2] or ''}", value)
    return value


def _report(lines: list[bytes], signed: list[Checkpoint], heads: Sequence[Checkpoint], problems: list[str]) -> Report:
    first_bad = None
    roots = _roots(lines)
    good = 0
    for number, head in enumerate(signed, 1):
        if head.size != number:
            problems.append(f"checkpoint {number - 1} is not the head of {number} entries but of {head.size}")
            break
    for head in sorted([*signed, *heads], key=lambda h: h.size):
        if head.size >= len(roots):
            first_bad = len(lines)
            problems.append(f"entries {len(lines)} to {head.size - 1} were cut off the end")
            break
        if roots[head.size] != head.root:
            first_bad, what = _first_bad(lines, good, head.size)
            problems.append(what)
            break
        good = head.size
    if first_bad is None and good < len(lines):
        first_bad = good
        problems.append(f"entry {good} was added without a signed head over it")
    return Report(not problems, len(lines), first_bad, tuple(problems), signed[-1] if signed else None)


def _roots(lines: list[bytes]) -> list[bytes]:
    tree, roots = merkle.Frontier(), [merkle.EMPTY_ROOT]
    for line in lines:
        tree.append(merkle.leaf_hash(line))
        roots.append(tree.root())
    return roots


def _first_bad(lines: list[bytes], good: int, size: int) -> tuple[int, str]:
    """Say which entry from `good` up to `size` is the first that is not what was signed, and what befell it."""
    numbers = [_number(line) for line in lines]
    bad = next((n for n in range(good, size) if numbers[n] != n), good)
    found = numbers[bad]
    if found == bad:
        upto = "" if size == good + 1 else f", or a later one up to {size - 1}"
        return bad, f"entry {bad}{upto} was altered"
    if bad in numbers:
        return bad, f"entry {bad} was moved: it stands at line {numbers.index(bad) + 1}"
    if found is not None and found > bad:
        return bad, f"entry {bad} was removed: line {bad + 1} holds entry {found}"
    return bad, f"entry {bad} was altered: line {bad + 1} is not its own"


def _number(line: bytes) -> int | None:
    try:
        number = json.loads(line)["n"]
    except (ValueError, TypeError, KeyError):
        return None
    return number if isinstance(number, int) else None


def _checkpoints(signed: list[bytes], verifier: str, problems: list[str]) -> list[Checkpoint]:
    """Return the heads whose signatures hold; say of the others what is wrong."""
    checked: list[Checkpoint] = []
    try:
        _, key = note.read_verifier(verifier)
    except BadInput as error:
        problems.append(f"key.pub: {error}")
        return checked
    for number, line in enumerate(signed):
        try:
            checked.append(_checkpoint(line, key))
        except Refused as error:
            problems.append(f"checkpoint {number}: {error}")
    return checked


def _checkpoint(line: bytes, key: Ed25519PublicKey) -> Checkpoint:
    """Read one line; only the very bytes that signing wrote are accepted, not others that mean the same."""
    try:
        text = json.loads(line)
    except ValueError:
        raise Refused("not a line of JSON") from None
    if not isinstance(text, str):
        raise Refused("not a signed note")
    head = note.read_checkpoint(text, ORIGIN, key)
    if canonical.encode(text) != line:
        raise Refused("not canonical JSON")
    return head


def _make_log(path: Path) -> None:
    if _read(path / "log.jsonl"):
        raise Refused(f"the audit log {path} has entries but its signing key is gone; put {path / 'key'} back")
    (path / "key.new").unlink(missing_ok=True)  # left by a crash while the log was being made
    public = keys.make_key(path / "key.new")
    (path / "key.new.pub").unlink()
    (path / "key.pub").write_text(note.verifier_text(ORIGIN, public) + "\n")
    for name in FILES:
        (path / name).touch(0o600)
    os.replace(path / "key.new", path / "key")
    _sync_directory(path)


def _state(path: Path) -> tuple[list[bytes], list[bytes], list[str]]:
    """Return entries and checkpoints as they are once a pending append is carried out, without touching a file."""
    log, checkpoints = _read(path / "log.jsonl"), _read(path / "checkpoints.jsonl")
    pending = _read_pending(path)
    if pending:
        log = log[: pending["log"]] + pending["line"].encode()
        checkpoints = checkpoints[: pending["checkpoints"]] + pending["checkpoint"].encode()
    problems = [f"{name} is missing" for name in FILES if not (path / name).exists()]
    problems += [
        f"the last line of {name} is cut short"
        for name, data in (("log.jsonl", log), ("checkpoints.jsonl", checkpoints))
        if data and not data.endswith(b"\n")
    ]
    return _split(log), _split(checkpoints), problems


def _write_pending(path: Path, sizes: tuple[int, int], line: bytes, checkpoint: bytes) -> None:
    body = canonical.encode(
        {"log": sizes[0], "checkpoints": sizes[1], "line": line.decode(), "checkpoint": checkpoint.decode()}
    )
    with faultpoint.write("audit"), (path / "pending").open("wb") as file:
        file.write(sha256(body).hexdigest().encode() + b" " + body)
        _sync(file)


def _read_pending(path: Path) -> dict[str, Any] | None:
    """Return the append under way; None when there is none, or when it was itself cut short (then nothing was done)."""
    checksum, _, body = _read(path / "pending").partition(b" ")
    return json.loads(body) if checksum == sha256(body).hexdigest().encode() else None


def _carry_out_pending(path: Path) -> tuple[int, int]:
    """Finish the append in `pending`; safe to repeat. Returns the sizes of log and checkpoints."""
    pending = _read_pending(path)
    if pending:
        _write_at(path / "log.jsonl", pending["log"], pending["line"].encode())
        _write_at(path / "checkpoints.jsonl", pending["checkpoints"], pending["checkpoint"].encode())
    if (path / "pending").exists():
        os.truncate(path / "pending", 0)
    return _sizes(path)


def _write_at(path: Path, offset: int, data: bytes) -> None:
    with faultpoint.write("audit"), path.open("r+b") as file:
        file.truncate(offset)
        file.seek(offset)
        file.write(data)
        _sync(file)


def _sizes(path: Path) -> tuple[int, int]:
    log, checkpoints = path / "log.jsonl", path / "checkpoints.jsonl"
    return (log.stat().st_size, checkpoints.stat().st_size) if log.exists() and checkpoints.exists() else (-1, -1)


def _lines(path: Path) -> list[bytes]:
    return _split(_read(path))


def _split(data: bytes) -> list[bytes]:
    return data.removesuffix(b"\n").split(b"\n") if data else []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    if how == fcntl.LOCK_SH and not (path / "lock").exists():
        yield  # a copy, which nobody writes
        return
    writable = how == fcntl.LOCK_EX
    handle = os.open(path / "lock", os.O_CREAT | os.O_RDWR if writable else os.O_RDONLY, 0o600)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)
