"""The environment is read strictly: what is wrong stops the start, named in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SECRET = "0123456789" * 5
OWN = {
    "DATABASE_URL": "postgres://user:hidden@db.example.com:5433/costs?sslmode=require",
    "SECRET_KEY": SECRET,
    "ALLOWED_HOSTS": "costs.example.com, .example.org",
}
NAMES = (
    *OWN,
    "SECRET_KEY_FALLBACKS",
    "CSRF_TRUSTED_ORIGINS",
    "DEBUG",
    "BEHIND_TLS_PROXY",
    "ANOMALY_MINIMUM_USD",
)


def environment(**variables: str) -> dict[str, str]:
    """The environment, with none of our variables set but these."""
    ours = (*NAMES, "LOG_LEVEL", "COSTPRISM_DATA_DIR", "DJANGO_SETTINGS_MODULE")
    return {name: value for name, value in os.environ.items() if name not in ours} | variables


def start(folder: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a statement after reading the settings, with nothing but these variables set."""
    command = [sys.executable, "-c", f"from config import settings\n{script}"]
    given = environment(**{"COSTPRISM_DATA_DIR": str(folder), **variables})
    return subprocess.run(command, cwd=PROJECT, env=given, capture_output=True, text=True)


def value(folder: Path, expression: str, **variables: str) -> str:
    """What an expression on the settings gives."""
    done = start(folder, f"print({expression})", **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    shown = "settings.DEBUG, settings.ALLOWED_HOSTS, settings.DATABASES['default']['ENGINE']"
    assert value(tmp_path, shown) == "False ['*'] config.embedded"


def test_secret_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    first = value(tmp_path / "new", "settings.SECRET_KEY")
    assert len(first) >= 50
    assert value(tmp_path / "new", "settings.SECRET_KEY") == first
    assert (tmp_path / "new" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert value(tmp_path / "new", "settings.SECRET_KEY", SECRET_KEY=SECRET) == SECRET


def test_processes_that_start_at_once_agree_on_the_secret_key(tmp_path: Path) -> None:
    # All wait for one moment, at which the key does not exist yet.
    script = (
        "import sys\nfrom pathlib import Path\nfrom config.environment import kept_secret\n"
        "print(flush=True)\nsys.stdin.read()\nprint(kept_secret(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "secret_key")]
    reading, writing = os.pipe()
    racers = [
        subprocess.Popen(command, cwd=PROJECT, stdin=reading, stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    for racer in racers:
        racer.stdout.readline()
    os.close(reading)
    os.close(writing)
    assert len({racer.communicate()[0] for racer in racers}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


def test_minimum_of_anomalies(tmp_path: Path) -> None:
    assert value(tmp_path, "repr(settings.ANOMALY_MINIMUM)") == "Decimal('5')"
    shown = value(tmp_path, "repr(settings.ANOMALY_MINIMUM)", ANOMALY_MINIMUM_USD="0.50")
    assert shown == "Decimal('0.50')"


def test_database_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    script = (
        "d = settings.DATABASES['default']\nprint(d['ENGINE'], d['HOST'], d['PORT'], d['NAME'])"
    )
    script += "\nprint(d['OPTIONS']['sslmode'], d['OPTIONS']['pool']['max_size'])"
    done = start(folder, script, **OWN)
    assert done.stdout == (
        "django.db.backends.postgresql db.example.com 5433 costs\nrequire 8\n"
    ), done.stderr
    assert value(folder, "settings.ALLOWED_HOSTS", **OWN) == "['costs.example.com', '.example.org']"
    assert not folder.exists()


def test_database_of_ones_own_leaves_the_embedded_one_alone(tmp_path: Path) -> None:
    script = "import os, sys\nos.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'"
    script += "\nimport django\ndjango.setup()\nfrom django.db import connection"
    script += "\nprint(connection.vendor, 'config.embedded.base' in sys.modules)"
    assert start(tmp_path, script, **OWN).stdout == "postgresql False\n"
    assert start(tmp_path, script).stdout == "postgresql True\n"
    assert not (tmp_path / "postgres").exists()  # no connection, no server


def test_embedded_server_starts_with_the_first_connection(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "showmigrations", "sessions"],
        cwd=PROJECT,
        env=environment(COSTPRISM_DATA_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
    )
    assert done.stdout == "sessions\n [ ] 0001_initial\n", done.stderr
    assert "ready to accept connections" in (tmp_path / "postgres" / "server.log").read_text()


def test_behind_a_proxy_that_speaks_tls(tmp_path: Path) -> None:
    shown = "settings.SECURE_PROXY_SSL_HEADER[1], settings.SESSION_COOKIE_SECURE"
    assert value(tmp_path, shown, BEHIND_TLS_PROXY="yes", **OWN) == "https True"
    assert value(tmp_path, "hasattr(settings, 'SESSION_COOKIE_SECURE')", **OWN) == "False"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("DEBUG", "maybe"),
        ("DEBUG", ""),
        ("DEBUG", "true"),
        ("BEHIND_TLS_PROXY", "2"),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "too short"),
        ("SECRET_KEY", "x" * 60),
        ("SECRET_KEY_FALLBACKS", f"{SECRET},short"),
        ("ALLOWED_HOSTS", ""),
        ("ALLOWED_HOSTS", "https://costs.example.com"),
        ("ALLOWED_HOSTS", "costs.example.com:443"),
        ("ALLOWED_HOSTS", "a.example.com,"),
        ("CSRF_TRUSTED_ORIGINS", "costs.example.com"),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "mysql://user:hidden@localhost/costs"),
        ("DATABASE_URL", "postgres://user:hidden@localhost:port/costs"),
        ("DATABASE_URL", "postgres://user:hidden@localhost"),
        ("LOG_LEVEL", "loud"),
        *(("ANOMALY_MINIMUM_USD", wrong) for wrong in ("", "0", "0.00", "-1", "5 USD", "1e3", "x")),
        ("COSTPRISM_DATA_DIR", ""),
        ("COSTPRISM_DATA_DIR", str(PROJECT / "manage.py")),
    ],
)
def test_malformed_value_is_named(tmp_path: Path, name: str, wrong: str) -> None:
    done = start(tmp_path, "", **{**OWN, name: wrong})
    complaint = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert complaint.startswith(f"django.core.exceptions.ImproperlyConfigured: {name}")
    assert "hidden" not in complaint


@pytest.mark.parametrize("name", ["SECRET_KEY", "ALLOWED_HOSTS"])
def test_production_must_be_told(tmp_path: Path, name: str) -> None:
    done = start(tmp_path, "", **{one: OWN[one] for one in OWN if one != name})
    assert f"{name} must be set" in done.stderr


def test_command_line_shows_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate"],
        cwd=PROJECT,
        env={**os.environ, "COSTPRISM_DATA_DIR": str(tmp_path), "DEBUG": "maybe"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "costprism: DEBUG='maybe' is neither true nor false\n"
