"""`import_events` on files and options with faults: told exactly, and no good row lost."""

import gzip
from pathlib import Path
from uuid import uuid4

import pytest

from apikeys.models import Account
from tests.commandline import call, run
from tests.importfiles import HEAD, ROW, complaints, counted, stored, write


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to work in, so that the names of files are short."""
    monkeypatch.chdir(tmp_path)


def test_bad_lines_are_told_and_the_good_ones_kept(api):
    rows = [
        ROW,
        ROW.replace("100", "1OO").replace("50", "-1"),
        ROW.replace("gpt-4o", ""),
        ROW.replace("2025-01-15 12:00:00", "yesterday"),
        ROW.replace("0.5", "0.12345678901"),
        "2025-01-15 12:00:00,gpt-4o,openai,100\n",
        ROW.replace("gpt-4o", "nul\0"),
        ROW.replace("gpt-4o", "\udcff"),
        "\n",
        ROW.replace("gpt-4o", '"two\nlines"'),
        ROW.replace("gpt-4o", '"two\nlines"').replace("openai", ""),
        ROW.replace("gpt-4o", '"quoted" badly'),
        ROW.replace("100", "102"),
        ROW.replace("gpt-4o", '"never closed'),
    ]
    write("bad.csv", (HEAD + "".join(rows)).encode(errors="surrogateescape"))

    said = call("import_events", "bad.csv", "--account", api.account.name)

    assert said.out == counted(13, 3, rejected=10)
    assert said.failure == "10 of 13 rows were not imported; see above."
    assert complaints(said) == [
        "bad.csv:3: input_tokens: Expected `int`, got `str`.",
        "bad.csv:3: output_tokens: Expected `int` >= 0.",
        "bad.csv:4: model: `model` is required.",
        "bad.csv:5: timestamp: " + complaints(said)[3].partition("timestamp: ")[2],
        "bad.csv:6: cost_usd: `cost_usd` has more than 10 decimal places.",
        "bad.csv:7: 4 cells, but the header has 6.",
        "bad.csv:8: model: `model` contains a NUL character.",
        "bad.csv:9: Not UTF-8.",
        "bad.csv:13: provider: `provider` is required.",
        "bad.csv:15: Not CSV, from here to line 15: ',' expected after '\"'.",
        "bad.csv:17: Not CSV, from here to line 17: unexpected end of data.",
    ]
    assert sorted(stored(api, "model", "input_tokens")) == [
        ("gpt-4o", 100),
        ("gpt-4o", 102),
        ("two\nlines", 100),
    ]


def test_bad_json_lines_are_told_and_the_good_ones_kept(api):
    good = '"provider": "openai", "input_tokens": 1, "output_tokens": 2'
    lines = [
        f'{{"id": "a", "model": "m", {good}}}',
        f'{{"id": "a", "model": "another", {good}}}',
        f'{{"model": "m", "prompt": "private", "tags": {{"a/b": [1]}}, {good}}}',
        f'{{"model": "m", "cost_usd": "0.12345678901", {good}}}',
        f'{{"model": "m", "entity_type": "team", "total_tokens": 4, {good}}}',
        "[1]",
        "nonsense",
        f'{{"id": "b", "model": "m", {good}}}',
    ]
    write("bad.jsonl", "\n".join(lines))

    said = call("import_events", "bad.jsonl", "--account", api.account.name)

    assert said.out == counted(8, 2, conflicts=1, rejected=5)
    assert said.failure == "6 of 8 rows were not imported; see above."
    assert complaints(said) == [
        "bad.jsonl:2: id: An event with this id and other content was recorded before.",
        "bad.jsonl:3: prompt: Unknown field `prompt`.",
        "bad.jsonl:3: tags.a/b: Tag `a/b` must be a string, a number or a boolean.",
        "bad.jsonl:4: cost_usd: `cost_usd` has more than 10 decimal places.",
        "bad.jsonl:5: total_tokens: `total_tokens` must equal `input_tokens` + `output_tokens`.",
        "bad.jsonl:5: entity_id: `entity_type` and `entity_id` go together: send both or neither.",
        "bad.jsonl:6: An event must be a JSON object.",
        "bad.jsonl:7: Not JSON: Expecting value: line 1 column 1 (char 0).",
    ]
    assert sorted(stored(api, "id")) == ["a", "b"]


def test_file_that_breaks_off_does_not_cost_the_next_one(api):
    rows = "".join(ROW.replace("100", str(number)) for number in range(2000))
    whole = gzip.compress((HEAD + rows).encode(), mtime=0)
    Path("cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    write("next.csv", HEAD + ROW.replace("100", "5000"))

    said = call("import_events", "cut.csv.gz", "next.csv", "--account", api.account.name)

    (complaint,) = complaints(said)
    kept = int(complaint.split(":")[1]) - 2  # the header, and the line that broke off
    assert complaint == (
        f"cut.csv.gz:{kept + 2}: Nothing can be read from here on: "
        "Compressed file ended before the end-of-stream marker was reached."
    )
    assert 100 < kept < 2000
    assert said.out == counted(kept + 2, kept + 1, rejected=1)
    assert 5000 in stored(api, "input_tokens")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Name at least one file, before the options."),
        (["rows.txt"], "rows.txt is of no known format: .csv .json .jsonl .ndjson, each also"),
        (["none.csv"], "none.csv cannot be read: [Errno 2] No such file"),
        (["plain.csv.gz"], "plain.csv.gz cannot be read: Not a gzipped file"),
        (["rows.csv", "./rows.csv"], "rows.csv is named twice."),
        (["rows.csv", "bare.csv"], "bare.csv has no column 'provider': model. Map another one"),
        (["twins.csv"], "twins.csv has more than one column 'model' for 'model'"),
        (["rows.csv", "--map", "model=M"], "rows.csv has no column 'M' for 'model': timestamp, mo"),
        (["rows.csv", "--map", "modell=model"], "'modell' is not a field: id, timestamp, model"),
        (["rows.csv", "--map", "model"], "'model' is not field=COLUMN."),
        (["--map", "model=M", "rows.csv"], "'rows.csv' is not field=COLUMN. (Files come before"),
        (["rows.csv", "--set", "model="], "'model=' is not field=VALUE."),
        (["rows.csv", "--set", "model=a", "model=b"], "'model' is given twice."),
        (["rows.csv", "--set", "latency_ms=soon"], "latency_ms=soon: Expected `int | null`"),
        (["rows.csv", "--set", "model=a", "--map", "model=model"], "'model' is both mapped"),
    ],
)
def test_import_that_cannot_start_changes_nothing(arguments, complaint):
    write("rows.csv", HEAD + ROW)
    write("bare.csv", "model\nm\n")
    write("twins.csv", "model,model,provider,input_tokens,output_tokens\n")
    Path("plain.csv.gz").write_text(HEAD)
    accounts = Account.objects.count()

    said = call("import_events", *arguments, "--account", "Nobody")

    assert said.failure is not None
    assert said.failure.startswith(complaint)
    assert (said.out, Account.objects.count()) == ("", accounts)


def test_bad_rows_show_in_the_exit_code(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + ROW + ROW.replace("50", "many"))
    name = f"New {uuid4().hex}"

    done = run("import_events", path, "--account", name)

    assert (done.returncode, done.stdout) == (1, counted(2, 1, rejected=1))
    assert done.stderr.splitlines()[:2] == [
        f"Made the account {name!r}.",
        f"{path}:3: output_tokens: Expected `int`, got `str`.",
    ]
