"""The embedded PostgreSQL, tried with real processes on real folders: shared, killed, left."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest
from django.db.utils import OperationalError

from config.embedded import postgres
from config.embedded.home import Home
from config.embedded.server import Server

PROJECT = Path(__file__).resolve().parent.parent
USER = """
import sys
from pathlib import Path
from config.embedded.server import Server
Server(Path(sys.argv[1])).ensure()
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder. A test that leaves a process behind fails."""
    yield tmp_path / "data"
    left = [process.pid for process in processes(tmp_path) if process.pid != os.getpid()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that was used and left once; to be copied, which saves making a cluster."""
    folder = tmp_path_factory.mktemp("made") / "data"
    server = Server(folder)
    server.ensure()
    query(server, "CREATE TABLE kept (n int)")
    server.release()
    return folder


@pytest.fixture
def server(made: Path, folder: Path) -> Iterator[Server]:
    """A running server of this process, with an empty table `kept`."""
    subprocess.run(["cp", "-a", made, folder], check=True)
    server = Server(folder)
    server.ensure()
    yield server
    server.release()


def processes(folder: Path) -> list[psutil.Process]:
    """The processes that name this folder, or one below it, on their command line."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(folder) in word for word in process.info["cmdline"] or [])
    ]


def query(server: Server, sql: str) -> str:
    """The one value that a statement answers, over a connection of its own."""
    where = {"host": str(server.home.sockets), "port": 5432, "user": "costprism"}
    with psycopg.connect(dbname="costprism", **where) as connection:
        cursor = connection.execute(sql)
        return str(cursor.fetchone()[0]) if cursor.description else ""


def eventually(happens: Callable[[], object], seconds: float = 15) -> None:
    """Wait until something is true; fail if it takes too long."""
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def answers(server: Server) -> bool:
    try:
        return query(server, "SELECT 1") == "1"
    except psycopg.OperationalError:
        return False


def started(server: Server) -> str:
    return query(server, "SELECT pg_postmaster_start_time()")


def supervisors(folder: Path) -> list[int]:
    return [p.pid for p in processes(folder) if "config.embedded.supervisor" in p.cmdline()]


def user(folder: Path) -> subprocess.Popen[bytes]:
    """Another process that uses the server until its input ends."""
    command = [sys.executable, "-c", USER, str(folder)]
    return subprocess.Popen(
        command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )


def kill(process: int | None) -> None:
    assert process is not None
    os.kill(process, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(process) or is_zombie(process))


def is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_two_that_start_at_once_share_a_server_till_the_last_leaves(folder: Path) -> None:
    users = [user(folder) for _ in range(2)]
    assert [one.stdout.readline() for one in users] == [b"up\n", b"up\n"]
    server = Server(folder)
    first = started(server)
    assert len(supervisors(folder)) == 1
    assert query(server, "SELECT datlocale FROM pg_database") == "C.UTF-8"
    users[0].communicate()
    time.sleep(0.5)
    assert started(server) == first
    users[1].communicate()
    assert processes(folder) == []


def test_release_leaves_nothing_behind(server: Server, folder: Path) -> None:
    server.release()
    assert processes(folder) == []
    server.ensure()
    assert answers(server)


def test_release_returns_while_others_use_the_server(server: Server, folder: Path) -> None:
    other = user(folder)
    other.stdout.readline()
    server.release()
    assert answers(server)
    other.communicate()
    assert not answers(server)


def test_killed_postgres_is_started_again_with_its_data(server: Server) -> None:
    query(server, "INSERT INTO kept VALUES (7)")
    before = started(server)
    kill(postgres.postmaster(server.home))
    eventually(lambda: answers(server))
    assert query(server, "SELECT n FROM kept") == "7"
    assert started(server) != before


def test_postgres_left_by_a_killed_supervisor_is_adopted(server: Server, folder: Path) -> None:
    before = started(server)
    kill(supervisors(folder)[0])
    server.ensure()
    eventually(lambda: supervisors(folder))
    assert started(server) == before
    server.release()
    assert processes(folder) == []


def test_adopted_postgres_is_started_again_too(server: Server, folder: Path) -> None:
    kill(supervisors(folder)[0])
    server.ensure()
    kill(postgres.postmaster(server.home))
    eventually(lambda: answers(server))


def test_everything_killed_at_once_starts_again(made: Path, folder: Path) -> None:
    subprocess.run(["cp", "-a", made, folder], check=True)
    other = user(folder)
    other.stdout.readline()
    server = Server(folder)
    query(server, "INSERT INTO kept VALUES (1)")
    for process in processes(folder):
        kill(process.pid)
    other.communicate()
    server.ensure()
    assert query(server, "SELECT n FROM kept") == "1"
    server.release()


def test_pid_file_that_names_another_living_process(server: Server, folder: Path) -> None:
    server.release()
    # PostgreSQL believes in a process of its own user; this one is, and it must survive.
    sleeper = subprocess.Popen([*postgres.as_owner(server.home.data), "sleep", "60"])
    server.home.make()
    for path in (server.home.data / "postmaster.pid", server.home.sockets / ".s.PGSQL.5432.lock"):
        path.write_text(f"{sleeper.pid}\n{server.home.data}\n1700000000\n5432\n\n\n0 0\nready\n")
        shutil.copystat(server.home.data / "PG_VERSION", path)
        os.chown(path, *owner(server.home.data))
    server.ensure()
    server.release()
    assert sleeper.poll() is None
    sleeper.kill()
    sleeper.wait()


def owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


def test_start_waits_for_the_backends_of_a_killed_server(server: Server) -> None:
    # A busy backend sees late that its server is gone; one that is halted does not see it at all.
    where = {"host": str(server.home.sockets), "port": 5432, "user": "costprism"}
    with closing(psycopg.connect(dbname="costprism", **where)) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        kill(postgres.postmaster(server.home))
        refusals = 4  # one more than the failures that a supervisor accepts
        eventually(lambda: server.home.log.read_text().count("is still in use") >= refusals)
        os.kill(backend, signal.SIGKILL)
    eventually(lambda: answers(server))


def test_many_short_uses_all_succeed(made: Path, folder: Path) -> None:
    """Starting and stopping overlap in every way; each use finds a server and keeps its row."""
    subprocess.run(["cp", "-a", made, folder], check=True)
    script = (
        USER.replace("sys.stdin.read()", "")
        + """
