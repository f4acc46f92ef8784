"""The house rules that no type checker sees: who may import whom, and who writes events."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command

HOME = Path(__file__).parent.parent
MAY_IMPORT = {
    "config": {"analytics", "events", "apikeys"},
    "analytics": {"events", "apikeys"},
    "events": {"apikeys"},
    "apikeys": set(),
}
WRITES_EVENTS = re.compile(
    r"(copy|insert\s+into|update|delete\s+from|truncate)\s+(only\s+)?\"?(events_event(key)?\b|{LOG})"
    r"|\bEvent(Key)?\.objects\.(create|bulk_create|update|get_or_create|update_or_create)\b",
    re.IGNORECASE,
)


def sources(app: str) -> list[Path]:
    return sorted(path for path in (HOME / app).rglob("*.py") if "migrations" not in path.parts)


def imported(path: Path) -> Iterator[str]:
    """The top-level packages that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("app", MAY_IMPORT)
def test_imports_go_one_way(app):
    others = MAY_IMPORT.keys() - MAY_IMPORT[app] - {app}
    wrong = {
        (str(path), name) for path in sources(app) for name in imported(path) if name in others
    }
    assert wrong == set()


def test_only_ingest_writes_events():
    writers = {
        str(path.relative_to(HOME))
        for app in MAY_IMPORT
        for path in sources(app)
        if any(WRITES_EVENTS.search(text) for text in strings_and_code(path))
    }
    assert writers == {"events/identity.py", "events/log.py", "events/pricing/moved.py"}


def test_repricing_is_the_only_update_of_events():
    """And it does nothing else to them; it alone is called by `reprice`."""
    path = HOME / "events" / "pricing" / "moved.py"
    found = [match[0] for match in WRITES_EVENTS.finditer(path.read_text())]
    assert found == ["UPDATE events_event"]
    importers = {
        str(path.relative_to(HOME))
        for app in MAY_IMPORT
        for path in sources(app)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and (
            node.module == "events.pricing.moved"
            or (node.module == "events.pricing" and "moved" in {name.name for name in node.names})
        )
    }
    assert importers == {"events/pricing/reprice.py"}


def test_only_record_events_claims_and_appends():
    callers = {
        str(path.relative_to(HOME))
        for app in MAY_IMPORT
        for path in sources(app)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and node.module in {"events.identity", "events.log"}
        and {"claim", "append"} & {name.name for name in node.names}
    }
    assert callers == {"events/ingest.py"}


def strings_and_code(path: Path) -> Iterator[str]:
    """The module as it is, and its strings as Python puts them together."""
    source = path.read_text()
    yield source
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_product_does_not_import_its_tests():
    assert not any("tests" in imported(path) for app in MAY_IMPORT for path in sources(app))


def test_map_of_the_house_is_true():
    page = (HOME / "docs" / "architecture.md").read_text()
    named = re.findall(r"`((?:config|analytics|events|apikeys|docs)/[^`]+)`", page)
    assert [path for path in named if not (HOME / path).exists()] == []
    assert named


def test_migrations_are_complete():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
