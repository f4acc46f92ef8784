"""Random events and random questions about them, the same for the same seed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle import INTERVALS, Row

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)

ZONES = (
    "UTC",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "America/New_York",
    "Pacific/Chatham",
    "Africa/Cairo",
    "America/Havana",
    "Africa/Casablanca",
    "Atlantic/Reykjavik",
)
# The days on which the clocks of these zones change in 2025, and ends of months and years.
DATES = [
    date.fromisoformat(day)
    for day in (
        *("2024-12-31", "2025-01-01", "2025-01-31", "2025-02-28", "2025-03-01", "2025-12-31"),
        *("2025-03-09", "2025-03-30", "2025-04-06", "2025-04-25"),
        *("2025-09-28", "2025-10-05", "2025-10-26", "2025-10-31", "2025-11-02"),
    )
]
# The instants at which the clocks change.
CHANGES = [
    datetime.fromisoformat(f"2025-{instant}:00+00:00")
    for instant in (
        *("03-09T05:30", "11-02T04:30"),  # St. John's
        *("03-09T07:00", "11-02T06:00"),  # New York
        *("03-30T01:00", "10-26T01:00"),  # Berlin
        *("04-05T15:00", "10-04T15:30"),  # Lord Howe, by half an hour
        *("04-05T14:00", "09-27T14:00"),  # Chatham
        *("04-24T22:00", "10-30T21:00"),  # Cairo, at midnight
        *("03-09T05:00", "11-02T05:00"),  # Havana, at midnight, which then comes twice
    )
]
MIDNIGHTS = [
    datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    for day in DATES
    for zone in ZONES
]
NUDGES = [
    *(timedelta(0), MICROSECOND, -MICROSECOND),
    *(timedelta(minutes=minutes) for minutes in (-60, -30, -15, 15, 30, 45, 60)),
    *(timedelta(minutes=minutes) - MICROSECOND for minutes in (-30, 30, 60)),
]

# Names that a CSV, a spreadsheet, a filter or a collation may trip over.
NAMES = [
    *("acme", "Acme", "zürich", "Zoë", "日本語", "😀", "ﬀ", "null", "0", " padded ", "ACME"),
    *("a,b", 'say "hi"', "line\nbreak", "carriage\r\nreturn", "a:b", "back\\slash", "\\,", "a,b\\"),
    *("=1+1", "+49", "-1", "@cmd", "\ttab", "\rreturn", "'quoted", "100%", "a&b=c", "a/b", "ip-x"),
]
ENTITY_TYPES = ["customer", "team", "project", "employee", "Ünit", "=type"]
PROVIDERS = ["nimbus", "zephyr", "Ø-labs", "a,b"]
MODELS = ["wisp-1", "wisp-2", "Wisp-1", "=wisp", "模型", 'w"q']
TAG_KEYS = ["feature", "env", "Größe", "a.b", "build"]


@dataclass(frozen=True)
class Kind:
    """What is frequent in a population."""

    size: int
    unattributed: float
    unpriced: float
    cost: Callable[[Random], Any]


def plain_cost(random: Random) -> Any:
    return random.choice(
        [
            f"{random.random():.{random.randint(0, 10)}f}",
            round(random.random(), random.randint(0, 12)),
            random.randint(0, 20),
            "0.25",
            0.1,
            0,
        ]
    )


def extreme_cost(random: Random) -> Any:
    return random.choice(
        [
            *("999999999.9999999999", "123456789.0123456789", "0.0000000001", "0", "0.00"),
            *(1e-10, 0.30000000000000004, 1.00000000005, 2.5e-10, 3.5e-10, 999999999, 5e8),
            f"{random.randint(0, 10**9 - 1)}.{random.randint(0, 10**10 - 1):010d}",
        ]
    )


def equal_cost(random: Random) -> Any:
    """Few values: many ties."""
    return random.choice(["1", 1.0, "0.50", 0.5, "0"])


KINDS = [
    Kind(2000, unattributed=0.1, unpriced=0.1, cost=plain_cost),
    Kind(2000, unattributed=0.3, unpriced=0.05, cost=extreme_cost),
    Kind(2000, unattributed=0.2, unpriced=0.5, cost=equal_cost),
]


def events(kind: Kind, seed: str) -> list[Row]:
    """A population in no order. The ids are the same in every population."""
    random = Random(seed)
    cast = Cast(random)
    found = [event(kind, cast, f"call/{number}", random) for number in range(kind.size)]
    random.shuffle(found)
    return found


class Cast:
    """The names that a population's events choose from."""

    def __init__(self, random: Random) -> None:
        self.entities = [
            (random.choice(ENTITY_TYPES), name)
            for name in NAMES
            for _ in range(random.randint(0, 2))
        ]
        self.models = [(provider, model) for provider in PROVIDERS for model in MODELS]
        self.models = random.sample(self.models, 9)
        self.sessions = {f"{name} {n}": instant(random) for name in NAMES for n in range(3)}
        self.tags = {key: [*random.sample(NAMES, 5), True, 3, 1.5, ""] for key in TAG_KEYS}


