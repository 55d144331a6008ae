"""The key_steps stage with a teacher, and with key steps that somebody brings, in a real store."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from r1vl_core.config import KeySteps, Preset, Runtime, load_preset, parse_preset
from r1vl_core.data import database
from r1vl_core.data.given import export_key_steps
from r1vl_core.data.sql import querying
from r1vl_core.reasoning.key_steps import compile_key_steps, match
from r1vl_core.reasoning.paths import parse
from r1vl_core.records import Question
from tasks import key_steps
from tasks.inputs import DigestCache, Inputs
from tasks.launch import StageStopped
from tasks.planning import check_inputs
from tasks.registry import STAGES
from tasks.stages import StageEvent, StageResult, bring_up_to_date
from tasks.store import Store
from tasks.teaching import open_cache
from tests.chat_server import ChatServer, Reply, fails, rule_teacher, says, serving

KEY = "sk-secret-0123456789"
RUNTIME = Runtime(num_workers=1, device="cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A root in which the small world is made and curated once."""
    return Store(tmp_path_factory.mktemp("root"))


def preset(**dials: Any) -> Preset:
    return parse_preset({"name": "small", "world": {"num_questions": 24, "num_heldout": 4, "seed": 5}, "key_steps": dials}, "test")


def with_teacher(chat: ChatServer, fallback: str = "rules", **dials: Any) -> Preset:
    teacher = chat.teacher(**dials).model_dump(mode="json")
    return preset(extractor="teacher", fallback=fallback, teacher=teacher)


def build(preset: Preset, store: Store, lines: list[str] | None = None, force: bool = False) -> StageResult:
    def note(event: StageEvent) -> None:
        if event.kind == "log" and event.stage == "key_steps" and lines is not None:
            lines.append(event.text)

    runtime = RUNTIME.model_copy(update={"root": store.root})
    forced = frozenset({"key_steps"} if force else ())
    return bring_up_to_date("key_steps", STAGES, preset, runtime, store, force=forced, on_event=note)["key_steps"]


def rows(result: StageResult, sql: str) -> list[tuple[Any, ...]]:
    with querying(result.artifact.path, sql) as answer:
        return list(answer.rows)


def test_the_recipe_of_presets_without_a_teacher_is_what_it_was(tmp_path: Path) -> None:
    recipe = key_steps.recipe(preset(), Inputs({"curate": "3f2a"}, DigestCache(tmp_path / "digests.sqlite")))
    assert recipe.as_plain() == {
        "stage": "key_steps",
        "revision": 8,
        "settings": {"extractor": "rules", "max_key_steps": 6},
        "inputs": {"curate": "3f2a"},
        "prompts": {},
    }


def test_a_teacher_s_key_steps_are_built_once_and_its_place_and_price_are_no_part_of_them(store: Store) -> None:
    with serving(rule_teacher) as chat:
        result = build(with_teacher(chat), store)
        num_calls = len(chat.requests)
        assert result.state == "built"
        for same in ({"base_url": "http://127.0.0.1:9/v1"}, {"price_in": 9.0}, {"concurrency": 1}, {"max_tokens": 5}, {"timeout_s": 1.0}):
            assert build(with_teacher(chat, **same), store).key == result.key, same
        assert len(chat.requests) == num_calls
        other = build(with_teacher(chat, model="teacher-2"), store)
        assert (other.state, len(chat.requests)) == ("built", 2 * num_calls)
    for question in database.read_questions(result.artifact.path / key_steps.DATABASE):
        assert None not in match(parse(question.reference_path), compile_key_steps(question.key_steps))
    assert rows(result, "SELECT sum(num_calls), sum(tokens_in), sum(cost) FROM cost_by_source") == [
        (num_calls, 100 * num_calls, pytest.approx(num_calls * (100 * 1.0 + 20 * 5.0) / 1e6))
    ]


