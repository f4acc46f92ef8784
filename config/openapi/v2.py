"""The second surface: its operations, their words, bodies and examples, from its list of
questions."""

from typing import Any

from analytics.sql import NOTHING
from analytics.v2 import answers
from analytics.v2.params import SeriesParams
from analytics.v2.questions import QUESTIONS, Question
from analytics.v2.subjects import ENTITIES, OVERALL
from config.openapi.operations import Operation
from config.openapi.shapes import (
    COUNT,
    DAY,
    FLAG,
    PERCENT,
    TEXT,
    TIME,
    Schema,
    many,
    nullable,
    said,
    shape,
)

PREFIX = "/api/v2/analytics/"
TAG = "Analytics v2"
Shown = tuple[Schema, Any]
"""A schema and an example of it."""

AMOUNT: Schema = {"type": "string", "pattern": r"^-?\d+\.\d{5,10}$"}
CHANGE: Schema = {"type": "integer"}
SUCCESS: Shown = (FLAG | {"const": True}, True)

WORDS = {
    "type": "`fixed`: the days from `days` ago through today. `range`: from `start_date` to"
    " `end_date`. What belongs to the other one is ignored.",
    "days": "How many UTC days to look back; today counts too.",
    "start_date": "For `range`: from this day on, or from this time on. UTC.",
    "end_date": "For `range`: through this day, or until before this time. UTC.",
    "time_series": "One row of each bucket instead of one for the period.",
    "bucket_type": "The width of a bucket of a time series; a week starts on Monday.",
    "limit": "At most so many entities; in a time series, so many of each bucket.",
    **{subject.id_key: f"Only this {subject.noun}; may be repeated." for subject in ENTITIES},
}
ASKED: dict[str, Any] = {
    "type": "range",
    "days": 30,
    "start_date": "2024-03-01",
    "end_date": "2024-03-31",
    "time_series": True,
    "bucket_type": "day",
    "limit": 10,
    **{subject.id_key: ["1", "2"] for subject in ENTITIES},
}

ABOUT = {
    "costs": "Tokens and costs, highest cost first.",
    "tokens": "Tokens, most first.",
    "query-counts": "Queries, most first. A query is one LLM call.",
    "most-active": "Who made most queries in the period.",
    "recent": "Those whose last activity lies in the period, the latest first.",
    "summary": "Totals of the period, averages per query, how many were active, the times of the"
    " first and the last query, and the change against the stretch of the same length before."
    " A time is null where retention has dropped that day's events.",
    "entity-counts": "How many entities of each kind there are in all.",
}

VALUES: dict[str, Shown] = {
    "date": (said(DAY, "The start of the bucket; only in a time series."), "2024-03-01"),
    "total_tokens": (COUNT, 1500),
    "prompt_tokens": (said(COUNT, "Input tokens."), 1100),
    "completion_tokens": (said(COUNT, "Output tokens."), 400),
    "total_cost": (said(AMOUNT, "USD, exact; the sum of the costs that are known."), "0.00150"),
    "query_count": (COUNT, 3),
    "last_activity": (TIME, "2024-03-31T17:58:02Z"),
}
NAMES: dict[str, Shown] = {
    subject.name_key: (said(TEXT, "Its name, or its id."), f"Example {subject.noun.title()}")
    for subject in ENTITIES
}
ROWS = {
    "costs": [*answers.COSTS.row(NOTHING)],
    "tokens": [*answers.TOKENS.row(NOTHING)],
    "query-counts": [*answers.QUERY_COUNTS.row(NOTHING)],
    "most-active": [*answers.MOST_ACTIVE.row(NOTHING)],
    "recent": ["last_activity"],
}
CHANGES: dict[str, Shown] = {
    "queries_change": (CHANGE, 1),
    "queries_change_percent": (PERCENT, 50.0),
    "tokens_change": (CHANGE, 500),
    "tokens_change_percent": (PERCENT, 50.0),
    "cost_change": (said(AMOUNT, "USD."), "0.00050"),
    "cost_change_percent": (PERCENT, 50.0),
}


def _operation(question: Question) -> Operation:
    is_answered = question.answer is not None
    return Operation(
        _id(question),
        TAG,
        question.title.removeprefix("Get "),
        ABOUT[question.name] if is_answered else f"Not here: answers 501. {question.lacks}",
        _component(question),
        params=question.params,
        problems=(405, 500) if is_answered else (405, 500, 501),
        words=WORDS,
        in_envelope=True,
    )


def _id(question: Question) -> str:
    """getProjectCostData"""
    return question.title.replace(" ", "").replace("Get", "get", 1)


def _component(question: Question) -> str:
    return _id(question).removeprefix("get")


def _body(question: Question) -> Shown:
    data = _object({question.key: _answer(question)})
    return _object({"success": SUCCESS, "message": (TEXT, question.message), "data": data})


def _answer(question: Question) -> Shown:
    if question.name == "summary":
        return _object(_summary(question))
    if question.name == "entity-counts":
        return _object({subject.plural: (COUNT, 12) for subject in ENTITIES})
    rows = _list(_row(question))
    return _list(rows) if question.subject is OVERALL and question.name == "tokens" else rows


def _row(question: Question) -> Shown:
    keys = {name: VALUES[name] for name in ROWS[question.name]}
    if question.subject is not OVERALL:
        name = question.subject.name_key
        keys = {name: NAMES[name]} | keys
    if not issubclass(question.params, SeriesParams):
        return _object(keys)
    schema, example = _object({"date": VALUES["date"]} | keys)
    return schema | {"required": [*keys]}, example


def _summary(question: Question) -> dict[str, Shown]:
    totals = {name: VALUES[name] for name in [*ROWS["query-counts"], *ROWS["tokens"], "total_cost"]}
    return {
        **totals,
        "unpriced_events": (said(COUNT, "Queries whose cost is not known."), 0),
        "avg_tokens_per_query": (nullable({"type": "number"}, "Null over none."), 500.0),
        "avg_cost_per_query": (nullable(AMOUNT, "Over those whose cost is known."), "0.00050"),
        f"active_{question.subject.plural}": (said(COUNT, "With queries in the period."), 1),
        "first_activity": (nullable(TIME), "2024-03-01T08:12:44Z"),
        "last_activity": (nullable(TIME), "2024-03-31T17:58:02Z"),
        "changes": _or_null(_object(CHANGES)),
    }


def _object(keys: dict[str, Shown]) -> Shown:
    schemas = {name: schema for name, (schema, _) in keys.items()}
    return shape(**schemas), {name: example for name, (_, example) in keys.items()}


def _or_null(shown: Shown) -> Shown:
    schema, example = shown
    return nullable(schema, "Null where the period before is no longer kept."), example


def _list(row: Shown) -> Shown:
    schema, example = row
    return many(schema), [example]


def _examples(question: Question) -> dict[str, Any]:
    """Of the parameters, and of the answer if there is one."""
    fields = question.params().fields
    query = {name: value for name, value in ASKED.items() if name in fields}
    return {"query": query} | ({"answer": _body(question)[1]} if question.answer else {})


OPERATIONS = {f"GET {PREFIX}{question.path}": _operation(question) for question in QUESTIONS}
EXAMPLES = {f"GET {PREFIX}{question.path}": _examples(question) for question in QUESTIONS}
COMPONENTS = {_component(question): _body(question)[0] for question in QUESTIONS if question.answer}
