"""The strict rewards: honest paths keep what they earn, attacks lose, and every rule says why."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1vl_core.data.extract import extract_key_steps
from r1vl_core.handwriting.boards import draw_board
from r1vl_core.handwriting.questions import draw_draft
from r1vl_core.reasoning.attacks import ATTACKS, write
from r1vl_core.reasoning.audit import AttackResult, hackability
from r1vl_core.reasoning.paths import parse, render
from r1vl_core.reasoning.rewards import Reward, prepare, reward
from r1vl_core.records import Question
from tests.core.reasoning.held_out_attacks import HELD_OUT
from tests.core.reasoning.honest_paths import QUESTIONS

ALLOWED = 0.02
EVERY = {**ATTACKS, **{attack.__name__: attack for attack in HELD_OUT}}
KEY_STEPS = (("red digit is 8",), ("green digit is 6",), ("8 - 6 = 2", "2 = 8 - 6", "8 minus 6 equals 2", "6 + 2 = 8"))
STEPS = ("The red digit is 8.", "The green digit is 6.", "8 - 6 = 2")
ASKED = Question("q", "", "", "", "How far apart are the red digit and the green digit of the board?", (), "2", "", KEY_STEPS)


def earned(
    *steps: str, description: str = "Row 1: red 8 green 6.", rationale: str = "Read both, then subtract.", answer: str = "2"
) -> Reward:
    return reward(write(description, rationale, steps, answer), prepare(ASKED, "strict"))


@cache
def world_questions(number: int = 150) -> tuple[Question, ...]:
    """Questions of the bundled world with their key steps, half of the paths leaping to the result as in its training data."""
    rng, questions = np.random.default_rng(7), []
    for name in range(number):
        board = draw_board(rng, int(rng.integers(2, 4)), "train")
        draft = draw_draft(board, rng)
        leaps = name % 2 == 0
        path = render(
            board.transcription(),
            "See the answer at once." if leaps else draft.rationale,
            draft.leap if leaps else draft.steps,
            draft.answer,
        )
        question = Question(str(name), "world", "", "", draft.text, draft.choices, draft.answer, path)
        questions.append(replace(question, key_steps=extract_key_steps(parse(path), 6)))
    return tuple(question for question in questions if question.key_steps)


@cache
def results(kind: str) -> dict[str, AttackResult]:
    questions = world_questions() if kind == "world" else QUESTIONS
    return {one.name: one for one in hackability(questions, "strict", attacks=EVERY).attacks}


@pytest.mark.parametrize("question", [*QUESTIONS, *world_questions()[:40]], ids=lambda question: question.id)
def test_an_honest_path_keeps_its_reward_with_nothing_forgiven(question: Question) -> None:
    unknown = replace(question, reference_path="")
    strict, paper = (reward(question.reference_path, prepare(unknown, hardening)) for hardening in ("strict", "none"))  # type: ignore[arg-type]
    assert (strict.unsaid, strict.objections) == ({}, ())
    assert strict.total == paper.total == pytest.approx(2.1)


@pytest.mark.parametrize("kind", ["world", "hand"])
@pytest.mark.parametrize("name", EVERY)
def test_an_attack_wins_on_at_most_two_percent(name: str, kind: str) -> None:
    result = results(kind)[name]
    assert result.num_paths > 0
    assert result.share <= ALLOWED, f"{result.num_wins} of {result.num_paths}"


def test_the_papers_definition_is_fooled_and_stays_the_default() -> None:
    found = {one.name: one for one in hackability(QUESTIONS, "none", attacks=EVERY).attacks}
    fooled = [name for name, one in found.items() if one.share > 0.5]
    assert len(fooled) >= 12
    assert prepare(ASKED) == prepare(ASKED, "none")
    assert prepare(ASKED).guard is None


@pytest.mark.parametrize(
    ("steps", "missed"),
    [
        (STEPS, {}),
        (("It is not true that the red digit is 8.", *STEPS[1:]), {0: "denied"}),
        (("The red digit is 8, which is wrong.", *STEPS[1:]), {0: "denied"}),
        ((*STEPS, "All of this is wrong."), {0: "denied", 1: "denied", 2: "denied"}),
        (("Is the red digit is 8?", *STEPS[1:]), {0: "asked"}),
        (("Perhaps the red digit is 8.", *STEPS[1:]), {0: "doubtful"}),
        (("If the red digit is 8, we subtract.", *STEPS[1:]), {0: "doubtful"}),
        (("The red digit is 8. The red digit is 7. The red digit is 6.", *STEPS[1:]), {0: "hedged"}),
        ((*STEPS[:2], "8 - 6 = 2; 2 = 8 - 6; 6 + 2 = 8"), {2: "listed"}),
        ((", ".join(STEPS), "So it is settled."), {0: "listed", 1: "listed", 2: "listed"}),
        (STEPS[::-1], {0: "out_of_order", 1: "out_of_order"}),
        ((*STEPS[:2], f"8 - 6 = 2 {'and so on ' * 150}"), {2: "long_step"}),
        (("The red digit is not 7. It is plain that the red digit is 8.", *STEPS[1:]), {}),
        (("Since no other cell is red, the red digit is 8.", *STEPS[1:]), {}),
        (("The red digit is 8 and the green digit is 6.", STEPS[2]), {}),
    ],
)
def test_a_key_step_that_is_not_asserted_is_missed_and_says_why(steps: tuple[str, ...], missed: dict[int, str]) -> None:
    result = earned(*steps)
    paper = reward(write("Row 1: red 8 green 6.", "Read both, then subtract.", steps, "2"), prepare(ASKED))
    assert set(result.missed) == set(missed)
    assert result.unsaid == {index: why for index, why in missed.items() if index not in paper.missed}
    assert result.k == pytest.approx(1 - len(missed) / 3)


@pytest.mark.parametrize(
    ("step", "k"),
    [
        ("Their sum is 3 + 7 = 10, and half of that is 10 / 2 = 5.", 1),
        ("3 + 7 = 10, 10 / 2 = 5", 0),
        ("So 3 + 7 = 10; thus 10 / 2 = 5.", 0),
        ("We see at once 3 + 7 = 10 and 10 / 2 = 5.", 0),
    ],
)
def test_one_step_may_reach_both_of_two_key_steps_but_not_list_them(step: str, k: float) -> None:
    question = replace(ASKED, key_steps=(("3 + 7 = 10",), ("10 / 2 = 5",)), answer="5")
    path = write("Row 1: red 3 green 7.", "Add, then halve the sum.", ["The first row holds 3 and 7.", step], "5")
    assert reward(path, prepare(question, "strict")).k == k


def test_a_key_step_denied_once_and_asserted_later_counts() -> None:
    result = earned("Some say that the red digit is 8 is wrong.", "We look again: the red digit is 8.", *STEPS[1:])
    assert result.missed == ()


def test_a_key_step_that_negates_is_met_by_a_clause_that_negates() -> None:
    question = replace(ASKED, key_steps=(("no digit is greater than 8",), ("count is 0",)), answer="0")
    path = write("Row 1: red 8 green 6.", "Pick, then count.", ["No digit is greater than 8.", "The count is 0."], "0")
    assert reward(path, prepare(question, "strict")).missed == ()


@pytest.mark.parametrize(
    ("objection", "result"),
    [
        ("one_step", earned("The red digit is 8.")),
        ("too_many_steps", earned(*STEPS, *(f"remark number {i}" for i in range(40)))),
        ("hollow_steps", earned("yes", "no", *STEPS[:1])),
        ("hollow_section", earned(*STEPS, rationale="Ok")),
        ("copied_section", earned(*STEPS, rationale=ASKED.text)),
        ("copied_section", earned(f"{ASKED.text} {STEPS[0]}", *STEPS[1:])),
        ("repeated_text", earned(*(step for step in STEPS for _ in range(2)))),
        ("repeated_answer", earned(*(f"{step} So the answer is 2" for step in STEPS))),
        ("look_alikes", earned(*STEPS, rationale="Re\u0430d both, then subtract.")),
    ],
)
def test_a_path_without_reasoning_has_no_step_rvr_and_says_why(objection: str, result: Reward) -> None:
    assert objection in result.objections
    assert (result.step_rvr, result.defects) == (0.0, ())


def test_what_the_reference_path_does_is_forgiven() -> None:
    """A question whose own reference lists everything in one step does not punish a response for it."""
    steps = ["The red digit is 8, the green digit is 6, and 8 - 6 = 2."]
    path = render("Row 1: red 8 green 6.", "Read both, then subtract.", steps, "2")
    known = prepare(replace(ASKED, reference_path=path), "strict")
    assert reward(path, known).total == pytest.approx(2.1)
    assert reward(path, prepare(ASKED, "strict")).total == pytest.approx(1.0)


def test_an_unknown_hardening_is_refused() -> None:
    with pytest.raises(ValueError, match="'hard'"):
        prepare(ASKED, "hard")  # type: ignore[arg-type]


WORDS = st.sampled_from(
    [*STEPS, "not", "is wrong", "?", ".", "\n", "### Step 1:", "### Step 2:", "### Rationales:", "### Image Description:", ",", "2", " "]
)


@given(st.one_of(st.text(), st.lists(WORDS, max_size=30).map(" ".join), st.lists(WORDS, max_size=30).map("\n".join)))
def test_strict_never_gives_more_and_never_raises(text: str) -> None:
    strict, paper = reward(text, prepare(ASKED, "strict")), reward(text, prepare(ASKED))
    assert strict.step_rvr <= paper.step_rvr
    assert strict.step_rar <= paper.step_rar
    assert (strict.verdict, strict.rule, strict.defects) == (paper.verdict, paper.rule, paper.defects)
    assert {one.index for one in strict.matched} <= {one.index for one in paper.matched}
    assert set(strict.unsaid) == set(strict.missed) - set(paper.missed)
    assert all(text[one.start : one.end].strip() for one in strict.matched)
