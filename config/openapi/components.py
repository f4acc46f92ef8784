"""The bodies of requests and answers.

Keys are those of the code that writes them; a key whose type is not told here or in
`shapes.TYPES` is a KeyError when the schema is made.
"""

from analytics import views
from analytics.anomalies.answers import ANOMALY_KEYS
from analytics.answers import MEASURE_KEYS
from analytics.entities import EntitiesView
from analytics.models import AnomalyStatus, AnomalyType, Severity
from analytics.periods import INTERVALS
from apikeys.models import Plan
from config.openapi import v2
from config.openapi.event_in import event_in, price_in
from config.openapi.shapes import (
    COUNT,
    DAY,
    FLAG,
    MONEY,
    PERCENT,
    TEXT,
    TIME,
    TYPES,
    Schema,
    many,
    nullable,
    ref,
    said,
    shape,
    words,
)
from events.body import MAX_EVENTS
from events.outcome import CONFLICT, CREATED, DUPLICATE, REJECTED
from events.price_models import Source, Unit
from events.price_views import MOST_PRICES
from events.pricing.breakdown import ACCOUNTS, EVERYBODYS, PRICE_COLUMNS
from events.rows import EVENT_COLUMNS

FAULT: Schema = {
    "type": "object",
    "properties": {
        "parameter": said(TEXT, "The query parameter at fault, or"),
        "pointer": said(TEXT, "a JSON pointer into the body, or"),
        "header": said(TEXT, "the header."),
        "code": said(TEXT, "For programs."),
        "detail": said(TEXT, "For people."),
    },
    "required": ["code", "detail"],
    "additionalProperties": False,
}
PROBLEM: Schema = {
    "type": "object",
    "description": "Every error, as RFC 9457 has it.",
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "request_id": said(TEXT, "As in the header `X-Request-ID`."),
        "errors": said(many(FAULT), "Every fault at once."),
        "id": nullable(TEXT, "The id of the event that was refused."),
        "outcome": words([CONFLICT, REJECTED], "What became of that event."),
    },
    "required": ["type", "title", "status", "detail", "request_id"],
    "additionalProperties": False,
}
REFUSAL = shape(
    success=FLAG | {"const": False},
    message=said(TEXT, "Names every parameter at fault."),
    data={"type": "null"},
) | {"description": "Every error of the second surface."}
NOT_CREATED = shape(
    index=said(COUNT, "Its position in the batch, from 0."),
    id=nullable(TEXT),
    status=words([DUPLICATE, CONFLICT, REJECTED]),
    errors=many(FAULT),
)
EXACT_USD = said(MONEY, "USD, exact: not rounded.")
COMPUTED = nullable(MONEY, "What the price table says, also beside a reported cost.")
LINE = shape(
    unit=words(Unit.values),
    quantity=said(COUNT, "Of this unit; units are disjoint."),
    usd_per_unit=EXACT_USD,
    cost_usd=EXACT_USD,
    price_id=said({"type": "integer"}, "The price version."),
)
EVENTS: dict[str, Schema] = {
    "EventIn": event_in(),
    "BatchIn": shape(events=many(ref("EventIn")) | {"maxItems": MAX_EVENTS}),
    "Recorded": shape(id=TEXT, status=words([CREATED, DUPLICATE])),
    "BatchOutcome": shape(
        accepted=COUNT,
        duplicates=COUNT,
        conflicts=COUNT,
        rejected=COUNT,
        results=said(many(NOT_CREATED), "The items that were not created."),
    ),
    "EventRow": shape(*EVENT_COLUMNS, id=TEXT, session_id=nullable(TEXT)),
    "Event": shape(
        *EVENT_COLUMNS,
        id=TEXT,
        session_id=nullable(TEXT),
        computed_cost_usd=COMPUTED,
        breakdown=many(LINE),
    ),
    "Events": shape(data=many(ref("EventRow")), pagination=ref("Pagination")),
    "Pagination": shape(
        total=said(COUNT, "All rows that match."), limit=COUNT, offset=COUNT, has_more=FLAG
    ),
}

ACCOUNT: dict[str, Schema] = {
    "Account": shape(
        id=TEXT, email=TEXT, name=TEXT, company=TEXT, plan=words(Plan.values), created_at=TIME
    ),
    "Entity": shape(
        *EntitiesView.columns,
        entity_type=TEXT,
        entity_id=TEXT,
        name=nullable(TEXT, "The display name; it is edited in the admin."),
        first_seen=nullable(TIME, "The time of its first event."),
        last_seen=nullable(TIME, "The time of its last event."),
    ),
    "Entities": shape(data=many(ref("Entity")), pagination=ref("Pagination")),
}

