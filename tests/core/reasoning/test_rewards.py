"""The two rewards: the table of method.md section 3, the defects of section 9, and laws for every text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1vl_core.reasoning.paths import parse, render
from r1vl_core.reasoning.rewards import prepare, reward, step_rvr
from r1vl_core.records import Question

KEY_STEPS = (("3 + 7 = 10", "7 + 3 = 10"), ("10 / 2 = 5", "\\frac{10}{2} = 5"))
HEADERS = (
    "### Image Description:",
    "### Rationales:",
    "### Step 1:",
    "### Step 2:",
    "### The final answer is:",
    "5",
    "3 + 7 = 10",
    " ",
    "B",
)


def question(answer: str = "5", choices: tuple[tuple[str, str], ...] = (), key_steps: tuple[tuple[str, ...], ...] = KEY_STEPS) -> Question:
    return Question("q1", "test", "1.png", "", "?", choices, answer, "", key_steps)


def path(answer: str = "5", steps: tuple[str, ...] = ("3 + 7 = 10", "10/2 = 5")) -> str:
    return render("a board", "add, then halve", steps, "PLACE").replace("PLACE", answer)


@pytest.mark.parametrize(
    ("response", "step_rar", "step_rvr", "k"),
    [
        (path(), 1.1, 1.0, 1.0),
        (path(steps=("3 + 7 = 10", "so 5")), 1.05, 1.0, 0.5),
        (path(steps=("add", "so 5")), 1.0, 1.0, 0.0),
        (path("6"), 0.1, 1.0, 1.0),
        (path("6", steps=("add", "\\frac{10}{2} = 5")), 0.05, 1.0, 0.5),
        (path(""), 0.0, 0.0, 1.0),
        (path("."), 0.0, 0.0, 1.0),
        (path().partition("### The final")[0], 0.0, 0.0, 1.0),
        (path().replace("### Rationales:", "Rationales:"), 1.1, 0.0, 1.0),
        ("5", 0.0, 0.0, 0.0),
        ("", 0.0, 0.0, 0.0),
    ],
)
def test_the_table(response: str, step_rar: float, step_rvr: float, k: float) -> None:
    result = reward(response, prepare(question()))
    assert (result.step_rar, result.step_rvr, result.k) == pytest.approx((step_rar, step_rvr, k))
    assert result.total == pytest.approx(step_rar + step_rvr)


def test_only_the_answer_section_is_read() -> None:
    """Defect 9.2: the right number elsewhere earns nothing."""
    assert reward(path("6", steps=("the answer is 5", "The final answer is: 5", "\\boxed{5}")), prepare(question())).verdict == "wrong"
    assert reward("The final answer is: 5. So 5", prepare(question())).verdict == "absent"


def test_an_empty_answer_earns_nothing_at_all() -> None:
    """Defect 9.4."""
    result = reward(path(" "), prepare(question()))
    assert (result.verdict, result.total) == ("absent", 0.0)


def test_a_key_step_is_no_bare_substring() -> None:
    """Defect 9.6."""
    result = reward(
        path(steps=("16 and 6.5", "12/ 2 = 6")), prepare(question(key_steps=(("6.5",), ("16",), ("12/2 = 6",), ("1",), ("2 = 6",))))
    )
    assert result.missed == (3, 4)
    assert [found.index for found in result.matched] == [0, 1, 2]


def test_everything_is_explained() -> None:
    response = path("B: 6", steps=("7 + 3 = 10",)).replace("Step 1", "Step 2")
    result = reward(response, prepare(question("C: 5")), alpha=0.5)
    assert (result.step_rar, result.step_rvr, result.missed) == (0.25, 0.0, (1,))
    assert (result.verdict, result.rule, result.answer) == ("wrong", "choice_letter", "B: 6")
    assert [defect.value for defect in result.defects] == ["step_number_missing"]
    assert [response[found.start : found.end] for found in result.matched] == ["7 + 3 = 10"]


def test_a_question_without_key_steps_has_k_0() -> None:
    assert reward(path(), prepare(question(key_steps=()))).step_rar == 1.0


def test_an_empty_form_is_refused_with_the_question_named() -> None:
    with pytest.raises(ValueError, match="question q1: key step 0"):
        prepare(question(key_steps=(("",),)))


@given(st.one_of(st.text(), st.lists(st.sampled_from(HEADERS), max_size=20).map("\n".join)), st.sampled_from([0.0, 0.1, 1.0]))
def test_any_text_has_a_reward_within_bounds(response: str, alpha: float) -> None:
    for asked in (question(), question("B", (("A", "4"), ("B", "5")))):
        result = reward(response, prepare(asked), alpha)
        assert 0 <= result.step_rar <= 1 + alpha
        assert result.step_rvr == step_rvr(parse(response)) in (0.0, 1.0)
        assert len(result.matched) + len(result.missed) == len(KEY_STEPS)
        assert result == reward(response, prepare(asked), alpha)
        if result.verdict == "absent":
            assert result.total == 0.0


@given(st.lists(st.sampled_from(["3 + 7 = 10", "10/2 = 5", "nothing", "7 + 3 = 10"]), min_size=1, max_size=6), st.sampled_from(["5", "6"]))
def test_one_more_step_never_lowers_a_reward(steps: list[str], answer: str) -> None:
    prepared = prepare(question())
    assert reward(path(answer, (*steps, "and so on")), prepared).total >= reward(path(answer, tuple(steps)), prepared).total
