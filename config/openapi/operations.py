"""What each operation is for, in words. Its parameters, bodies and errors come from the code."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from apikeys.params import Address
from events.params import PageParams
from events.views import IngestParams


@dataclass(frozen=True)
class Operation:
    """One method of one address; `answer` names the component that is its JSON answer."""

    id: str
    tag: str
    summary: str
    description: str
    answer: str
    body: str = ""
    """The component that is sent; "" where none is, or where events are."""
    status: int = 200
    """Of the answer, where no events are sent."""
    params: type[Address] = Address
    """For a view that does not name its parameters itself."""
    problems: tuple[int, ...] = ()
    """Errors beside those that every operation may give."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Of parameters that mean something else here than elsewhere (see PARAMETERS)."""
    in_envelope: bool = False
    """Whether errors have the form of the second surface."""


PARAMETERS = {
    "start_date": "The first day of the period.",
    "end_date": "The last day of the period, included.",
    "period1_start": "The first day of the first period.",
    "period1_end": "The last day of the first period, included.",
    "period2_start": "The first day of the second period.",
    "period2_end": "The last day of the second period, included.",
    "timezone": "IANA name of the zone whose calendar days the dates are.",
    "entity_type": "Only of entities of this type.",
    "entity_id": "Only of entities with this id.",
    "type": "Only of this type.",
    "model": "Only of this model.",
    "provider": "Only of this provider.",
    "session_id": "Only of this session.",
    "success": "Only calls that succeeded, or that failed.",
    "status": "Only with this status.",
    "tags": "Only with all of these tags: `key:value,key:value`. Each pair is split at its first"
    " `:`. Write a comma as `\\,` and a backslash as `\\\\`.",
    "group_by": "Dimensions, comma-separated: `entity`, `entity_type`, `provider`, `model`,"
    " `tags.KEY`, and at most one of `hour`, `day`, `week`, `month`. Absent: one row of totals.",
    "interval": "The width of a bucket; `hour` for at most 92 days.",
    "order": "By cost.",
    "limit": "At most so many rows.",
    "offset": "Leave out so many rows at the beginning.",
    "format": "`csv`: the same rows as a file, all of them unless `limit` is given.",
    "atomic": "Of a batch, store all events or none.",
    "explain": "Also say what the change is made of: `contributors`.",
    "anomaly_id": "The anomaly's id.",
    "event_id": "The event's id; a `/` in it may be sent as it is or percent-encoded.",
    "unit": "Only prices for this.",
    "service_tier": "Only of this tier.",
    "Idempotency-Key": "Gives every event without an `id` one that follows from this key and its"
    " position, so that the whole request can be sent again.",
    "Content-Encoding": "For a body that is compressed.",
}
MOMENTS = {
    "start_date": "From this day, or this instant (RFC 3339 with offset), on.",
    "end_date": "Until the end of this day, or until before this instant.",
    "at": "Only the versions that are valid at this instant, or when this day begins in UTC.",
}
"""Parameters of the list of events that mean more there than elsewhere."""

PROBLEMS = {
    400: "Bad parameters, each one named under `errors`; or a body that is not JSON.",
    401: "No API key, or one that is malformed, unknown, revoked or expired.",
    403: "The key lacks the scope.",
    404: "There is no such object in this account.",
    409: "Another event has this id.",
    413: "The body is larger than 16 MiB, unpacked.",
    415: "A Content-Encoding other than gzip.",
    422: "The event breaks a rule: each field is named under `errors`.",
    429: "The account's requests of this minute are used up, or its address has sent too many bad"
    " keys; try again after `Retry-After`.",
    503: "The database does not answer, or not in time; try again after `Retry-After`.",
}
V2_PROBLEMS = {
    405: "The address does not have this method.",
    500: "A fault of ours.",
    501: "Costprism does not have the data for this question.",
}
"""Those that the second surface tells of too."""
ALWAYS = (400, 401, 403, 429, 503)