@pytest.mark.parametrize(("fallback", "by"), [("rules", "rules"), ("reject", None)])
def test_where_the_teacher_fails_the_preset_says_who_stands_in(store: Store, fallback: str, by: str | None) -> None:
    def moody(request: dict[str, Any], number: int) -> Reply:
        return says(None, refusal="no") if len(request["messages"][0]["content"]) % 3 == 0 else rule_teacher(request, number)

    lines: list[str] = []
    with serving(moody) as chat:
        result = build(with_teacher(chat, fallback, model=f"moody-{fallback}"), store, lines)
    failed = rows(result, "SELECT sum(num_questions) FROM teacher_failures WHERE reason = 'refused'")[0][0]
    assert failed > 0
    counts = database.counts(result.artifact.path / key_steps.DATABASE)
    assert counts.rejected_by_reason.get("teacher_refused", 0) == (0 if by else failed)
    assert result.artifact.notes["metrics"].get("num_by_rules", 0) == (failed if by else 0)
    assert any(f"refused {failed}" in line and f"fallback: {fallback}" in line for line in lines)


def test_questions_that_got_no_answer_are_asked_again_by_force_and_no_others(store: Store) -> None:
    def out_now_and_then(request: dict[str, Any], number: int) -> Reply:
        return fails(503) if number % 4 == 0 else rule_teacher(request, number)

    lines: list[str] = []
    with serving(out_now_and_then) as chat:
        patchy = with_teacher(chat, "reject", model="patchy", max_attempts=1, concurrency=1)
        result = build(patchy, store, lines)
        num_failed = database.counts(result.artifact.path / key_steps.DATABASE).rejected_by_reason["teacher_unreachable"]
        answered = {json.dumps(request) for number, request in enumerate(chat.requests, 1) if number % 4}
    assert f"{num_failed} questions that got no answer are asked again by {key_steps.ASK_AGAIN}; all answers are kept" in lines
    assert f"each question without key steps, and why: {key_steps.LIST_SET_ASIDE}" in lines
    with serving(rule_teacher) as chat:
        patchy = with_teacher(chat, "reject", model="patchy", max_attempts=1, concurrency=1)
        result = build(patchy, store, force=True)
        assert not answered & {json.dumps(request) for request in chat.requests}
    assert "teacher_unreachable" not in database.counts(result.artifact.path / key_steps.DATABASE).rejected_by_reason


def test_a_spent_budget_stops_the_stage_and_a_larger_one_goes_on_without_asking_twice(store: Store) -> None:
    def asked(chat: ChatServer) -> list[str]:
        return [json.dumps(request, sort_keys=True) for request in chat.requests]

    with serving(rule_teacher) as chat:
        small = {"model": "thrifty", "max_answer_tokens": 50}
        with pytest.raises(StageStopped, match="key_steps: the teacher's budget of 4,000 tokens is spent"):
            build(with_teacher(chat, **small, max_tokens=4000), store)
        paid = asked(chat)
        assert paid
        assert build(with_teacher(chat, **small), store).state == "built"
        assert len(asked(chat)) == len(set(asked(chat))) > len(paid)


def test_a_dead_service_stops_the_stage_and_a_wrong_key_is_the_user_s(store: Store) -> None:
    with serving(lambda request, number: fails(401, "bad key")) as chat, pytest.raises(ValueError, match="R1VL_TEACHER_API_KEY"):
        build(with_teacher(chat, model="locked"), store)
    with pytest.raises(StageStopped, match="no teacher at http"):  # nobody listens there any more
        build(with_teacher(chat, model="gone", max_attempts=1), store)


def test_the_key_is_sent_and_kept_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1VL_TEACHER_API_KEY", f"{KEY}\n")
    lines: list[str] = []
    store = Store(tmp_path)
    with serving(rule_teacher) as chat:
        build(with_teacher(chat), store, lines)
        assert {headers["authorization"] for headers in chat.headers} == {f"Bearer {KEY}"}
    assert KEY not in " ".join(lines)
    assert [file for file in tmp_path.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()] == []
    monkeypatch.setenv("R1VL_TEACHER_API_KEY", "two words")
    with serving(rule_teacher) as chat, pytest.raises(ValueError, match="R1VL_TEACHER_API_KEY holds a character"):
        build(with_teacher(chat, model="other"), store)


