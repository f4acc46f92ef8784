"""Believable demo data: who calls which model for what, all of it drawn from a seed.

The same plan gives the same events with the same ids, so recording them again adds nothing. Days
are drawn one by one, each from a seed of its own, and nothing but the day at hand is in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from hashlib import blake2b
from math import exp, log
from random import Random

from events.demo_cast import CAST, ENVIRONMENTS, ERRORS, FEATURES, Actor, Feature, LLModel
from events.schema import EventIn

GROWTH = 1.8  # the last day against the first: a product that is catching on
WEEKEND = 0.3  # of a weekday: quiet, but not silent
NOISE = 0.08  # standard deviation from day to day: visible, but not alarming
DAYS_PER_SPIKE = 25  # three or four in a quarter
SPIKE = (1.6, 2.4)  # times a usual day; all that is more comes from one actor, a runaway job say
# Weight of each hour of an actor's own day: two humps around lunch, little at night.
HOURS = (2, 1, 1, 1, 1, 2, 4, 8, 18, 28, 32, 31, 22, 26, 32, 31, 28, 20, 12, 8, 7, 6, 4, 3)
MORE_TURNS = 0.72  # chance that a conversation goes on: 3.4 turns on average
MOST_TURNS = 12
THINKING = (10.0, 120.0)  # seconds between an answer and the next turn
FAILURES = 0.015
SPREAD = 0.6  # of token counts (sigma of the log-normal): the largest are some 6 times the median
QUESTION = 150  # tokens that a turn adds to the conversation
CACHEABLE = 1024  # tokens: shorter prompts are not cached by any provider
CACHE_HITS = 0.85
REASONING = (0.3, 0.8)  # share of a reasoning model's output

Spike = tuple[Actor, float]
NO_SPIKE: Spike = (CAST[0], 1.0)


@dataclass(frozen=True)
class Plan:
    """One set of demo data: `events` of them on the `days` before `end`, in UTC."""

    events: int
    days: int
    end: date
    seed: int

    @cached_property
    def name(self) -> str:
        """Eight characters that tell the ids of this set from those of any other."""
        said = f"{self.events} {self.days} {self.end} {self.seed}"
        return blake2b(said.encode(), digest_size=4).hexdigest()

    def generate(self) -> Iterator[EventIn]:
        """The events, by day."""
        index = 0
        for day, count, spike in self._calendar():
            for event in _Day(day, spike, self._random(day)).events(count):
                event.id = f"demo-{self.name}-{index:07d}"
                yield event
                index += 1

    def _random(self, purpose: object) -> Random:
        return Random(f"{self.name} {purpose}")  # noqa: S311 (it is to be foreseen)

    def _calendar(self) -> Iterator[tuple[date, int, Spike]]:
        """Each day with its number of events and who had a spike of what size."""
        random = self._random("calendar")
        days = [self.end - timedelta(days=self.days - number) for number in range(self.days)]
        weekdays = [day for day in days if day.weekday() < 5]
        named = [actor for actor in CAST if actor.id is not None]
        spikes = {
            random.choice(weekdays): (random.choice(named), random.uniform(*SPIKE))
            for _ in range(round(self.days / DAYS_PER_SPIKE))
        }
        weights = [self._weight(day, random) * spikes.get(day, NO_SPIKE)[1] for day in days]
        total, reached, given = sum(weights), 0.0, 0
        for day, weight in zip(days, weights, strict=True):
            reached += weight
            count = round(self.events * reached / total) - given
            given += count
            yield day, count, spikes.get(day, NO_SPIKE)

    def _weight(self, day: date, random: Random) -> float:
        age = (self.end - day).days / self.days
        weekday = WEEKEND if day.weekday() >= 5 else 1.0
        growth: float = GROWTH ** (1 - age)
        return growth * weekday * max(0.5, random.gauss(1, NOISE))


class _Day:
    """Draws the conversations of one day."""

    def __init__(self, day: date, spike: Spike, random: Random) -> None:
        self.midnight = datetime.combine(day, time(), UTC)
        self.random = random
        runaway, times = spike
        surplus = (times - 1) * sum(actor.weight for actor in CAST)
        self.weights = [actor.weight + (surplus if actor is runaway else 0) for actor in CAST]

    def events(self, count: int) -> Iterator[EventIn]:
        while count > 0:
            turns = self._conversation()[:count]
            count -= len(turns)
            yield from turns

    def _conversation(self) -> list[EventIn]:
        random = self.random
        (actor,) = random.choices(CAST, self.weights)
        feature = random.choice(FEATURES[actor.type])
        (model,) = random.choices(feature.models, [model.weight for model in feature.models])
        turns = self._turns() if feature.is_chat else 1
        session = f"sess_{random.getrandbits(48):012x}" if feature.is_chat else None
        tags = {"feature": feature.name, "region": actor.region, "env": self._environment()}
        talk = _Talk(feature, model, random)
        events = [talk.turn() for _ in range(turns)]
        for event, moment in zip(events, self._moments(actor, events), strict=True):
            event.timestamp = moment.isoformat(timespec="milliseconds")
            event.session_id = session
            event.tags = tags
            if actor.id is not None:
                event.entity_type, event.entity_id = actor.type, actor.id
        return events

    def _turns(self) -> int:
        turns = 1
        while turns < MOST_TURNS and self.random.random() < MORE_TURNS:
            turns += 1
        return turns

    def _environment(self) -> str:
        (name,) = self.random.choices(list(ENVIRONMENTS), list(ENVIRONMENTS.values()))
        return name

    def _moments(self, actor: Actor, events: list[EventIn]) -> list[datetime]:
        """When each turn came: in business hours where the actor is, all on this day."""
        (hour,) = self.random.choices(range(24), HOURS)
        seconds = ((hour - actor.utc_offset) % 24 + self.random.random()) * 3600
        offsets = []
        for event in events:
            offsets.append(seconds)
            seconds += (event.latency_ms or 0) / 1000 + self.random.uniform(*THINKING)
        late = max(0.0, offsets[-1] - 86_399)  # a talk over midnight began somewhat earlier
        return [self.midnight + timedelta(seconds=offset - late) for offset in offsets]


class _Talk:
    """A conversation with one model, whose context grows from turn to turn."""

    def __init__(self, feature: Feature, model: LLModel, random: Random) -> None:
        self.feature = feature
        self.model = model
        self.random = random
        self.context = 0

    def turn(self) -> EventIn:
        if self.random.random() < FAILURES:
            return self._failed()
        known = self.context
        asked = self._about(QUESTION if known else self.feature.input_tokens)
        event = self._event(input_tokens=known + asked, output_tokens=self._output())
        self._cache(event, known)
        if self.model.reasons:
            event.reasoning_tokens = int(event.output_tokens * self.random.uniform(*REASONING))
        if self.model.reports is not None:
            event.cost_usd = str(_reported(event, *self.model.reports))
        event.latency_ms = self._latency(event.output_tokens)
        self.context = event.input_tokens + event.output_tokens
        return event

    def _failed(self) -> EventIn:
        error = self.random.choice(ERRORS)
        event = self._event(input_tokens=0, output_tokens=0)
        event.success = False
        event.error_type, event.error_code = error.type, error.code
        event.latency_ms = int(self.random.uniform(*error.latency_ms))
        return event

    def _event(self, input_tokens: int, output_tokens: int) -> EventIn:
        return EventIn(
            provider=self.model.provider,
            model=self.model.name,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )

    def _output(self) -> int:
        thoughts = 2 if self.model.reasons else 1
        return (
            self._about(self.feature.output_tokens * thoughts) if self.feature.output_tokens else 0
        )

    def _about(self, median: int) -> int:
        return max(1, int(self.random.lognormvariate(log(median), SPREAD)))

    def _cache(self, event: EventIn, known: int) -> None:
        """What was sent before is read from the cache, if the provider has one and it is a hit."""
        if not self.model.caches or event.input_tokens < CACHEABLE:
            return
        if known >= CACHEABLE and self.random.random() < CACHE_HITS:
            event.cache_read_tokens = known
        if self.model.writes_cache:
            event.cache_write_tokens = event.input_tokens - (event.cache_read_tokens or 0)

    def _latency(self, output_tokens: int) -> int:
        """Time to the first token, then so many a second."""
        milliseconds = self.model.first_token_ms + 1000 * output_tokens / self.model.per_second
        return int(milliseconds * exp(self.random.gauss(0, 0.2)))


def _reported(event: EventIn, input_price: int, output_price: int) -> Decimal:
    """What a gateway says that it charged; prices are USD per million tokens."""
    total = event.input_tokens * input_price + event.output_tokens * output_price
    return Decimal(total).scaleb(-6)
