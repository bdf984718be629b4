"""How does root start a program that refuses root?  In a user namespace, or as another user.

`python -m sensus.runtime.unprivileged namespace UID GID PROGRAM ARGUMENT...` and the same with `user`. The
program replaces this process, so its pid is the one that the caller knows.
"""

from __future__ import annotations

import ctypes
import functools
import os
import pwd
import subprocess
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_OVERFLOW_UID = 65534


def namespace_prefix() -> tuple[str, ...]:
    """What to put before a command so that it runs as somebody else with our own rights to files."""
    # initdb wants a name for its user, so the id must be one that the machine knows. The id of `nobody` is
    # left out: inside a namespace it also stands for all that is not mapped.
    known = next((entry for entry in pwd.getpwall() if entry.pw_uid not in (0, _OVERFLOW_UID)), None)
    uid = known.pw_uid if known else 1000
    return (sys.executable, "-m", __name__, "namespace", str(uid), str(uid))


def user_prefix(uid: int, gid: int) -> tuple[str, ...]:
    """What to put before a command so that it runs as this user; only root can."""
    return (sys.executable, "-m", __name__, "user", str(uid), str(gid))


@functools.cache
def namespace_works(program: Path) -> bool:
    """Whether this machine lets us make a user namespace and start the program in it; tried once."""
    try:
        tried = subprocess.run(
            [*namespace_prefix(), str(program), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def main(arguments: list[str]) -> None:
    """Become the other user, then the program."""
    how, uid, gid, *command = arguments
    try:
        if how == "namespace":
            _enter_namespace(int(uid), int(gid))
        else:
            os.setgroups([])
            os.setresgid(int(gid), int(gid), int(gid))
            os.setresuid(int(uid), int(uid), int(uid))
            # The caller's folder may be closed to the new user, and the program asks where it stands.
            os.chdir("/")
        os.execv(command[0], command)  # noqa: S606 - the point of this module; no shell is involved.
    except OSError as error:
        sys.exit(f"{command[0]} can't be started as another user: {error}")


def _enter_namespace(uid: int, gid: int) -> None:
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"no user namespace: {os.strerror(number)}")
    # The kernel wants this before an unprivileged process may map a group.
    Path("/proc/self/setgroups").write_text("deny", "ascii")
    Path("/proc/self/uid_map").write_text(f"{uid} {outside_uid} 1", "ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {outside_gid} 1", "ascii")


if __name__ == "__main__":
    main(sys.argv[1:])