def test_key_steps_go_out_and_come_back_the_same(store: Store, tmp_path: Path) -> None:
    made = build(preset(), store)
    questions = database.read_questions(made.artifact.path / key_steps.DATABASE)
    file = tmp_path / "key_steps.jsonl"
    assert export_key_steps(file, questions) == len(questions)
    back = build(preset(laid_over=str(file)), store)
    assert back.key != made.key
    assert rows(back, "FROM key_steps") == rows(made, "FROM key_steps")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    for record in records:
        del record["id"]  # as published
    anonymous = tmp_path / "published.jsonl"
    anonymous.write_text("".join(json.dumps(record) + "\n" for record in records[1:]))
    assert rows(build(preset(laid_over=str(anonymous), max_key_steps=1), store), "SELECT max(number) FROM key_steps") == [
        (max(len(question.key_steps) for question in questions[1:]) - 1,)
    ]


def test_key_steps_laid_over_are_held_against_the_reference_path(store: Store, tmp_path: Path) -> None:
    first, second, *_ = database.read_questions(build(preset(), store).artifact.path / key_steps.DATABASE)
    steps = [["no path says this"], [*first.key_steps[0], "..."]]
    lines = [{"id": first.id, "key_steps": steps}, {"id": second.id, "key_steps": [["nor this"]]}, {"id": "unknown", "key_steps": [["x"]]}]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    log: list[str] = []
    result = build(preset(laid_over=str(file)), store, log)
    questions = {question.id: question for question in database.read_questions(result.artifact.path / key_steps.DATABASE)}
    assert questions[first.id].key_steps == (first.key_steps[0],)
    assert second.id not in questions
    (reject,) = (one for one in database.read_rejected(result.artifact.path / key_steps.DATABASE) if one.reason == "path_misses_key_steps")
    assert (reject.raw, reject.detail) == (
        second.reference_path,
        "the reference path reaches none of the 1 key steps of mine.jsonl, line 2",
    )
    told = "\n".join(log)
    assert "2 questions have key steps from mine.jsonl\n" in told
    assert f"1 of its records belong to no curated question: the id 'unknown'; an id looks like '{first.id}'\n" in told
    assert "left out of mine.jsonl: " in told
    assert "key_step_not_in_path 1" in told
    assert "unknown_question 1" in told
    (query,) = (line.split('"')[1] for line in log if line.startswith("left out"))
    assert rows(result, query) == [
        (1, "key_step_not_in_path", f"key step 1 of question {first.id}"),
        (1, "form_says_nothing", f"key step 2 of question {first.id}"),
        (3, "unknown_question", "no curated question has the id 'unknown'"),
    ]
    assert result.artifact.notes["metrics"]["num_given_left_out"] == 3


def with_own_ids(folder: Path, ids: list[object], questions: list[Question], world: Path) -> Path:
    """The questions as a source of their own, which calls them by these ids."""
    records = [
        {"id": own, "question": one.text, "reference_path": one.reference_path, "choices": dict(one.choices) or None, "images": one.image}
        for own, one in zip(ids, questions, strict=True)
    ]
    file = folder / "own.json"
    file.write_text(json.dumps(records))
    text = f'[[sources]]\nname = "own"\npath = "{file}"\nimages = "{world}/images"\n[evaluate]\ndata = "{world}/heldout.tsv"\n'
    (folder / "own.toml").write_text(text)
    return folder / "own.toml"


