"""The few system calls that the Python library lacks, through ctypes: namespaces, mounts, capabilities.

Each raises OSError with what was refused in its words. Namespaces are the calling thread's. Nothing but the standard
library here: the launcher and the kernel's probes import it in a bare interpreter.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from pathlib import Path

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 0x1
_SYS_MOUNT_SETATTR = 442  # the same number on every architecture (Linux 5.12)
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_SETGROUPS = {"x86_64": (0xC000003E, 116), "aarch64": (0xC00000B7, 159)}  # AUDIT_ARCH_*, number of setgroups(2)
_MNT_DETACH = 2
_RB_POWER_OFF = 0x4321FEDC
_IN_WRITTEN = 0x2 | 0x80 | 0x100  # IN_MODIFY, IN_MOVED_TO, IN_CREATE

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces named by CLONE_NEW* flags for new ones (unshare(2))."""
    _check(_libc.unshare(ctypes.c_int(flags)), f"unshare({flags:#x})")


def setns(namespace: int, kind: int) -> None:
    """Enter the namespace behind a descriptor (setns(2)).

    Args:
        kind: CLONE_NEW* flag of what it is one of.
    """
    _check(_libc.setns(ctypes.c_int(namespace), ctypes.c_int(kind)), f"setns({namespace}, {kind:#x})")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a file system (mount(2))."""
    arguments = (source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None)
    _check(_libc.mount(*arguments), f"mount {source} on {target}")


def unmount(target: str) -> None:
    """Take a mount, and all below it, out of sight; what is still in use goes when it no longer is (umount2(2))."""
    _check(_libc.umount2(target.encode(), ctypes.c_int(_MNT_DETACH)), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """Make the mount `new` the root; the old one is then at `old`, a folder below it (pivot_root(2))."""
    _check(_libc.pivot_root(new.encode(), old.encode()), f"pivot_root {new} {old}")


def set_read_only(path: str, read_only: bool, recursive: bool = False) -> None:
    """Make a mount, or with `recursive` the whole tree of mounts below it, read-only or writable (mount_setattr(2))."""
    change = _MountAttributes(**{"attr_set" if read_only else "attr_clr": _MOUNT_ATTR_RDONLY})
    flags = _AT_RECURSIVE if recursive else 0
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR), ctypes.c_int(_AT_FDCWD), path.encode(), ctypes.c_uint(flags),
        ctypes.byref(change), ctypes.c_size_t(ctypes.sizeof(change)),
    )  # fmt: skip
    _check(result, f"mount_setattr {path}")


def _prctl(option: int, value: int) -> int:
    zero = ctypes.c_ulong(0)
    return _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero)


def die_with_parent() -> None:
    """Ask for SIGKILL when the thread that started this process ends (prctl(2), PR_SET_PDEATHSIG)."""
    _check(_prctl(_PR_SET_PDEATHSIG, signal.SIGKILL), "PR_SET_PDEATHSIG")


def adopt_orphans() -> None:
    """Make this process the one that orphaned descendants are given to, PID 1 or not (PR_SET_CHILD_SUBREAPER)."""
    _check(_prctl(_PR_SET_CHILD_SUBREAPER, 1), "PR_SET_CHILD_SUBREAPER")


def power_off() -> None:
    """Write out what is in memory and switch the machine off (reboot(2))."""
    os.sync()
    _check(_libc.reboot(ctypes.c_int(_RB_POWER_OFF)), "reboot")


def drop_capabilities(keep: frozenset[int]) -> None:
    """Take all capabilities but these numbers from what the next exec may have, for good."""
    for capability in range(64):
        if capability not in keep and _prctl(_PR_CAPBSET_DROP, capability) < 0:
            break  # EINVAL: this kernel has no such capability, nor a higher one
    _check(_prctl(_PR_SET_NO_NEW_PRIVS, 1), "PR_SET_NO_NEW_PRIVS")


def accept_setgroups() -> None:
    """Let setgroups(2) do nothing and succeed, here and in all that is started from here.

    A user namespace made without privilege refuses it (user_namespaces(7)), and has no groups to set. Programs that
    give up rights, sshd for one, take the refusal as a reason to end.
    """
    known = _SETGROUPS.get(os.uname().machine)
    if known is None:
        return
    load, equal, give = 0x20, 0x15, 0x06  # BPF_LD+W+ABS, BPF_JMP+JEQ+K, BPF_RET+K
    steps = (
        (load, 0, 0, 4), (equal, 0, 3, known[0]),  # seccomp_data.arch
        (load, 0, 0, 0), (equal, 0, 1, known[1]),  # seccomp_data.nr
        (give, 0, 0, 0x00050000),  # SECCOMP_RET_ERRNO with error 0: it returns 0
        (give, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
    )  # fmt: skip
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    mode, zero = ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.c_ulong(0)
    _check(_libc.prctl(ctypes.c_int(_PR_SET_SECCOMP), mode, program, zero, zero), "PR_SET_SECCOMP")


def enter_user_namespace(inside: int | None = None) -> None:
    """Enter a new user namespace in which this user alone exists, with all capabilities over what is made from there.

    Args:
        inside: the user and group number it has there; None keeps its own.
    """
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user if inside is None else inside} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group if inside is None else inside} {group} 1")


def watch(folder: str) -> int:
    """Return a descriptor that becomes readable when a file in `folder` appears or is written (inotify(7))."""
    descriptor = _libc.inotify_init1(ctypes.c_int(os.O_CLOEXEC | os.O_NONBLOCK))
    _check(descriptor, "inotify_init1")
    _check(_libc.inotify_add_watch(descriptor, folder.encode(), ctypes.c_uint32(_IN_WRITTEN)), f"inotify {folder}")
    return descriptor