def instant(random: Random) -> datetime:
    """On an edge, near one, or anywhere in fourteen months."""
    edge = random.choice(CHANGES + MIDNIGHTS)
    return random.choice(
        [
            edge + random.choice(NUDGES),
            edge + timedelta(microseconds=random.randint(-36 * 3600 * 10**6, 36 * 3600 * 10**6)),
            datetime(2024, 12, 1, tzinfo=UTC) + timedelta(seconds=random.randint(0, 395 * 86400)),
        ]
    )


def event(kind: Kind, cast: Cast, id: str, random: Random) -> Row:
    provider, model = random.choice(cast.models)
    whole, out = random.randint(0, 10**6), random.choice([0, random.randint(0, 10**4)])
    read = random.randint(0, whole)
    sent = {
        "id": id,
        "timestamp": written(instant(random), random),
        "model": model,
        "provider": provider,
        "input_tokens": whole,
        "output_tokens": out,
    }
    if random.random() < 0.5:
        sent |= {"cache_read_tokens": read, "cache_write_tokens": random.randint(0, whole - read)}
        sent |= {"reasoning_tokens": random.randint(0, out)}
    if random.random() > kind.unpriced:
        sent["cost_usd"] = kind.cost(random)
    if random.random() > kind.unattributed:
        sent["entity_type"], sent["entity_id"] = random.choice(cast.entities)
    if random.random() < 0.7:
        sent["latency_ms"] = random.choice([0, 1, random.randint(0, 10**5)])
    if random.random() < 0.2:
        sent["success"] = random.random() < 0.5
    if random.random() < 0.7:
        keys = random.sample(TAG_KEYS, random.randint(1, 3))
        sent["tags"] = {key: random.choice(cast.tags[key]) for key in keys}
    if random.random() < 0.3:
        session, start = random.choice(list(cast.sessions.items()))
        length = random.choice([0, 1800, 10 * 86400]) * 10**6
        at = start + timedelta(microseconds=random.randint(0, length))
        sent |= {"session_id": session, "timestamp": written(at, random)}
    return sent


def written(at: datetime, random: Random) -> str:
    """An instant as one of its RFC 3339 texts."""
    local = at.astimezone(ZoneInfo(random.choice(ZONES))).isoformat()
    return local.replace("+00:00", "Z")


DIMENSIONS = ["entity", "entity_type", "provider", "model", *(f"tags.{key}" for key in TAG_KEYS)]
ENDPOINTS = [
    *["costs"] * 8,
    *["costs/timeseries"] * 3,
    *["models", "entities/top", "sessions", "compare"] * 2,
]


def question(events: list[Row], random: Random) -> tuple[str, Row]:
    """An endpoint, and what to ask it."""
    endpoint = random.choice(ENDPOINTS)
    asked: Row = {}
    if endpoint == "compare":
        asked["period1_start"], asked["period1_end"] = days(random)
        asked["period2_start"], asked["period2_end"] = days(random)
    else:
        asked["start_date"], asked["end_date"] = days(random)
    if random.random() < 0.8:
        asked["timezone"] = random.choice(ZONES)
    asked |= dict(filters(random.choice(events), random))
    if endpoint in SPECIAL:
        asked |= SPECIAL[endpoint](asked, random)
    return endpoint, asked


