"""Servers of their own for the tests that kill, fill or restart them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.site import Site
from tests.test_serve import Serve


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a migrated database; to be copied, which saves migrating."""
    folder = tmp_path_factory.mktemp("migrated") / "data"
    with Serve(folder, "--no-worker") as serve:
        assert serve.stop() == 0
    return folder


@pytest.fixture
def folder(migrated: Path, tmp_path: Path) -> Path:
    """A data folder with a migrated database."""
    subprocess.run(["cp", "-a", migrated, tmp_path / "data"], check=True)
    return tmp_path / "data"


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    """A server of two web processes and a worker."""
    site = Site(folder, "--processes", "2")
    yield site
    site.close()
