"""What becomes key steps of what a teacher says: whatever it says, every key step stands in the reference path."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1vl_core.data.teacher.batch import Service, Standing, teach_all
from r1vl_core.data.teacher.budget import TeacherStopped, Tokens
from r1vl_core.data.teacher.cache import opened
from r1vl_core.data.teacher.calls import calls_digest, writing
from r1vl_core.data.teacher.checks import check_cores, check_forms
from r1vl_core.data.teacher.estimate import draw_sample, estimate
from r1vl_core.data.teacher.lesson import Lesson
from r1vl_core.data.teacher.sameness import same_statement
from r1vl_core.reasoning.key_steps import compile_form, compile_key_steps, match
from r1vl_core.reasoning.paths import parse, render
from r1vl_core.records import Question
from tests.chat_server import ChatServer, Reply, Respond, good_teacher, says, serving, which
from tests.core.data.samples import path, question


def questions(count: int) -> list[Question]:
    """Questions whose texts and paths all differ, so that no two ask the teacher the same."""
    return [
        question(number, text=f"How many, {number}?", reference_path=path().replace("A board", f"Board {number}"))
        for number in range(count)
    ]


def taught(chat: ChatServer, cache: Path, asked: list[Question], **dials: Any) -> list[Lesson]:
    lessons: dict[int, Lesson] = {}
    with opened(cache) as opened_cache:
        teach_all(asked, Service(chat.teacher(**dials), "key", "recipe"), opened_cache, 6, lessons.__setitem__)
    return [lessons[place] for place in range(len(asked))]


def lesson_with(respond: Respond, tmp_path: Path) -> tuple[Lesson, ChatServer]:
    with serving(respond) as chat:
        (lesson,) = taught(chat, tmp_path / "teacher.duckdb", questions(1))
        return lesson, chat


def test_three_prompts_make_key_steps_that_stand_in_the_path(tmp_path: Path) -> None:
    lesson, chat = lesson_with(good_teacher, tmp_path)
    assert [which(request) for request in chat.requests] == ["extract", "refine", "augment"]
    assert [forms[0] for forms in lesson.key_steps] == ["5 and 7", "5 + 7 = 12"]
    assert "7 plus 5 equals 12" in lesson.key_steps[1]  # the teacher's
    assert "12 = 5 + 7" in lesson.key_steps[1]  # generated
    assert [(drop.form, drop.reason) for drop in lesson.dropped] == [("5 + 7 = 13", "form_differs")]
    assert None not in match(parse(path()), compile_key_steps(lesson.key_steps))


USELESS = {
    "words": says("I think the key steps are these."),
    "half": says('{"key_steps": ["5 + 7 = 12"'),
    "cut off": says('{"key_steps": ["5 + 7 = 12"]}', finish="length"),
    "a list": says('["5 + 7 = 12"]'),
    "more than asked": says('{"key_steps": ["5 + 7 = 12"], "note": "done"}'),
    "numbers": says('{"key_steps": [12]}'),
    "an empty text": says('{"key_steps": [" "]}'),
    "nothing": says(None),
    "half a character": says('{"key_steps": ["\\ud800"]}'),
    "a depth": says('{"key_steps": ' + "[" * 5000),
    "one thing twice": says('{"key_steps": ["5 + 7 = 12"]} {"key_steps": []}'),
    "no choices": Reply(b'{"choices": []}'),
    "too many": says(json.dumps({"key_steps": ["5 + 7 = 12"] * 65})),
}


@pytest.mark.parametrize("reply", USELESS.values(), ids=USELESS)
@pytest.mark.parametrize("prompt", ["extract", "refine"])
def test_an_answer_out_of_shape_is_repaired_once(tmp_path: Path, prompt: str, reply: Reply) -> None:
    def once(request: dict[str, Any], number: int) -> Reply:
        return reply if which(request) == prompt and len(request["messages"]) == 1 else good_teacher(request, number)

    lesson, chat = lesson_with(once, tmp_path)
    assert len(lesson.key_steps) == 2
    repairs = [request["messages"] for request in chat.requests if len(request["messages"]) > 1]
    assert [[message["role"] for message in messages] for messages in repairs] == [["user", "assistant", "user"]]
    assert [call.key.prompt for call in lesson.calls].count("repair") == 1

    (tmp_path / "twice").mkdir()
    lesson, _ = lesson_with(
        lambda request, number: reply if which(request) == prompt else good_teacher(request, number), tmp_path / "twice"
    )
    assert (lesson.key_steps, lesson.reason) == ((), "invalid_answer")
    assert lesson.detail.startswith(prompt)


def test_a_list_of_forms_for_each_key_step_or_the_answer_is_repaired(tmp_path: Path) -> None:
    def short(request: dict[str, Any], number: int) -> Reply:
        first = which(request) == "augment" and len(request["messages"]) == 1
        return says('{"forms": [[]]}') if first else good_teacher(request, number)

    lesson, chat = lesson_with(short, tmp_path)
    assert len(lesson.key_steps) == 2
    assert "holds 1 lists for 2 key steps" in chat.requests[-1]["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (says(None, refusal="I cannot help with that"), "refused"),
        (says('{"key_steps": []}'), "no_key_steps"),
        (says("```json\n" + '{"key_steps": ["9 + 9 = 18"]}' + "\n```"), "no_key_steps"),
    ],
    ids=["refused", "none", "none of the path's"],
)
def test_a_question_without_key_steps_says_why(tmp_path: Path, reply: Reply, reason: str) -> None:
    lesson, _ = lesson_with(lambda request, number: reply, tmp_path)
    assert (lesson.key_steps, lesson.reason) == ((), reason)


PATH = parse(
    render(
        "A right triangle.",
        "Pythagoras.",
        ["It is a right triangle with legs 3 cm and 4 cm.", "c^2 = 9 + 16 = 25", "The longest side of all the sides is c = 5 cm"],
        "5 cm",
    )
)


@pytest.mark.parametrize(
    ("core", "reason"),
    [
        ("right triangle", None),
        ("9 + 16 = 25", None),
        ("longest side of all the sides", "more_than_three_words"),
        ("isosceles triangle", "not_in_path"),
        ("9 + 16 = 26", "not_in_path"),
        ("25", "repeated"),
        ("9 + 16  =  25.", "repeated"),
        ("...", "says_nothing"),
        ("3 cm and " * 20, "too_long"),
    ],
)
def test_a_core_stands_or_falls_for_a_reason(core: str, reason: str | None) -> None:
    others = [] if reason is None else ["9 + 16 = 25"]
    kept, dropped = check_cores([*others, core], PATH, 6)
    assert [drop.reason for drop in dropped] == ([reason] if reason else [])
    assert (core in kept) == (reason is None)


def test_key_steps_stand_in_the_path_s_order_and_are_no_more_than_wanted() -> None:
    kept, dropped = check_cores(["c = 5 cm", "9 + 16 = 25", "right triangle"], PATH, 2)
    assert kept == ["right triangle", "9 + 16 = 25"]
    assert [(drop.core, drop.reason) for drop in dropped] == [("c = 5 cm", "too_many")]


def test_a_form_that_another_key_step_has_falls() -> None:
    key_steps, dropped = check_forms(
        ["c = 5 cm", "right triangle"], [["5 cm = c"], ["c = 5 cm", "90-degree", "right-angled triangle", "!"]]
    )
    assert key_steps[1] == ("right triangle", "right-angled triangle")
    assert [drop.reason for drop in dropped] == ["form_of_another", "form_differs", "form_says_nothing"]


SAME: dict[str, dict[str, bool | None]] = {
    "6/3 = 2": {
        "6 divided by 3 equals 2": True,
        "\\frac{6}{3} = 2": True,
        "2 = 6 ÷ 3": True,
        "six divided by three is two": None,
        "6/3 = 3": False,
        "3/6 = 2": False,
        "8/4 = 2": False,
        "2 = 2": False,
        "2": False,
        "6/3": False,
        "result": False,
    },
    "red is 4": {"the red digit is 4": None, "red digit equals four": None, "red is 5": False, "red = 4 = 5": False, "4": False},
    "12 cm": {"0.12 m": True, "12 centimetres": True, "13 cm": False, "12": False, "12 kg": False, "length": False},
    "1/2": {"0.5": True, "50%": True, "0.6": False},
    "largest digit": {"maximum digit": None, "largest digit is 9": False, "9": False},
    "x = 3": {"3 = x": True, "x equals three": None, "y = 3": False, "x = 4": False, "x > 3": False},
    "x - 3 = 2": {"2 = x - 3": True, "3 - x = 2": False},
    "a > b": {"b < a": True, "a < b": False, "a >= b": False},
    "area = 0.5": {"area = 1/2": None, "area = 0.6": False},
}


@pytest.mark.parametrize(("source", "form", "same"), [(s, f, v) for s, forms in SAME.items() for f, v in forms.items()])
def test_a_form_is_known_to_differ_where_numbers_relations_or_mathematics_decide(source: str, form: str, same: bool | None) -> None:
    one, other = compile_form(form), compile_form(source)
    assert one is not None
    assert other is not None
    assert same_statement(one, other) is same


_WORDS = st.sampled_from(
    [
        "9 + 16 = 25",
        "25",
        "c",
        "=",
        "5 cm",
        "5",
        "right",
        "triangle",
        "is",
        "not",
        "-",
        "9",
        "^",
        "longest side",
        "½",
        "\\frac{1}{2}",
        "<",
        "\x00",
        "。",
    ]
)
_TEXTS = st.lists(_WORDS, min_size=1, max_size=6).map(" ".join) | st.text(min_size=1, max_size=30)


@given(st.lists(_TEXTS, max_size=8), st.data())
def test_whatever_a_teacher_says_the_path_matches_all_of_its_key_steps(cores: list[str], data: st.DataObject) -> None:
    kept, dropped = check_cores(cores, PATH, 6)
    assert len(kept) + len(dropped) == len(cores)
    key_steps, _ = check_forms(kept, [data.draw(st.lists(_TEXTS, max_size=4)) for _ in kept])
    assert None not in match(PATH, compile_key_steps(key_steps))
    assert [forms[0] for forms in key_steps] == kept


def test_lessons_come_out_the_same_whatever_order_the_answers_come_in(tmp_path: Path) -> None:
    asked = questions(9)
    digests = []
    for number, concurrency in enumerate((1, 8)):
        with serving() as chat:
            lessons = taught(chat, tmp_path / f"{number}.duckdb", asked, concurrency=concurrency)
        log = tmp_path / f"calls-{number}.duckdb"
        with writing(log, chat.teacher()) as calls:
            for place in sorted(range(9), key=lambda place: place * (-1) ** number):
                calls.add(place, asked[place], lessons[place])
        digests.append(calls_digest(log))
    assert digests[0] == digests[1]


def test_a_stop_keeps_what_is_paid_for_and_a_larger_budget_goes_on_without_asking_twice(tmp_path: Path) -> None:
    asked = questions(8)
    with serving() as chat:
        with pytest.raises(TeacherStopped, match=r"raise key_steps\.teacher\.max_tokens or max_cost"):
            taught(chat, tmp_path / "teacher.duckdb", asked, max_tokens=2500, max_answer_tokens=100)
        before = len(chat.requests)
        assert 0 < before < 17
        assert len(taught(chat, tmp_path / "teacher.duckdb", asked, max_answer_tokens=100)) == 8
        texts = [json.dumps(request, sort_keys=True) for request in chat.requests]
        assert len(texts) == len(set(texts)) == 17  # all ask the teacher to augment the same key steps, which is paid for once


CHILD = """
import sys
from pathlib import Path
from r1vl_core.config import Teacher
from r1vl_core.data.teacher.batch import Service, teach_all
from r1vl_core.data.teacher.cache import opened
from tests.core.data.test_teacher_lessons import questions
with opened(Path(sys.argv[2])) as cache:
    service = Service(Teacher(base_url=sys.argv[1], model="teacher-1", concurrency=4), "key", "recipe")
    teach_all(questions(12), service, cache, 6, lambda place, lesson: print(place))
