"""The folder of an embedded PostgreSQL, its files and its locks."""

import fcntl
import hashlib
import os
import stat
from pathlib import Path

SUPERUSER = "costprism"
DATABASE = "costprism"
PORT = 5432  # part of the socket's name
SOCKET_LOCK = f".s.PGSQL.{PORT}.lock"
# sun_path has 104 bytes on macOS, 108 on Linux; the last one is a NUL.
_LONGEST_SOCKET_PATH = 103


class Home:
    """Where things are, below the data folder of Costprism."""

    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir / "postgres"
        self.data = self.root / "data"
        self.log = self.root / "server.log"
        self.users_lock = self.root / "users.lock"
        self.supervisor_lock = self.root / "supervisor.lock"
        self.sockets = self._sockets()

    def make(self) -> None:
        """Create the folders, for our eyes only. Raises OSError when one is not ours."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whoever reaches the socket is superuser of the database (trust authentication), so the
        # way to it is closed here: PostgreSQL run as root's deputy has other users' name.
        self.root.chmod(0o700)
        if self.sockets != self.root:
            self._make_private(self.sockets)

    def clear(self) -> None:
        """Take the short folder away again; whoever starts next makes it."""
        if self.sockets != self.root:
            self.sockets.rmdir()

    def _sockets(self) -> Path:
        """The folder of the socket: a plain one elsewhere if the path of this one does not do."""
        short = len(os.fsencode(self.root / SOCKET_LOCK)) <= _LONGEST_SOCKET_PATH
        if short and not set(str(self.root)) & set(',"'):  # they separate and quote such paths
            return self.root
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        # Not TMPDIR: all processes must find the same folder, whatever their environment.
        return Path(f"/tmp/costprism-{os.getuid()}-{digest}")  # noqa: S108

    @staticmethod
    def _make_private(folder: Path) -> None:
        """In /tmp somebody else may have been here first: a folder or a symbolic link of theirs."""
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else")
        folder.chmod(0o700)


def open_lock(path: Path) -> int:
    """A descriptor to lock; closed on exec, kept over fork, so workers hold what they inherit."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(descriptor: int, *, exclusive: bool) -> bool:
    """Lock without waiting. False if another process is in the way."""
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