import psycopg
from config.embedded.home import Home
host = str(Home(Path(sys.argv[1])).sockets)
with psycopg.connect(host=host, user="costprism", dbname="costprism") as connection:
    connection.execute("INSERT INTO kept VALUES (1)")
"""
    )
    loop = 'for i in 1 2 3 4 5; do "$0" -c "$1" "$2" || exit 1; done'
    loops = [
        subprocess.Popen(["/bin/sh", "-c", loop, sys.executable, script, folder], cwd=PROJECT)
        for _ in range(3)
    ]
    assert [one.wait(60) for one in loops] == [0, 0, 0]
    server = Server(folder)
    server.ensure()
    assert query(server, "SELECT count(*) FROM kept") == "15"
    server.release()


@pytest.mark.parametrize("name", ["long-name/" * 12, 'commas, "quotes"', "white space"])
def test_folder_with_a_path_that_does_not_do_for_a_socket(folder: Path, name: str) -> None:
    server = Server(folder / name)
    server.ensure()
    assert answers(server)
    assert server.home.sockets.stat().st_mode & 0o777 == 0o700
    server.release()
    assert server.home.sockets == server.home.root or not server.home.sockets.exists()


def test_socket_folder_of_somebody_else_is_refused(folder: Path, tmp_path: Path) -> None:
    server = Server(folder.joinpath(*["another-folder-with-a-long-name"] * 6))
    server.home.sockets.symlink_to(tmp_path)
    with pytest.raises(OperationalError, match="belongs to somebody else"):
        server.ensure()
    server.home.sockets.unlink()


def test_server_that_cannot_start_shows_why(server: Server) -> None:
    server.release()
    (server.home.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(OperationalError, match=r"(?s)failed to start.*not compatible"):
        server.ensure()


@pytest.mark.skipif(os.geteuid() != 0, reason="concerns root alone")
def test_as_root_nothing_but_the_cluster_changes_hands(server: Server) -> None:
    assert psutil.Process(postgres.postmaster(server.home)).uids().effective != 0
    assert owner(server.home.root)[0] == 0
    assert server.home.root.stat().st_mode & 0o777 == 0o700


def test_home_of_two_folders_differs() -> None:
    long = "/x" * 60
    assert Home(Path(long + "a")).sockets != Home(Path(long + "b")).sockets