"""


def test_after_kill_9_no_answered_call_is_repeated(tmp_path: Path) -> None:
    answered: list[str] = []
    waiting, killed = threading.Event(), threading.Event()

    def respond(request: dict[str, Any], number: int) -> Reply:
        if number == 24:  # four workers, each of which asks again when its last answer is kept: 20 are
            waiting.set()
        if number > 20 and not killed.is_set():
            killed.wait(60)
            return Reply(status=0)
        answered.append(json.dumps(request, sort_keys=True))
        return good_teacher(request, number)

    cache = tmp_path / "teacher.duckdb"
    with serving(respond) as chat:
        child = subprocess.Popen([sys.executable, "-c", CHILD, chat.url, str(cache)])
        assert waiting.wait(60)
        child.send_signal(signal.SIGKILL)
        child.wait()
        killed.set()
        assert len(answered) == 20
        assert all(lesson.key_steps for lesson in taught(chat, cache, questions(12), concurrency=4))
    assert len(answered) == len(set(answered)) == 25


def test_progress_tells_rate_cost_and_time_left(tmp_path: Path) -> None:
    heard: list[Standing] = []
    with serving(lambda request, number: says(good_text(request), usage=(1000, 100))) as chat, opened(tmp_path / "t.duckdb") as cache:
        teach_all(questions(3), Service(chat.teacher(), "key", "recipe"), cache, 6, lambda place, lesson: None, heard.append)
    assert [one.done for one in heard] == [1, 2, 3]
    assert heard[-1].spent == Tokens(7000, 700)
    assert heard[-1].cost == pytest.approx(7000e-6 * 1.0 + 700e-6 * 5.0)
    assert heard[-1].seconds_left == 0


def good_text(request: dict[str, Any]) -> str:
    """What the good teacher says."""
    text: str = json.loads(good_teacher(request, 0).body)["choices"][0]["message"]["content"]
    return text


def test_a_sample_estimates_the_cost_of_all_and_is_paid_for_once(tmp_path: Path) -> None:
    asked = questions(40)
    sample = draw_sample(asked, 10)
    assert sample == draw_sample(asked[::-1], 10)
    with serving() as chat:
        lessons = taught(chat, tmp_path / "teacher.duckdb", sample)
        found = estimate(lessons, 40, chat.teacher())
        assert len(chat.requests) == 21
        taught(chat, tmp_path / "teacher.duckdb", asked)
        assert len(chat.requests) == 81
    assert found.tokens == Tokens(8400, 1680)
    assert found.cost == pytest.approx(found.tokens.cost(chat.teacher()))
    assert 0 < found.cost_half_width < found.cost


def test_a_teacher_whose_first_answers_all_come_to_nothing_is_paid_for_no_more(tmp_path: Path) -> None:
    asked = questions(100)
    with serving(lambda request, number: says("Sure! Here are the steps: 1) look")) as chat:
        for run in (1, 2):  # what a rerun finds in the cache is paid for already
            with pytest.raises(TeacherStopped, match=r"first 20 questions .* to nothing \(the last, invalid_answer: extract: .*run again"):
                taught(chat, tmp_path / "teacher.duckdb", asked, concurrency=4)
            assert 20 * run <= len(chat.requests) / 2 < 24 * run + 1
    with serving(lambda request, number: good_teacher(request, number)) as chat:
        lessons = taught(chat, tmp_path / "teacher.duckdb", asked, concurrency=4)
    assert any(lesson.reason for lesson in lessons)
    assert not lessons[-1].reason


def test_a_teacher_that_knew_one_question_may_fail_on_all_others(tmp_path: Path) -> None:
    def knows_one(request: dict[str, Any], number: int) -> Reply:
        return good_teacher(request, number) if "Board 0" in json.dumps(request) or which(request) == "augment" else says("No.")

    with serving(knows_one) as chat:
        lessons = taught(chat, tmp_path / "teacher.duckdb", questions(40), concurrency=1)
    assert [bool(lesson.reason) for lesson in lessons] == [False] + [True] * 39
