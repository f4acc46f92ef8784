"""What operators do while events arrive: rebuild, retention, migration, backup; and full disks."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.embedded import postgres
from config.embedded.home import PORT, SUPERUSER, Home
from tests.conftest import event
from tests.reliability.site import Clients, Site, seconds_until, verdict
from tests.reliability.test_kills import NOTHING_WRONG, soak

YEAR_2016 = "/v1/analytics/costs?start_date=2016-01-01&end_date=2016-12-31"


def sent(site: Site, clients: Clients, figures, what: str) -> None:
    found = verdict(site, clients)
    figures.show(f"{what}, {len(clients.acknowledged)} events;", found, "0")
    assert found == NOTHING_WRONG, clients.faults[:3]
    assert set(clients.statuses) == {200}
    assert clients.unanswered == 0


@soak
def test_rebuild_during_ingest(site, figures):
    with Clients(site, pause=0.1) as clients:
        for _ in range(2):
            assert site.manage("rebuild_rollups", check=False).returncode == 0
    sent(site, clients, figures, "rollups rebuilt twice")


@soak
def test_retention_during_ingest(site, figures):
    """A month of 2016 goes, whole, while events of this month arrive; its totals stay."""
    old = [event(id=f"old-{n}", timestamp="2016-03-05T12:00:00Z") for n in range(100)]
    assert site.ask("POST", "/v1/events", {"events": old})[1]["accepted"] == 100
    site.sql("UPDATE apikeys_account SET retention_days = 30")
    now = datetime.now(UTC)
    with Clients(site, pause=0.05, months=[f"{now:%Y-%m}"]) as clients:
        for _ in range(10):
            site.manage("apply_retention")
            if site.sql("SELECT to_regclass('events_event_2016_03') IS NULL") == [(True,)]:
                break
    assert site.sql("SELECT to_regclass('events_event_2016_03') IS NULL") == [(True,)]
    sent(site, clients, figures, "a month dropped")
    assert site.ask("GET", YEAR_2016)[1]["summary"]["total_events"] == 100


def test_migration_during_ingest(site, figures):
    """Columns and an index, added to tables that every request reads or writes."""
    settings = {"DJANGO_SETTINGS_MODULE": "tests.reliability.upgrade.settings"}
    options = site.process_options()
    with Clients(site, pause=0.05) as clients:
        time.sleep(0.5)
        done = subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            **options | {"env": options["env"] | settings},
            capture_output=True,
            timeout=60,
        )
        time.sleep(0.5)
    assert done.returncode == 0, done.stderr
    added = "SELECT table_name FROM information_schema.columns WHERE column_name = 'added'"
    assert {name for (name,) in site.sql(added)} >= {"events_event", "apikeys_account"}
    sent(site, clients, figures, "migrated")


def test_dump_and_restore_are_equal(site, figures, tmp_path):
    with Clients(site, pause=0.02) as clients:
        time.sleep(1)
    seconds_until(lambda: site.sql("SELECT count(*) FROM events_pendingbatch") == [(0,)])
    sockets = str(Home(site.folder).sockets)
    to = ["--host", sockets, "--port", str(PORT), "--username", SUPERUSER]
    file = str(tmp_path / "costprism.dump")
    site.sql("CREATE DATABASE restored TEMPLATE template0")
    dump = [postgres.program("pg_dump"), *to, "--format=custom", "--file", file, "costprism"]
    restore = [postgres.program("pg_restore"), *to, "--exit-on-error", "--dbname=restored", file]
    for command in (dump, restore):
        subprocess.run(command, check=True)
    before, after = contents(site, "costprism"), contents(site, "restored")
    different = {
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    }
    figures.show(f"of {len(before)} tables differing after dump and restore", len(different), "0")
    assert different == set()
    assert sum(count for count, _ in after.values()) > len(clients.acknowledged)
    options = site.process_options()
    own = {"DATABASE_URL": f"postgres://{SUPERUSER}@/restored?host={sockets}"}
    secret = os.environ.get("SECRET_KEY") or (site.folder / "secret_key").read_text().strip()
    own |= {"SECRET_KEY": secret, "ALLOWED_HOSTS": "*"}
    verified = subprocess.run(
        [sys.executable, "manage.py", "verify_rollups"],
        **options | {"env": options["env"] | own},
        capture_output=True,
    )
    assert verified.returncode == 0, verified.stdout


def contents(site: Site, database: str) -> dict[str, tuple[int, str]]:
    """Of every table the number of rows and a digest of them, in whatever order."""
    tables = (
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
    )
    tables += " WHERE relkind = 'r' AND nspname = 'public'"
    digest = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {} AS t"
    return {
        name: site.sql(digest.format(name), database=database)[0]
        for (name,) in site.sql(tables, database=database)
    }


def test_read_only_database(site, figures):
    readonly = "ALTER DATABASE costprism SET default_transaction_read_only = {}"
    hang_up = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'costprism'"
    hang_up += " AND pid <> pg_backend_pid()"
    with Clients(site, pause=0.02) as clients:
        time.sleep(0.5)
        site.sql(readonly.format("on"))
        site.sql(hang_up)
        time.sleep(0.7)
        before = len(clients.acknowledged)
        time.sleep(0.7)
        meanwhile = len(clients.acknowledged) - before
        status, body, headers = site.ask("POST", "/v1/events", event())
        site.sql(readonly.format("off"))
        site.sql(hang_up)
    assert (status, headers["Content-Type"]) == (503, "application/problem+json")
    assert (body["status"], headers["Retry-After"]) == (503, "5")
    seconds_until(site.is_ready)
    found = verdict(site, clients)
    figures.show("read-only: acknowledged meanwhile", meanwhile, "0")
    figures.show(f"read-only: {len(clients.acknowledged)} events;", found, "0")
    assert meanwhile == 0
    assert found == NOTHING_WRONG
    assert set(clients.statuses) == {200, 503}


@soak
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_full_disk(migrated, tmp_path, figures):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", disk], check=True)
    disk.chmod(0o755)
    subprocess.run(["cp", "-a", migrated, disk / "data"], check=True)
    site = Site(disk / "data", "--processes", "2")
    try:
        with Clients(site, size=200) as clients:
            time.sleep(1)
            fill(disk / "ballast")
            seconds_until(lambda: clients.statuses[503] > 20, 60)
            for body, headers in clients.refusals:
                assert headers["Content-Type"] == "application/problem+json"
                assert (body["status"], headers["Retry-After"]) == (503, "5")
            (disk / "ballast").unlink()
            seconds_until(lambda: site.ask("POST", "/v1/events", event())[0] == 201, 60)
        found = verdict(site, clients)
    finally:
        site.close()
        subprocess.run(["umount", "--lazy", disk], check=True)
    figures.show("full disk: 503", clients.statuses[503], "> 0")
    figures.show(f"full disk: {len(clients.acknowledged)} events;", found, "0")
    assert found == NOTHING_WRONG
    assert set(clients.statuses) == {200, 503}


def fill(path: Path) -> None:
    """Leave no room."""
    with path.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        except OSError:
            pass