def test_key_steps_come_by_the_source_s_own_ids_too(store: Store, tmp_path: Path) -> None:
    made = build(preset(), store)
    first, second, third, *_ = database.read_questions(made.artifact.path / key_steps.DATABASE)
    world = next(store.artifacts("world")).path
    file = with_own_ids(tmp_path, ["geo-17", 18, "twice"], [first, second, third], world)
    mine = tmp_path / "mine.jsonl"

    def laid(*lines: dict[str, Any]) -> StageResult:
        mine.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return build(load_preset(file, {"key_steps.laid_over": str(mine)}), store)

    steps = [list(first.key_steps[0])]
    result = laid({"id": "geo-17", "key_steps": steps}, {"id": 18, "key_steps": [list(second.key_steps[0])]})
    found = {one.source_id: one for one in database.read_questions(result.artifact.path / key_steps.DATABASE)}
    assert found["geo-17"].key_steps == (first.key_steps[0],)
    assert found["18"].key_steps == (second.key_steps[0],)
    assert rows(result, "SELECT count(*) FROM rejected") == [(0,)]
    by_both = laid({"id": "geo-17", "key_steps": steps}, {"id": found["geo-17"].id, "key_steps": steps})
    assert rows(by_both, "SELECT row, reason FROM rejected") == [(2, "given_twice")]
    out = tmp_path / "out.jsonl"
    export_key_steps(out, found.values())
    assert [json.loads(line)["source_id"] for line in out.read_text().splitlines()] == ["geo-17", "18", "twice"]
    file = with_own_ids(tmp_path, ["geo-17", "twice", "twice"], [first, second, third], world)
    with pytest.raises(
        ValueError, match=r"^2 questions have the id 'twice' in their sources: \w+ \(source own\), \w+ \(source own\); give"
    ):
        laid({"id": "twice", "key_steps": steps})


def test_who_comes_second_to_the_cache_waits_and_says_for_whom(tmp_path: Path) -> None:
    waiting, order = threading.Event(), []

    def second() -> None:
        with open_cache(tmp_path, lambda line: (order.append(line), waiting.set())):
            order.append("second")

    with open_cache(tmp_path, lambda line: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(60)
        order.append("first")
    thread.join(60)
    assert order[1:] == ["first", "second"]
    assert order[0].startswith(f"process {os.getpid()}")
    assert order[0].endswith("is asking the teacher; waiting for it to end")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no record"),
        (
            '{"id": "x", "key_steps": [["1"]]}',
            "none of its 1 records belongs to a curated question that is drawn .unknown_question 1.; an id looks like '[0-9a-f]{16}'",
        ),
        ('{"key_steps": [["1"]]}', "line 1: no id, and no image_path"),
        ('{"id": "x"}', "line 1: key_steps is null"),
        ('{"id": "x", "key_steps": [[]]}', "line 1: key step 0 is empty"),
        ('{"id": "x", "key_steps": []}\n{"id": "x", "key_steps": []}', "line 2: x has key steps already"),
        ("[1]", "line 1: not an object"),
        ("{", "line 1: broken JSON"),
    ],
)
def test_a_file_of_key_steps_that_cannot_be_used_is_told_by_its_line(store: Store, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        build(preset(laid_over=str(file)), store)
    if said[:4] == "line":
        with pytest.raises(ValueError, match=said):  # what needs no curated questions is told before anything starts
            check_inputs("key_steps", STAGES, preset(laid_over=str(file)))


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"extractor": "teacher"}, r"needs \[key_steps.teacher\]"),
        ({"teacher": {"base_url": "host/v1", "model": "m"}}, "is no address"),
        ({"teacher": {"base_url": "https://me:secret@host/v1", "model": "m"}}, "holds a password"),
        ({"teacher": {"base_url": "https://host/v1", "model": "m", "request": {"model": "x"}}}, "request.model is set by r1vl"),
        ({"teacher": {"base_url": "https://host/v1", "model": "m", "max_cost": 5.0}}, "needs prices"),
        ({"teacher": {"base_url": "https://host/v1", "model": "m", "api_key": KEY}}, "no such setting"),
    ],
)
def test_a_preset_s_teacher_is_checked_before_anything_starts(dials: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        preset(**dials)
    assert KeySteps().identity() == {"extractor": "rules", "max_key_steps": 6}