MEASURES = shape(*MEASURE_KEYS)
GROUPS: dict[str, Schema] = {
    "entity_type": TYPES["entity_type"],
    "entity_id": TYPES["entity_id"],
    "provider": TEXT,
    "model": TEXT,
    "hour": said(TIME, "The hour's first instant, with the zone's offset."),
    "day": DAY,
    "week": said(DAY, "Its Monday."),
    "month": {"type": "string", "pattern": r"^\d{4}-\d\d$"},
}
CONTRIBUTOR = many(
    shape(
        name=nullable(TEXT, "Null: everything else."),
        change=said({"type": "number"}, "They add up to the whole change."),
        share=said(PERCENT, "Of the whole change; null if that is 0."),
    )
)
LOG_GONE = " Null: the events are no longer kept."
PERIOD = shape(start=DAY, end=DAY)
COMPARED = shape("total_cost", "total_events", start=DAY, end=DAY)
AGREEMENT: dict[str, Schema] = {
    "reported_events": said(COUNT, "Events whose cost was reported."),
    "compared_events": said(COUNT, "Those of them that the price table has a cost for."),
    "reported_cost": said(MONEY, "USD; of the events compared."),
    "computed_cost": said(MONEY, "USD; of the events compared, by the price table."),
    "drift": said({"type": "number"}, "USD; the computed cost less the reported."),
    "drift_percent": said(PERCENT, "Of the reported cost; null if that is 0."),
    "unpriced_events": TYPES["unpriced_events"],
    "unpriced_tokens": said(COUNT, "Input and output tokens of the unpriced events."),
}
COMPARISON = shape(
    period1=COMPARED,
    period2=COMPARED,
    changes=shape(
        cost_change=said({"type": "number"}, "USD; the first period less the second."),
        cost_change_percent=said(PERCENT, "Of the second period; null if that is 0."),
        events_change={"type": "integer"},
        events_change_percent=said(PERCENT, "Of the second period; null if that is 0."),
    ),
)
"""What is always there; `contributors` come with `explain=true`."""
ANALYTICS: dict[str, Schema] = {
    "CostsRow": MEASURES
    | {
        "description": "The keys of `group_by`, then the measures.",
        "properties": GROUPS | MEASURES["properties"],
        "patternProperties": {r"^tags\.": nullable(TEXT, "Null: without this tag.")},
    },
    "Costs": shape(
        data=many(ref("CostsRow")),
        summary=said(
            shape("total_cost", "total_events", "unpriced_events", period=PERIOD),
            "Over everything that matched, whatever `limit` is.",
        ),
    ),
    "Accuracy": shape(
        data=many(shape("model", "provider", **AGREEMENT)),
        summary=shape(**AGREEMENT, period=PERIOD),
    ),
    "Timeseries": shape(
        data=many(shape(*views.TimeseriesView().columns({}))), interval=words(INTERVALS)
    ),
    "Models": shape(data=many(shape(*views.ModelsView().columns({})))),
    "TopEntities": shape(
        data=many(shape(*views.TopEntitiesView().columns({}), entity_type=TEXT, entity_id=TEXT))
    ),
    "Sessions": shape(
        data=many(shape(*views.SessionsView().columns({}))),
        summary=shape(
            total_sessions=COUNT,
            avg_turns_per_session=nullable({"type": "number"}, "Null over no sessions."),
            avg_cost_per_session=nullable(MONEY, "USD; null over no sessions."),
            unpriced_events=TYPES["unpriced_events"],
        ),
    ),
    "Anomaly": shape(
        *ANOMALY_KEYS,
        id=TEXT,
        detected_at=TIME,
        entity_type=nullable(TEXT, "Null: the whole account."),
        entity_id=nullable(TEXT, "Null: the whole account."),
        type=words(AnomalyType.values),
        severity=words(Severity.values),
        description=TEXT,
        expected_value=said(MONEY, "In the unit of what was measured."),
        actual_value=said(MONEY, "In the unit of what was measured."),
        status=words(AnomalyStatus.values),
        date=said(DAY, "The day concerned (UTC)."),
        contributors=said(ref("Contributors"), "What the actual value less the expected is of."),
        status_changed_at=nullable(TIME, "Null: it is as it was detected."),
        status_changed_by=nullable(TEXT, "The person or key; null: the detector."),
    ),
    "Contributors": shape(
        effects=said(CONTRIBUTOR, "Volume, tokens per call, price per token, mix of models."),
        models=said(CONTRIBUTOR, "`provider/model`."),
        tags=nullable(CONTRIBUTOR, "`key:value`, of the key that tells most." + LOG_GONE),
        sessions=nullable(CONTRIBUTOR, "The dearest sessions." + LOG_GONE),
    )
    | {"required": []},
    "AnomalyPatch": shape(status=words(AnomalyStatus.values)),
    "Anomalies": shape(data=many(ref("Anomaly"))),
    "Comparison": COMPARISON
    | {"properties": COMPARISON["properties"] | {"contributors": ref("Contributors")}},
}

PRICES: dict[str, Schema] = {
    "PriceIn": price_in(),
    "PricesIn": {
        "anyOf": [
            ref("PriceIn"),
            shape(prices=many(ref("PriceIn")) | {"minItems": 1, "maxItems": MOST_PRICES}),
        ]
    },
    "Price": shape(
        *PRICE_COLUMNS,
        id={"type": "integer"},
        scope=words([EVERYBODYS, ACCOUNTS], "Whose price it is; the account's own comes first."),
        unit=words(Unit.values),
        context_over=said(COUNT, "Only for calls with more input tokens than this."),
        daily_from=nullable(TEXT, "UTC, HH:MM; null: all day."),
        daily_to=nullable(TEXT, "UTC, HH:MM; null: all day."),
        usd_per_unit=EXACT_USD,
        valid_from=nullable(TIME, "Null: from the beginning."),
        valid_to=nullable(TIME, "Not included. Null: until further notice."),
        dated=said(FLAG, "Whether its source says since when it is valid."),
        source=words(Source.values),
        source_version=TEXT,
    ),
    "Prices": shape(data=many(ref("Price")), pagination=ref("Pagination")),
    "PricesAdded": {"anyOf": [ref("Price"), shape(data=many(ref("Price")))]},
    "Quote": shape(
        *("provider", "model", "timestamp", "service_tier", "input_tokens", "output_tokens"),
        *("cost_usd", "cost_source"),
        computed_cost_usd=COMPUTED,
        breakdown=many(LINE),
    ),
}

COMPONENTS = (
    ACCOUNT | EVENTS | PRICES | ANALYTICS | v2.COMPONENTS | {"Problem": PROBLEM, "Refusal": REFUSAL}
)
