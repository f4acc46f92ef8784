"""`manage.py serve` as its user runs it: started, asked, told to stop, killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import psutil
import pytest
import requests

PROJECT = Path(__file__).resolve().parent.parent


class Serve:
    """A running `manage.py serve` with a data folder of its own."""

    def __init__(self, folder: Path, *options: str, log: IO[str] | None = None) -> None:
        self.folder = folder
        command = [sys.executable, "manage.py", "serve", "--port", "0", *options]
        clean = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        self.process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**clean, "COSTPRISM_DATA_DIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().removeprefix("Costprism is ready at ").strip()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def family(self) -> list[psutil.Process]:
        """All processes that work on this data folder: their environment names it."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("COSTPRISM_DATA_DIR") == str(self.folder):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def workers(self) -> list[psutil.Process]:
        """The background workers, of which there should be one."""
        return [process for process in self.family() if "worker" in process.cmdline()]

    def tell(self, kind: signal.Signals) -> None:
        """Signal it as a process manager does; Ctrl-C as a terminal does, to the whole group."""
        if kind == signal.SIGINT:
            os.killpg(self.process.pid, kind)
        else:
            self.process.send_signal(kind)

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait; its exit code."""
        self.tell(kind)
        return self.process.wait(20)

    def __enter__(self) -> "Serve":
        return self

    def __exit__(self, *failure: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a migrated database; to be copied, which saves migrating."""
    folder = tmp_path_factory.mktemp("made") / "data"
    with Serve(folder, "--no-worker") as serve:
        assert serve.stop() == 0
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A data folder. A test that leaves a process behind fails."""
    folder = tmp_path / "data"
    subprocess.run(["cp", "-a", made, folder], check=True)
    yield folder
    left = [process for process in psutil.process_iter() if names(process, folder)]
    for process in left:
        process.kill()
    assert left == []


def names(process: psutil.Process, folder: Path) -> bool:
    """Whether a process was started for this folder."""
    try:
        return str(folder) in f"{process.cmdline()} {process.environ()}"
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def eventually(happens: Callable[[], object]) -> None:
    """Wait until something is true; fail if it takes too long."""
    deadline = time.monotonic() + 15
    while not happens():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_serves_and_stops_with_all_that_it_started(folder: Path, kind: signal.Signals) -> None:
    with Serve(folder, "--processes", "2") as serve:
        assert requests.get(f"{serve.url}/healthz", timeout=5).status_code == 200
        eventually(lambda: len(serve.workers()) == 1)
        assert serve.stop(kind) == 0
        assert serve.family() == []


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_request_in_flight_is_finished(folder: Path, kind: signal.Signals) -> None:
    with (
        Serve(folder, "--processes", "1", "--no-worker") as serve,
        closing(socket.create_connection(serve.address, timeout=5)) as client,
    ):
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: local")
        time.sleep(0.3)  # by now it is in a thread, which waits for the rest
        serve.tell(kind)
        time.sleep(0.5)
        client.sendall(b"host\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        client.close()
        assert serve.process.wait(20) == 0


def test_worker_that_ends_is_started_again(folder: Path) -> None:
    with Serve(folder, "--processes", "1") as serve:
        eventually(serve.workers)
        first = serve.workers()[0]
        first.kill()
        eventually(lambda: [one for one in serve.workers() if one.pid != first.pid])
        assert serve.stop() == 0


def test_nothing_outlives_a_kill(folder: Path) -> None:
    with Serve(folder) as serve:
        requests.get(f"{serve.url}/healthz", timeout=5)
        serve.stop(signal.SIGKILL)
        eventually(lambda: not serve.family())
    with Serve(folder) as serve:
        assert requests.get(f"{serve.url}/healthz", timeout=5).status_code == 200
        assert serve.stop() == 0


def test_port_that_is_taken_is_a_clear_error(folder: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = str(other.getsockname()[1])
        command = [sys.executable, "manage.py", "serve", "--port", port]
        environment = {**os.environ, "COSTPRISM_DATA_DIR": str(folder)}
        done = subprocess.run(
            command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: " in done.stderr
    assert "Traceback" not in done.stderr


def test_two_share_a_database_and_part_in_peace(folder: Path) -> None:
    with Serve(folder, "--no-worker") as first, Serve(folder, "--no-worker") as second:
        assert first.stop() == 0
        assert requests.get(f"{second.url}/readyz", timeout=5).status_code == 200
        assert second.stop() == 0


def refused(*options: str) -> subprocess.CompletedProcess[str]:
    """`serve` with options that it does not take; it ends at once."""
    command = [sys.executable, "manage.py", "serve", *options]
    return subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=20
    )


@pytest.mark.parametrize("option", ["--processes", "--threads", "--timeout"])
def test_zero_is_refused(option: str) -> None:
    done = refused(option, "0")
    assert done.returncode == 2
    assert "'0' is not a number of at least 1" in done.stderr


@pytest.mark.parametrize("port", ["65536", "99999", "-1"])
def test_port_that_does_not_exist_is_refused(port: str) -> None:
    done = refused(f"--port={port}")
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: ports are 0 to 65535" in done.stderr
    assert "Traceback" not in done.stderr
