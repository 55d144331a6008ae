"""A served model over a real socket: it gets the pictures as they are, busy services are asked again, and no row twice."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.evaluating import Asked, evaluate
from r1vl_core.config import Runtime
from r1vl_core.data import responses as stored
from r1vl_core.evaluation.published import FILES
from tests.chat_server import Reply, fails, says, serving
from tests.core.evaluation.benchmarks.files import FIXTURES


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
