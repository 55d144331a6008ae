"""A served model over a real socket: it gets the pictures as they are, busy services are asked again, and no row twice."""

from __future__ import annotations

import base64
import io
import json
import re
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.evaluating import Asked, evaluate
from r1vl_core.config import Runtime
from r1vl_core.data import responses as stored
from r1vl_core.evaluation.benchmarks.rulings import PROFILES
from r1vl_core.evaluation.published import FILES
from tasks.stages import flat
from tests.chat_server import Reply, fails, says, serving
from tests.core.evaluation.benchmarks.files import FIXTURES, ROWS, write
from tests.flows.command import r1vl


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / FILES["mme"]).symlink_to(FIXTURES / "mme.tsv")
    return tmp_path


def ask(data: Path, url: str, **more: Any) -> None:
    asked = Asked(None, "mme", data, endpoint=url, model="served-1", **more)
    evaluate(Runtime(root=data / "root"), asked, "paper", as_json=True)


def test_it_is_shown_the_pictures_and_its_answers_are_scored(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def respond(request: dict[str, Any], number: int) -> Reply:
        return fails(429, retry_after="0") if number == 1 else says("Yes", usage=(90, 2))

    with serving(respond) as server:
        ask(data, server.url, limit=6)
        sent = server.requests[-1]
        num_asked = len(server.requests)
        ask(data, server.url, limit=6)
        assert len(server.requests) == num_asked == 7
    first, again = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["state"], again["state"], first["partial"]) == ("built", "cached", True)
    assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("served-1", 0.0, 2048)
    shown, _text = sent["messages"][0]["content"]
    head, _, body = shown["image_url"]["url"].partition(",")
    with Image.open(io.BytesIO(base64.b64decode(body))) as picture:
        assert head == f"data:{Image.MIME[str(picture.format)]};base64"
    rows = stored.read_responses(Path(first["responses"]))
    assert [(row.response, row.num_tokens, row.truncated) for row in rows] == [("Yes", 2, False)] * 6
    assert first["prompt"] == "plain"


