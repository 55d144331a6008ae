"""A teacher's endpoint as it really behaves: every way to answer, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from r1vl_core.config import Teacher
from r1vl_core.data.teacher.asking import Asker, Call, NoAnswer
from r1vl_core.data.teacher.budget import TeacherStopped, Tokens, upper_bound
from r1vl_core.data.teacher.cache import AnswerCache, opened
from r1vl_core.data.teacher.endpoint import connected
from r1vl_core.data.teacher.pace import Pace, retry_after
from tests.chat_server import DROPPED, ChatServer, Reply, Respond, fails, says, serving

KEY = "sk-secret-0123456789"
MESSAGES = [{"role": "user", "content": "How many?"}]


class VirtualTime:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[AnswerCache]:
    with opened(tmp_path / "teacher.duckdb") as cache:
        yield cache


def ask(
    chat: ChatServer,
    cache: AnswerCache,
    texts: list[str],
    time: VirtualTime | None = None,
    key: str = KEY,
    in_turn: bool = False,
    **dials: Any,
) -> list[Call | Exception]:
    """What becomes of asking each of `texts`, all at once or one after another."""
    time = time or VirtualTime()

    async def run() -> list[Any]:
        teacher = chat.teacher(**dials)
        async with connected(teacher, key) as endpoint:
            asker = Asker(teacher, endpoint, cache, "recipe", Pace(teacher.concurrency, time, time.sleep))
            calls = [asker.ask("extract", [{"role": "user", "content": text}]) for text in texts]
            if in_turn:
                return [(await asyncio.gather(call, return_exceptions=True))[0] for call in calls]
            return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(run())


def one(chat: ChatServer, cache: AnswerCache, time: VirtualTime | None = None, **dials: Any) -> Any:
    """The answer to one question; raises what it raises."""
    (found,) = ask(chat, cache, ["How many?"], time, **dials)
    if isinstance(found, Exception):
        raise found
    return found


def first_then_well(first: Reply, count: int = 1) -> Respond:
    return lambda request, number: first if number <= count else says("{}")


def test_an_answer_is_asked_for_as_the_preset_says_and_paid_for_once(cache: AnswerCache) -> None:
    with serving(lambda request, number: says("well", usage=(7, 3))) as chat:
        dials = {"request": {"temperature": 0.5}, "token_limit": "max_completion_tokens", "max_answer_tokens": 9}
        call = one(chat, cache, **dials)
        assert (call.answer.text, call.answer.finish, call.answer.tokens, call.cached) == ("well", "stop", Tokens(7, 3), False)
        assert chat.requests == [{"model": "teacher-1", "messages": MESSAGES, "temperature": 0.5, "max_completion_tokens": 9}]
        assert chat.headers[0]["authorization"] == f"Bearer {KEY}"
        assert one(chat, cache, **dials).cached
        assert len(chat.requests) == 1


def test_what_changes_the_answer_is_asked_anew_and_what_does_not_is_not(cache: AnswerCache) -> None:
    with serving(lambda request, number: says("{}")) as chat:
        one(chat, cache)
        for same in ({"timeout_s": 9.0}, {"concurrency": 1}, {"max_cost": 5.0}, {"price_in": 2.0}, {"base_url": f"{chat.url}/"}):
            assert one(chat, cache, **same).cached, same
        for number, other in enumerate(({"model": "m2"}, {"request": {}}, {"max_answer_tokens": 5}), 2):
            assert not one(chat, cache, **other).cached
            assert len(chat.requests) == number


def test_two_questions_that_ask_the_same_at_once_pay_once(cache: AnswerCache) -> None:
    with serving(lambda request, number: says("{}")) as chat:
        calls = ask(chat, cache, ["same"] * 8)
    assert len(chat.requests) == 1
    assert sorted(call.cached for call in calls if isinstance(call, Call)) == [False] + [True] * 7


def test_without_a_key_none_is_sent(cache: AnswerCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another-program")
    with serving(lambda request, number: says("{}")) as chat:
        one(chat, cache, key="")
    assert "authorization" not in chat.headers[0]
    assert "openai-organization" not in chat.headers[0]


HALF = json.dumps({"choices": [{"message": {"content": "half"}}]}).encode()[:20]
GARBLED = {
    "half of a body": Reply(HALF, headers={"Content-Type": "application/json"}),
    "a body that breaks off": Reply(HALF, headers={"Content-Type": "application/json"}, promised=4000),
    "a proxy's page": Reply(b"<html>Bad gateway</html>", headers={"Content-Type": "text/html"}),
    "other JSON": Reply(b'{"choices": 7}', headers={"Content-Type": "application/json"}),
    "no JSON": Reply(b"\xff\xfe\x00", headers={"Content-Type": "application/json"}),
    "nothing": Reply(b"", headers={"Content-Type": "application/json"}),
    "a dropped connection": DROPPED,
    "busy": fails(429),
    "out of order": fails(500),
    "overloaded": fails(503),
    "an unknown error": Reply(b"\x00", 599),
}


@pytest.mark.parametrize("reply", GARBLED.values(), ids=GARBLED)
def test_what_is_no_answer_is_asked_for_again_each_time_after_a_longer_wait(cache: AnswerCache, reply: Reply) -> None:
    time = VirtualTime()
    with serving(first_then_well(reply, 3)) as chat:
        assert one(chat, cache, time).answer.attempts == 4
    assert len(chat.requests) == 4
    assert all(low <= seconds <= high for (low, high), seconds in zip([(0.5, 1), (1, 2), (2, 4)], time.slept, strict=True))


@pytest.mark.parametrize("reply", GARBLED.values(), ids=GARBLED)
def test_a_question_that_never_gets_an_answer_is_given_up_and_nothing_is_remembered_of_it(cache: AnswerCache, reply: Reply) -> None:
    with serving(lambda request, number: reply) as chat:
        with pytest.raises(NoAnswer, match="2 attempts") as caught:
            one(chat, cache, max_attempts=2)
        assert caught.value.reason == "unreachable"
        assert len(chat.requests) == 2
    assert cache.spent("recipe") == Tokens()


def test_several_questions_in_a_row_without_an_answer_are_an_outage_and_stop_the_job(cache: AnswerCache) -> None:
    with serving(lambda request, number: fails(503)) as chat:
        found = ask(chat, cache, [f"question {number}" for number in range(9)], in_turn=True, max_attempts=2)
    assert [type(one).__name__ for one in found] == ["NoAnswer", "NoAnswer"] + ["TeacherStopped"] * 7
    assert "does not answer" in str(found[-1])
    assert len(chat.requests) == 6  # none begins after the third was given up


@pytest.mark.parametrize("how", ["seconds", "date", "milliseconds"])
def test_everybody_waits_as_long_as_the_service_asks(cache: AnswerCache, how: str) -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    asked = {"seconds": {"Retry_After": "60"}, "date": {"Retry_After": in_a_minute}, "milliseconds": {"retry_after_ms": "60000"}}[how]
    time = VirtualTime()
    with serving(first_then_well(fails(429, **asked))) as chat:
        found = ask(chat, cache, ["one", "two"], time, concurrency=1)
    assert all(isinstance(call, Call) for call in found)
    assert len(chat.requests) == 3
    assert 55 <= sum(time.slept) <= 60.001


def test_a_service_that_asks_to_wait_for_hours_stops_the_job(cache: AnswerCache) -> None:
    with serving(lambda request, number: fails(429, Retry_After="7200")) as chat, pytest.raises(TeacherStopped, match="7200 s"):
        one(chat, cache)


def test_an_account_without_credit_stops_the_job(cache: AnswerCache) -> None:
    body = json.dumps({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}).encode()
    no_credit = Reply(body, 429, {"Content-Type": "application/json"})
    with serving(lambda request, number: no_credit) as chat, pytest.raises(TeacherStopped, match="credit"):
        one(chat, cache)
    assert len(chat.requests) == 1


def test_a_slow_answer_is_waited_for_as_long_as_the_preset_says(cache: AnswerCache) -> None:
    def respond(request: dict[str, Any], number: int) -> Reply:
        if number == 1:
            chat.closing.wait(20)
        return says("{}")

    with serving(respond) as chat:
        assert one(chat, cache, timeout_s=0.2).answer.attempts == 2
        chat.closing.set()


def test_an_answer_that_drips_is_not_waited_for_for_ever(cache: AnswerCache) -> None:
    with serving(lambda request, number: Reply(b" ", endless=True, pause_s=0.01) if number == 1 else says("{}")) as chat:
        assert one(chat, cache, timeout_s=0.3).answer.attempts == 2


@pytest.mark.parametrize(
    "reply",
    [Reply(b" " * 65536, endless=True), Reply(b"{}", headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})],
    ids=["enormous", "compressed"],
)
def test_a_body_that_could_fill_the_memory_is_not_read(cache: AnswerCache, reply: Reply) -> None:
    with serving(lambda request, number: reply) as chat, pytest.raises(NoAnswer, match=r"8 MiB|compressed") as caught:
        one(chat, cache)
    assert caught.value.reason == "refused_request"
    assert len(chat.requests) == 1


@pytest.mark.parametrize(
    ("reply", "finish", "text"),
    [
        (says("{", finish="length"), "length", "{"),
        (says(None, refusal="I cannot help"), "refusal", "I cannot help"),
        (says("no", finish="content_filter"), "refusal", "no"),
        (says(None), "nothing", ""),
        (Reply(b'{"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 0}}'), "nothing", ""),
        (Reply(says("well").body, headers={"Content-Type": "text/plain"}), "stop", "well"),
    ],
    ids=["cut off", "refusal", "filtered", "no text", "no choices", "called plain text"],
)
def test_an_answer_that_cannot_be_used_was_paid_for_and_is_kept(cache: AnswerCache, reply: Reply, finish: str, text: str) -> None:
    with serving(lambda request, number: reply) as chat:
        answer = one(chat, cache).answer
        assert (answer.finish, answer.text) == (finish, text)
        assert answer.tokens.asked == 100
        assert one(chat, cache).cached
        assert len(chat.requests) == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (fails(401, f"Incorrect API key provided: {KEY}"), "R1VL_TEACHER_API_KEY"),
        (fails(403), "R1VL_TEACHER_API_KEY"),
        (fails(404, "no such model"), "base_url .* and model teacher-1"),
        (Reply(b"", 307, {"Location": "http://127.0.0.1:9/elsewhere"}), "answered 307: moved to http://127.0.0.1:9/elsewhere; .*base_url"),
        (Reply(b"", 404), "answered 404; check"),
    ],
    ids=["wrong key", "forbidden", "no such model", "moved", "nothing said"],
)
def test_what_the_user_must_mend_is_told_at_once_without_the_key(cache: AnswerCache, reply: Reply, said: str) -> None:
    with serving(lambda request, number: reply) as chat, pytest.raises(ValueError, match=said) as caught:
        one(chat, cache)
    assert len(chat.requests) == 1
    assert KEY not in str(caught.value)


def test_one_refused_request_is_its_question_s_and_when_all_are_refused_the_preset_s(cache: AnswerCache) -> None:
    with serving(lambda request, number: fails(400, "context too long") if "long" in str(request["messages"]) else says("{}")) as chat:
        refused, fine = ask(chat, cache, ["long", "short"])
        assert isinstance(refused, NoAnswer)
        assert isinstance(fine, Call)
    with serving(lambda request, number: fails(400, "unsupported: temperature")) as chat:
        found = ask(chat, cache, [f"question {number}" for number in range(8)])
    assert any(isinstance(one, ValueError) and "unsupported: temperature" in str(one) for one in found)


def test_refusals_halve_what_is_under_way_and_answers_bring_it_back() -> None:
    time = VirtualTime()
    pace = Pace(8, time, time.sleep)
    for _ in range(8):
        pace.pushed_back(100.0, None)  # all of one wave count once
        time.now = 100.5
    assert pace.limit == 4
    pace.pushed_back(101.0, None)
    assert pace.limit == 2
    for _ in range(60):
        pace.succeeded()
    assert pace.limit == 8


@pytest.mark.parametrize("value", ["", "soon", "-5", "nan", "inf", "Mon, 99 Foo 2026"])
def test_a_wait_that_makes_no_sense_is_none(value: str) -> None:
    assert retry_after({"retry-after": value}) is None


def spent_under(
    budget: dict[str, Any], cache: AnswerCache, count: int = 12, usage: tuple[int, int] | None = (30, 20)
) -> tuple[int, list[Any]]:
    with serving(lambda request, number: says("{}", usage=usage)) as chat:
        found = ask(chat, cache, [f"question {number:02}" for number in range(count)], max_answer_tokens=20, concurrency=4, **budget)
        return len(chat.requests), found


@pytest.mark.parametrize("budget", [{"max_tokens": 400}, {"max_cost": 0.000_9}], ids=["tokens", "money"])
def test_a_budget_is_never_passed_and_a_larger_one_goes_on(cache: AnswerCache, budget: dict[str, Any]) -> None:
    num_calls, found = spent_under(budget, cache)
    spent = cache.spent("recipe")
    assert 0 < num_calls < 12
    assert spent.total == 50 * num_calls
    assert spent.total <= budget.get("max_tokens", spent.total)
    assert (30 + 5 * 20) * 1e-6 * num_calls <= budget.get("max_cost", 1.0)
    stops = [one for one in found if isinstance(one, TeacherStopped)]
    assert len(stops) == 12 - num_calls
    assert "budget" in str(stops[0])
    again, _ = spent_under(budget, cache)
    assert again == 0  # the budget is the recipe's, not the run's
    more, found = spent_under({}, cache)
    assert num_calls + more == 12
    assert all(isinstance(one, Call) for one in found)


def test_a_service_that_counts_no_tokens_is_counted_at_its_most(cache: AnswerCache) -> None:
    spent_under({}, cache, 1, usage=None)
    assert cache.spent("recipe") == upper_bound([{"role": "user", "content": "question 00"}], 20)


@pytest.mark.parametrize(
    "usage",
    [
        "null",
        "7",
        "{}",
        '{"prompt_tokens": -5, "completion_tokens": 1}',
        '{"prompt_tokens": 1e30, "completion_tokens": 1}',
        '{"prompt_tokens": null, "completion_tokens": null}',
        f'{{"prompt_tokens": {10**25}, "completion_tokens": 1}}',
    ],
)
def test_a_count_of_tokens_that_makes_no_sense_is_none(cache: AnswerCache, usage: str) -> None:
    body = f'{{"choices": [{{"message": {{"content": "{{}}"}}}}], "usage": {usage}}}'.encode()
    with serving(lambda request, number: Reply(body)) as chat:
        assert one(chat, cache, max_answer_tokens=20).answer.tokens == upper_bound(MESSAGES, 20)


HOSTILE = {
    "nested a million times": b'{"choices": ' + b"[" * 10**6,
    "nested, behind a lone surrogate": b'{"usage": "\\ud800", "choices": ' + b"[" * 10**6,
    "a number of a million digits": b'{"choices": [{"message": {"content": ' + b"9" * 10**6 + b"}}]}",
    "a list of parts": b'{"choices": [{"message": {"content": [{"type": "text", "text": "{}"}]}}]}',
    "not a number": b'{"choices": NaN}',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_body_made_to_hurt_is_no_answer(cache: AnswerCache, body: bytes) -> None:
    with serving(lambda request, number: Reply(body)) as chat, pytest.raises(NoAnswer, match="no chat completion"):
        one(chat, cache, max_attempts=2)


def test_half_a_surrogate_pair_is_a_question_mark(cache: AnswerCache) -> None:
    with serving(lambda request, number: Reply(b'{"choices": [{"message": {"content": "\\uD83D\\ude00 \\ud800!"}}]}')) as chat:
        assert one(chat, cache).answer.text == "\U0001f600 ?!"


def test_any_text_that_can_be_an_answer_is_kept_as_it_is(cache: AnswerCache) -> None:
    text = "\x00 ½ \U0001f600 \u202e ' \" ; DROP TABLE answers; --"
    with serving(lambda request, number: says(text)) as chat:
        assert one(chat, cache).answer.text == one(chat, cache).answer.text == text


def test_another_program_s_cache_and_a_file_that_is_none_are_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "text.duckdb").write_text("no database" * 999)
    with pytest.raises(ValueError, match="move it away"), opened(tmp_path / "text.duckdb"):
        pass


def test_a_port_without_tls_ends_the_job_at_once(cache: AnswerCache) -> None:
    with (
        serving(lambda request, number: says("{}")) as chat,
        pytest.raises(ValueError, match=r"speaks no TLS .*; check key_steps\.teacher\.base_url"),
    ):
        one(chat, cache, base_url=chat.url.replace("http:", "https:"))


def test_what_is_no_completion_is_shown_and_cannot_steer_a_terminal(cache: AnswerCache) -> None:
    page = Reply(b"<html>\x1b[31mPlease\nlog in</html>", headers={"Content-Type": "text/html"})
    with serving(lambda request, number: page) as chat, pytest.raises(NoAnswer, match="log in") as caught:
        one(chat, cache)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("encoding", ["", "Identity"])
def test_an_encoding_that_is_none_is_read(cache: AnswerCache, encoding: str) -> None:
    reply = says("{}")
    with serving(lambda request, number: Reply(b"\xef\xbb\xbf" + reply.body, headers={"Content-Encoding": encoding})) as chat:
        assert one(chat, cache).answer.text == "{}"


def test_an_endless_wait_is_told_in_a_line(cache: AnswerCache) -> None:
    with (
        serving(lambda request, number: fails(429, Retry_After="1e300")) as chat,
        pytest.raises(TeacherStopped, match=r"to wait 1e\+300 s"),
    ):
        one(chat, cache)


@pytest.mark.parametrize("address", ["http://127.0.0.1:99999/v1", "http://127.0.0.1:x/v1", "http://[::1/v1", "http://a b/v1", "http://:80"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is no address; write it as https://host/v1"):
        Teacher(base_url=address, model="m")