def list_question(events: list[Row], random: Random) -> Row:
    """What to ask the list of events."""
    like = random.choice(events)
    asked = dict(filters(like, random))
    if "session_id" in like and random.random() < 0.2:
        asked["session_id"] = like["session_id"]
    if random.random() < 0.2:
        asked["success"] = random.random() < 0.5
    if random.random() < 0.5:
        asked["timezone"] = random.choice(ZONES)
    start, end = sorted(random.choice([day(random), edge(random)]) for _ in range(2))
    if start[:10] < end[:10]:  # on one day a date and an instant may be out of order
        asked |= {"start_date": start, "end_date": end}
    elif random.random() < 0.5:
        asked[random.choice(["start_date", "end_date"])] = start
    return asked | dict(page(random))


def day(random: Random) -> str:
    return random.choice(DATES).isoformat()


def edge(random: Random) -> str:
    return (random.choice(CHANGES + MIDNIGHTS) + random.choice(NUDGES)).isoformat()


def days(random: Random) -> tuple[str, str]:
    """A period: about a date of interest, a whole month, or anything."""
    near = random.choice(DATES)
    month = near.replace(day=1)
    first = date(2024, 12, 1) + random.randint(0, 390) * DAY
    start, end = random.choice(
        [
            (near - random.randint(0, 2) * DAY, near + random.randint(0, 2) * DAY),
            (month, (month + 31 * DAY).replace(day=1) - DAY),
            (first, first + random.randint(0, 60) * DAY),
            (date(2024, 12, 1), date(2026, 1, 31)),
        ]
    )
    return start.isoformat(), end.isoformat()


def filters(like: Row, random: Random) -> Iterator[tuple[str, Any]]:
    """Filters, most of which some event passes."""
    for name in ("entity_type", "entity_id", "model", "provider"):
        if name in like and random.random() < 0.1:
            yield name, random.choice([like[name]] * 9 + ["nobody"])
    tags = [(key, text(value)) for key, value in like.get("tags", {}).items()]
    if tags and random.random() < 0.2:
        yield "tags", random.sample(tags, random.randint(1, min(2, len(tags))))


def text(tag: Any) -> str:
    return {True: "true", 3: "3", 1.5: "1.5"}.get(tag, tag)


def costs(asked: Row, random: Random) -> Iterator[tuple[str, Any]]:
    dimensions = random.sample(DIMENSIONS, random.choice([0, 1, 1, 1, 2, 2, 3]))
    if random.random() < 0.5:
        dimensions.append(random.choice(INTERVALS))
    random.shuffle(dimensions)
    if dimensions:
        yield "group_by", dimensions
        yield from page(random)


def page(random: Random) -> Iterator[tuple[str, Any]]:
    if random.random() < 0.25:
        yield "limit", random.choice([1, 7, 1000])
    if random.random() < 0.25:
        yield "offset", random.choice([0, 1, 5, 50])


def timeseries(asked: Row, random: Random) -> Iterator[tuple[str, Any]]:
    length = date.fromisoformat(asked["end_date"]) - date.fromisoformat(asked["start_date"])
    interval = random.choice([*INTERVALS, None] if length < 92 * DAY else [*INTERVALS[1:], None])
    if interval:
        yield "interval", interval


def top(asked: Row, random: Random) -> Iterator[tuple[str, Any]]:
    if random.random() < 0.7:
        yield "limit", random.choice([1, 3, 100])
    if random.random() < 0.7:
        yield "order", random.choice(["asc", "desc"])


def sessions(asked: Row, random: Random) -> Iterator[tuple[str, Any]]:
    yield from page(random)


SPECIAL: dict[str, Callable[[Row, Random], Any]] = {
    "costs": costs,
    "costs/timeseries": timeseries,
    "entities/top": top,
    "sessions": sessions,
}