def test_what_was_answered_before_it_stopped_is_not_asked_again(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answered: list[str] = []
    credit = [5]

    def respond(request: dict[str, Any], number: int) -> Reply:
        if len(answered) >= credit[0]:
            return fails(402, "no credit")
        answered.append(json.dumps(request["messages"]))
        return says(f"No, {len(answered)}")

    with serving(respond) as server:
        with pytest.raises(OSError, match="no credit"):
            ask(data, server.url)
        credit[0] = 100
        ask(data, server.url)
    rows = stored.read_responses(Path(json.loads(capsys.readouterr().out)["responses"]))
    assert len(rows) == len(answered) == len(set(answered)) == 12
    assert sorted(row.response for row in rows) == sorted(f"No, {number}" for number in range(1, 13))


@pytest.mark.parametrize(
    ("reply", "told"),
    [(fails(401), "R1VL_ENDPOINT_API_KEY"), (fails(404), "check --endpoint"), (fails(400, "no pictures"), "refuses a request")],
)
def test_what_the_user_must_mend_is_told(reply: Reply, told: str, data: Path) -> None:
    with serving(lambda _request, _number: reply) as server, pytest.raises(ValueError, match=told):
        ask(data, server.url)


def test_what_else_it_is_asked_with_is_set_by_the_user(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = ('request={"temperature": null, "reasoning_effort": "low"}', "token_limit=max_completion_tokens", "concurrency=2")
    with serving(lambda _request, _number: says("Yes")) as server:
        ask(data, server.url, limit=2)
        ask(data, server.url, limit=2, endpoint_settings=("concurrency=3",))
        assert len(server.requests) == 2  # how fast it is asked changes no answer
        ask(data, server.url, limit=2, endpoint_settings=others)
        sent = server.requests[-1]
    assert len(server.requests) == 4
    assert (sent["reasoning_effort"], sent["max_completion_tokens"]) == ("low", 2048)
    assert not {"temperature", "max_tokens"} & sent.keys()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("concurrency=0", "--endpoint-set concurrency: must be greater"),
        ("max_cost=3", "--endpoint-set max_cost: no such setting; there are concurrency, "),
        ("concurrency", "--endpoint-set concurrency: write it as key=value, for example --endpoint-set concurrency=16"),
        ("base_url=http://h/v1", "--endpoint-set base_url: no such setting"),
    ],
)
def test_a_wrong_setting_is_told(given: str, told: str, data: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        ask(data, "http://127.0.0.1:9/v1", endpoint_settings=(given,))


def test_a_password_in_the_address_is_not_shown(data: Path) -> None:
    with pytest.raises(ValueError, match=r"--endpoint holds a password; .* set R1VL_ENDPOINT_API_KEY") as error:
        ask(data, "http://me:secret@127.0.0.1:9/v1")
    assert "secret" not in str(error.value)


def test_a_models_name_is_shown_as_it_is(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda _request, _number: says("Yes")) as server:
        asked = Asked(None, "mme", data, endpoint=server.url, model="[bold]7B[/x]", limit=2)
        evaluate(Runtime(root=data / "root"), asked, "paper", as_json=False)
    assert " [bold]7B[/x] " in capsys.readouterr().out


def nobody() -> str:
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def test_where_nothing_listens_nothing_is_waited_for(data: Path) -> None:
    url = nobody()
    with pytest.raises(OSError, match=re.escape(f"no model at {url}: connection failed")) as error:
        ask(data, url)
    assert str(error.value).endswith("start it there, or correct --endpoint")
    judged = ["score", "mathverse", "--data", FIXTURES / "mathverse.tsv", "--responses", data / "said.jsonl", "--judge", url]
    (data / "said.jsonl").write_text('{"index": "2", "response": "perhaps"}\n')
    done = r1vl(*judged, "--judge-model", "m", "--root", data / "root")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert f"no judge at {url}: connection failed" in done.stderr
    assert "correct --judge\n" in done.stderr


def test_that_it_is_waited_for_is_said_once(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda _request, number: fails(503, "loading", retry_after="0") if number <= 3 else says("Yes")) as server:
        ask(data, server.url, limit=1)
    said = capsys.readouterr().err
    assert said.count("does not answer") == said.count(f"the model at {server.url} does not answer (answered 503: loading)") == 1


def test_half_a_surrogate_pair_is_an_answer_too(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda _request, _number: says("Yes\ud800, \N{GRINNING FACE}")) as server:
        ask(data, server.url, limit=3)
    rows = stored.read_responses(Path(json.loads(capsys.readouterr().out)["responses"]))
    assert [row.response for row in rows] == ["Yes?, \N{GRINNING FACE}"] * 3


@contextmanager
def full_disk(num_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_named_and_costs_no_answer_that_was_kept(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda _request, _number: says("No " * 10_000)) as server:
        with full_disk(100_000), pytest.raises(OSError, match="File too large") as full:
            ask(data, server.url)
        file = Path(full.value.filename)
        kept = [json.loads(line)[0]["row_index"] for line in file.read_bytes().splitlines()]
        num_asked = len(server.requests)
        ask(data, server.url)
        assert len(server.requests) - num_asked == 12 - len(kept)
    rows = stored.read_responses(Path(json.loads(capsys.readouterr().out)["responses"]))
    assert 0 < len(kept) < 12 == len(rows)


HOSTILE = [
    "A\x00B",
    "",
    "nan",
    "None",
    "=1+1",
    '{"short answer": 5}',
    "x" * 100_000,
    "</script><script>alert(1)</script>",
    "The final answer is: Yes",
    "The final answer is: B",
    "The final answer is: 12",
]
"""Answers that a spreadsheet, a database or a page may stumble over, and some that are right now and then."""


def test_its_scores_are_those_of_r1vl_score_on_the_responses_it_keeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["dynamath", "hallusionbench", "mathverse", "mme"]  # those whose rows hang together, or whose tables are deep
    for name in names:
        (tmp_path / FILES[name]).symlink_to(FIXTURES / f"{name}.tsv")
    answers = cycle(HOSTILE)
    with serving(lambda _request, _number: says(next(answers))) as server:
        asked = Asked(None, ",".join(names), tmp_path, endpoint=server.url, model="served-1")
        evaluate(Runtime(root=tmp_path / "root"), asked, "paper", as_json=True)
    file = Path(json.loads(capsys.readouterr().out)["responses"])
    rows, scores = stored.read_responses(file), stored.read_scores(file)
    for name in names:
        said, ruled = tmp_path / f"{name}.jsonl", tmp_path / "rows.jsonl"
        said.write_text("".join(json.dumps({"index": r.row_index, "response": r.response}) + "\n" for r in rows if r.benchmark == name))
        for profile in PROFILES:
            given = ["--data", tmp_path / FILES[name], "--responses", said, "--profile", profile, "--json", "--rows", ruled]
            result = json.loads(r1vl("score", name, *given).stdout)
            kept = {one.column_name: one.value for one in scores if (one.benchmark, one.profile) == (name, profile)}
            assert kept == flat({"published": result["column"], **result["tables"]})
            verdicts = [one for one in stored.read_verdicts(file, profile) if one.benchmark == name]
            lines = map(json.loads, ruled.read_text().splitlines())
            of_row = ("index", "extracted", "correct", "rule", "decided_by")
            assert [tuple(line[key] for key in of_row) for line in lines] == [
                (one.row_index, one.extracted, one.correct, one.rule, one.decided_by) for one in verdicts
            ]


def broken(name: str, folder: Path) -> Path:
    """MMStar's row four times; what is wrong is wrong in the last."""
    drawn = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(drawn, "png")
    picture = drawn.getvalue()
    cells = {"truncated": picture[: len(picture) // 2], "no base64": b"", "no such row": b""}
    rows = [{**ROWS["mmstar"], "image": base64.b64encode(picture).decode()} for _ in range(4)]
    rows[3]["image"] = {"no base64": "@" * 99, "no such row": "99"}.get(name) or base64.b64encode(cells.get(name, picture)).decode()
    path = write(folder / FILES["mmstar"], rows)
    if name == "no column":
        path.write_text(path.read_text().replace('"image"', '"image_path"'))
    return path


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("truncated", "row '3', column 'image': "),
        ("no base64", "row 4 (index '3'), column 'image': not base64"),
        ("no such row", "row 4 (index '3'), column 'image': '99' is neither a picture nor the index of a row"),
        ("no column", "no column 'image' in its header line"),
    ],
)
def test_a_broken_picture_in_the_last_row_is_told_before_anything_is_asked_or_loaded(name: str, told: str, tmp_path: Path) -> None:
    broken(name, tmp_path)
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")  # no model at all: who loads it says something else
    with serving(lambda _request, _number: says("A")) as server:
        for policy in ({"policy": None, "endpoint": server.url, "model": "m"}, {"policy": str(checkpoint)}):
            asked = Asked(**{"benchmarks": "mmstar", "data_dir": tmp_path, **policy})
            with pytest.raises(ValueError, match=re.escape(told)) as error:
                evaluate(Runtime(root=tmp_path / "root"), asked, "paper", as_json=True)
            assert len(str(error.value).splitlines()) == 1
    assert server.requests == []


def test_a_broken_picture_of_a_row_that_is_not_asked_about_is_nobodys_business(tmp_path: Path) -> None:
    broken("truncated", tmp_path)
    with serving(lambda _request, _number: says("A")) as server:
        asked = Asked(None, "mmstar", tmp_path, limit=3, endpoint=server.url, model="m")
        evaluate(Runtime(root=tmp_path / "root"), asked, "paper", as_json=True)
    assert len(server.requests) == 3