OPERATIONS = {
    "GET /v1/analytics/costs": Operation(
        "getCosts",
        "Analytics",
        "Cost summary",
        "Costs and usage of a period, as one row of totals or grouped by dimensions. Rows come by"
        " time if one of the dimensions is time, then by cost, highest first. Events without an"
        " entity or without the tag are a row of their own with `null`, so rows always add up to"
        " `summary`. Without `limit`, all rows.",
        "Costs",
    ),
    "GET /v1/analytics/costs/accuracy": Operation(
        "getCostAccuracy",
        "Analytics",
        "Cost accuracy",
        "Does the meter agree with the bill? By model, what was reported and what the price table"
        " says, of the events that have both, and the drift between them; and the events that have"
        " no price. The largest drift first.",
        "Accuracy",
    ),
    "GET /v1/analytics/costs/timeseries": Operation(
        "getCostTimeseries",
        "Analytics",
        "Cost time series",
        "Costs over time, for charts. Every bucket of the period is there, the empty ones with 0."
        " A bucket is named by its start: in UTC with `Z`, in another zone with its offset. A"
        " week starts on Monday; a first week or month may start before the period, and counts"
        " only what lies in it.",
        "Timeseries",
    ),
    "GET /v1/analytics/models": Operation(
        "getModelUsage",
        "Analytics",
        "Model usage",
        "Costs and usage of each model, highest cost first.",
        "Models",
    ),
    "GET /v1/analytics/entities/top": Operation(
        "getTopEntities",
        "Analytics",
        "Entity leaderboard",
        "Entities by cost. Without `limit`, 10. Events without an entity are left out.",
        "TopEntities",
    ),
    "GET /v1/analytics/sessions": Operation(
        "listSessions",
        "Analytics",
        "Sessions",
        "The sessions whose first event lies in the period, newest first. Totals are of the whole"
        " session; its entity is that of its first event. A filter on model, provider or tags"
        " matches if any of its events does. Without `limit`, 100.",
        "Sessions",
    ),
    "GET /v1/analytics/anomalies": Operation(
        "listAnomalies",
        "Analytics",
        "Anomalies",
        "What was found abnormal, by the day concerned, newest first. The period is of those days"
        " (UTC). A finding is updated while its day runs, and resolved when the value returns.",
        "Anomalies",
    ),
    "PATCH /v1/analytics/anomalies/{anomaly_id}": Operation(
        "setAnomalyStatus",
        "Analytics",
        "Resolve, dismiss or reopen an anomaly",
        "Sets the status. From then on the detector leaves it alone: what was dismissed does not"
        " come back for the same day.",
        "Anomaly",
        problems=(404, 413, 422),
    ),
    "GET /v1/analytics/compare": Operation(
        "comparePeriods",
        "Analytics",
        "Compare periods",
        "Two periods side by side. A change is the first period less the second, in percent of"
        " the second. With `explain=true`, what the change of cost is made of: by cause, model,"
        " tag and session.",
        "Comparison",
    ),
    "POST /v1/events": Operation(
        "recordEvents",
        "Events",
        "Record events",
        'One event, or a batch of up to 10,000 as `{"events": […]}` or as one JSON object per'
        " line. A body has at most 16 MiB, unpacked.\n\n"
        "A 2xx means that the events are stored. No answer means: send again. An event with an"
        " `id`, or sent with an `Idempotency-Key`, never counts twice.\n\n"
        "A single event answers 201 if it was created, 200 if it was here before, 409 if another"
        " one has its id, 422 if it breaks a rule. A batch answers 200 with the counts, and lists"
        " the items that were not created: one bad item never costs the good ones. With"
        " `atomic=true` it answers 422 instead, and nothing is stored.",
        "BatchOutcome",
        params=IngestParams,
        problems=(409, 413, 415, 422),
    ),
    "GET /v1/events": Operation(
        "listEvents",
        "Events",
        "List events",
        "Events, newest first. Without `limit`, 100.",
        "Events",
        params=PageParams,
    ),
    "GET /v1/events/{event_id}": Operation(
        "getEvent",
        "Events",
        "Look up an event",
        "One event by its id.",
        "Event",
        problems=(404,),
    ),
    "GET /v1/prices": Operation(
        "listPrices",
        "Prices",
        "List prices",
        "The price versions that hold for the account: everybody's and its own, which come before"
        " them. Without `limit`, 100.",
        "Prices",
        params=PageParams,
    ),
    "POST /v1/prices": Operation(
        "addPrices",
        "Prices",
        "Add prices",
        'Prices of the account\'s own: one, or several as `{"prices": […]}`, all or none. A price'
        " is never edited: the present version ends where the new one begins. Without `valid_from`"
        " the first version of a price is valid from the beginning, and a later one from now on."
        " Events that have no cost are priced soon after; others keep theirs.",
        "PricesAdded",
        body="PricesIn",
        status=201,
        problems=(413, 415, 422),
    ),
    "POST /v1/prices/quote": Operation(
        "quotePrice",
        "Prices",
        "What would it cost?",
        "What an event would cost, and of what its cost is made, without recording it.",
        "Quote",
        body="EventIn",
        problems=(413, 415, 422),
    ),
    "GET /v1/entities": Operation(
        "listEntities",
        "Account",
        "List entities",
        "Whom calls are attributed to, with all that they spent, by type and id. Without `limit`,"
        " 100.",
        "Entities",
        params=PageParams,
    ),
    "GET /v1/me": Operation(
        "getAccount",
        "Account",
        "The account of the key",
        "Who is asking.",
        "Account",
    ),
}
