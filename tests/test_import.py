"""`import_events`: files in, events out, each once."""

import json
import re
from pathlib import Path
from uuid import uuid4

import pytest

from apikeys.models import Account, issue_key
from events import importing
from tests.commandline import run
from tests.conftest import Api, event
from tests.importfiles import HEAD, ROW, counted, stored, take, write

TRACES = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
TRACE_OPTIONS = [
    "--map", "timestamp=TIMESTAMP", "input_tokens=ContextTokens", "output_tokens=GeneratedTokens",
    "--set", "provider=azure", "model=gpt-4o", "entity_type=project",
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to work in, so that the names of files are short."""
    monkeypatch.chdir(tmp_path)


def test_every_field_from_its_column(api):
    write(
        "all.csv",
        "\ufeffid,When,model,provider,input_tokens,output_tokens,total_tokens,cache_read_tokens,"
        "cache_write_tokens,reasoning_tokens,cost_usd,latency_ms,Who,session_id,success,"
        "error_type,error_code,tags.env,tags,prompt,tags.\n"
        "one,2025-01-15 12:00:00,gpt-4o,openai,100,50,150,20,10,5,1E-7,1200,Ada,s1,false,"
        'timeout,504,test,"{""team"": ""a,b"", ""n"": 3}",secret,x\n'
        'two,2025-01-15T12:00:01+05:45,"a ""b""\nc",openai,1,2,,,,,,,,,,,,,,"x\n\ny",\n',
    )

    summary = take(
        api, "all.csv", "--map", "timestamp=When", "tags.who=Who",
        "--set", "entity_type=employee", "entity_id=ada", "--set", "tags.batch=3=c",
    )  # fmt: skip

    assert summary == counted(2, 2)
    assert api.read("/v1/events")["data"] == [
        {
            "id": "one",
            "timestamp": "2025-01-15T12:00:00Z",
            "model": "gpt-4o",
            "provider": "openai",
            "input_tokens": 100,
            "output_tokens": 50,
            "total_tokens": 150,
            "cache_read_tokens": 20,
            "cache_write_tokens": 10,
            "reasoning_tokens": 5,
            "cost_usd": "0.0000001",
            "latency_ms": 1200,
            "entity_type": "employee",
            "entity_id": "ada",
            "session_id": "s1",
            "tags": {"team": "a,b", "n": "3", "env": "test", "who": "Ada", "batch": "3=c"},
            "success": False,
            "error_type": "timeout",
            "error_code": "504",
            "cache_write_1h_tokens": 0,
            "service_tier": "standard",
            "cost_source": "reported",
        },
        {
            "id": "two",
            "timestamp": "2025-01-15T06:15:01Z",
            "model": 'a "b"\nc',
            "provider": "openai",
            "input_tokens": 1,
            "output_tokens": 2,
            "total_tokens": 3,
            "cache_read_tokens": 0,
            "cache_write_tokens": 0,
            "reasoning_tokens": 0,
            "cost_usd": None,
            "latency_ms": None,
            "entity_type": "employee",
            "entity_id": "ada",
            "session_id": None,
            "tags": {"batch": "3=c"},
            "success": True,
            "error_type": None,
            "error_code": None,
            "cache_write_1h_tokens": 0,
            "service_tier": "standard",
            "cost_source": "unpriced",
        },
    ]


def test_times(api):
    times = {
        "2025-01-15 12:00:00": "2025-01-15T12:00:00Z",
        "2025-01-15t12:00:01.5": "2025-01-15T12:00:01.500000Z",
        "2025-01-15 12:00:02.9999999": "2025-01-15T12:00:02.999999Z",
        "2025-01-15T12:00:03Z": "2025-01-15T12:00:03Z",
        "2025-01-15T14:00:04+02:00": "2025-01-15T12:00:04Z",
    }
    rows = (f"{time},m,p,{index},0,\n" for index, time in enumerate(times))
    lines = (
        json.dumps({"timestamp": time, "model": "m", "provider": "p", "input_tokens": index,
                    "output_tokens": 0})
        for index, time in enumerate(times)
    )  # fmt: skip

    assert take(api, write("times.csv", HEAD + "".join(rows))) == counted(5, 5)
    assert take(api, write("times.jsonl", "\n".join(lines))) == counted(5, 0, duplicates=5)
    assert stored(api, "timestamp") == list(times.values())


def test_json_lines(api):
    write(
        "rows.ndjson",
        b"\xef\xbb\xbf"
        b'{"id": "a", "at": "2025-01-15 12:00:00", "model": "x", "engine": "gpt-4o",'
        b' "tags": {"n": 1.50}, "provider": "openai", "input_tokens": 1, "output_tokens": 2,'
        b' "cost_usd": 0.12345678905}\r\n'
        b"\n"
        b'{"id": "b", "at": "2025-01-15 12:00:01", "engine": "gpt-4o", "tags": null,'
        b' "provider": "openai", "input_tokens": 1, "output_tokens": 2, "cost_usd": "0.3"}',
    )

    summary = take(
        api, "rows.ndjson", "--map", "timestamp=at", "model=engine",
        "--set", "tags.env=prod", "latency_ms=70", "success=false",
    )  # fmt: skip

    assert summary == counted(2, 2)
    assert stored(api, "id", "timestamp", "model", "cost_usd", "tags") == [
        ("a", "2025-01-15T12:00:00Z", "gpt-4o", "0.123456789", {"n": "1.50", "env": "prod"}),
        ("b", "2025-01-15T12:00:01Z", "gpt-4o", "0.30", {"env": "prod"}),
    ]
    assert stored(api, "latency_ms", "success") == [(70, False)] * 2


def test_equal_rows_count_each_and_again_not_at_all(api, monkeypatch):
    monkeypatch.setattr(importing, "BATCH", 2)
    other = ROW.replace("100", "101")
    first, second = write("whole.csv", HEAD + ROW + other + ROW + ROW), "whole.csv"

    assert take(api, first) == counted(4, 4)
    assert take(api, second) == counted(4, 0, duplicates=4)
    assert stored(api, "input_tokens").count(100) == 3

    same = {
        "model": "gpt-4o", "provider": "openai", "input_tokens": 100, "output_tokens": 50,
        "timestamp": "2025-01-15T13:00:00+01:00", "cost_usd": 0.50,
    }  # fmt: skip
    parts = [
        write("part2.json.gz", json.dumps(same)),
        write("PART1.CSV.gz", HEAD + other + ROW),
        write("part3.csv", HEAD + ROW.replace("0.5", "0.500")),
    ]
    assert take(api, *parts) == counted(4, 0, duplicates=4)
    assert take(api, *parts, write("new.csv", HEAD + ROW)) == counted(5, 1, duplicates=4)


def test_ids_of_rows_are_for_ever(api):
    take(api, write("rows.csv", HEAD + ROW + ROW))

    assert sorted(stored(api, "id")) == [
        "imp_97d47eacb3ed5d7445d4ed6b08b34688",
        "imp_be868b9ee0b4124d262f4aa130cca5bb",
    ]


def test_row_without_a_time_is_of_now_and_still_itself(api):
    write("rows.csv", HEAD + ROW.replace("2025-01-15 12:00:00", ""))

    assert take(api, "rows.csv") == counted(1, 1)
    assert take(api, "rows.csv") == counted(1, 0, duplicates=1)


def test_csv_of_the_api_comes_back_the_same(api, other):
    api.send(
        event(id="a/1", tags={"team": "x,y", "n": 1}, entity_type="team", entity_id='"q"\nr'),
        event(id="b", success=False, error_type="timeout", error_code="504", latency_ms=7),
        event(id="c", cache_read_tokens=9, reasoning_tokens=3, session_id="s", cost_usd="1E-10"),
    )

    assert take(other, write("export.csv", api.csv("/v1/events"))) == counted(3, 3)
    assert other.read("/v1/events") == api.read("/v1/events")


def trace(path: Path, entity: str, account: str) -> str:
    """Import a trace by a process of its own, all good; the summary."""
    done = run(
        "import_events", path, "--account", account, *TRACE_OPTIONS, f"entity_id={entity}"
    )  # fmt: skip
    assert (done.returncode, "Error" in done.stderr) == (0, False)
    assert re.fullmatch(r"[\d,]+ rows, [\d,]+ a second", done.stderr.splitlines()[-1])
    return done.stdout


def tokens_by_entity(account: str, day: str) -> list[tuple[str, int, int, int]]:
    row = Account.objects.get(name=account)
    period = {"start_date": day, "end_date": day, "group_by": "entity"}
    answer = Api(row, issue_key(row)[1]).read("/v1/analytics/costs", **period)
    keys = "entity_id", "total_events", "total_input_tokens", "total_output_tokens"
    return sorted(tuple(found[key] for key in keys) for found in answer["data"])


def test_trace_in_the_format_of_the_published_ones(tmp_path):
    account = f"Trace {uuid4().hex}"
    path = tmp_path / "trace.csv"
    path.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:17:03.9799600,4808,10\n"
        "2023-11-16 18:17:03.9799609,4808,10\n"  # equal when cut to microseconds
        "2023-11-16 23:59:59.9999999,110,27\n"
    )

    assert trace(path, "code", account) == counted(3, 3)
    assert trace(path, "conversation", account) == counted(3, 3)
    assert trace(path, "code", account) == counted(3, 0, duplicates=3)
    assert tokens_by_entity(account, "2023-11-16") == [
        ("code", 3, 9726, 47),
        ("conversation", 3, 9726, 47),
    ]


@pytest.mark.skipif(not TRACES.exists(), reason="the published traces are not here")
def test_published_traces():
    account = f"Azure {uuid4().hex}"
    code = TRACES / "AzureLLMInferenceTrace_code.csv"
    conversation = TRACES / "AzureLLMInferenceTrace_conv.csv"

    assert trace(code, "code", account) == counted(8819, 8819)
    assert trace(conversation, "conversation", account) == counted(19366, 19366)
    assert trace(code, "code", account) == counted(8819, 0, duplicates=8819)
    assert trace(conversation, "conversation", account) == counted(19366, 0, duplicates=19366)
    assert tokens_by_entity(account, "2023-11-16") == [
        ("code", 8819, 18_059_974, 245_896),
        ("conversation", 19366, 22_361_870, 4_088_665),
    ]


def test_usage_of_the_provider_in_a_column_or_a_key(api):
    usage = {"input_tokens": 5, "cache_read_input_tokens": 95, "output_tokens": 50}
    quoted = json.dumps(usage).replace('"', '""')
    write("usage.csv", f'id,model,provider,usage\none,claude-haiku-4-5,anthropic,"{quoted}"\n')
    line = {"id": "two", "model": "claude-haiku-4-5", "provider": "anthropic", "usage": usage}
    write("usage.jsonl", json.dumps(line) + "\n")
    assert take(api, "usage.csv", "usage.jsonl") == counted(2, 2)
    for row in api.read("/v1/events")["data"]:
        assert (row["input_tokens"], row["cache_read_tokens"], row["cost_usd"]) == (
            100,
            95,
            "0.0002645",
        )
