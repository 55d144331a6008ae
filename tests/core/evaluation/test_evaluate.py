"""Decoding held-out rows: no row's result depends on its company; what is stored and summed up is what was answered."""

import dataclasses
import io
from pathlib import Path

import pytest

from r1vl_core.evaluation.benchmarks.handwriting import judge, prompt_text
from r1vl_core.evaluation.evaluate import compare, decode_image, evaluate, read_responses, summary, write_responses
from r1vl_core.policy.model import Policy
from r1vl_core.reasoning.paths import render
from r1vl_core.records import BenchmarkRow, ScoredResponse
from tests.core.tiny_policies import picture, tiny_policy
from tests.core.training.test_room import short_of_memory

PATH = render("A board.", "Add.", ["1 + 2 = 3"], "3")


def benchmark_row(i: int) -> BenchmarkRow:
    buffer = io.BytesIO()
    picture(28 * (1 + i % 3), 28 * (2 + i % 2), seed=i).save(buffer, "PNG")
    choices = (("A", "3"), ("B", "4")) if i % 2 else ()
    return BenchmarkRow(f"r{i}", "How many?" + " Count well." * (i % 4), choices, "3", f"family {i % 2}", buffer.getvalue())


def answers(policy: Policy, rows: list[BenchmarkRow], token_budget: int) -> list[ScoredResponse]:
    batches = evaluate(policy, rows, prompt_text=prompt_text, judge=judge, max_new_tokens=12, token_budget=token_budget)
    return [response for batch in batches for response in batch]


def scored(index: str, verdict: str, response: str = PATH, category: str = "sum") -> ScoredResponse:
    return ScoredResponse(index, category, response, "3", "3", verdict, "number", 40, truncated=False)


def test_a_rows_response_depends_on_no_other_row() -> None:
    policy, rows = tiny_policy(), [benchmark_row(i) for i in range(6)]
    together = answers(policy, rows, token_budget=10**6)
    assert {response.index for response in together} == {row.index for row in rows}
    assert answers(policy, rows, token_budget=1) == together
    assert answers(policy, [rows[4]], token_budget=1) == [response for response in together if response.index == "r4"]


def test_when_memory_is_short_fewer_rows_are_answered_at_once_with_the_same_answers(caplog: pytest.LogCaptureFixture) -> None:
    rows = [benchmark_row(i) for i in range(6)]
    expected = answers(tiny_policy(), rows, token_budget=10**6)
    assert answers(short_of_memory(tiny_policy(), rows=2), rows, token_budget=10**6) == expected
    assert any("out of memory" in record.getMessage() for record in caplog.records)


def test_batches_keep_to_the_token_budget() -> None:
    policy, rows = tiny_policy(), [benchmark_row(0) for _ in range(5)]
    rows = [dataclasses.replace(row, index=str(i)) for i, row in enumerate(rows)]
    length = len(policy.encode("0", prompt_text(rows[0]), decode_image(rows[0]))) + 3
    batches = evaluate(policy, rows, prompt_text=prompt_text, judge=judge, max_new_tokens=3, token_budget=2 * length)
    assert [len(batch) for batch in batches] == [2, 2, 1]


def test_a_response_that_never_ends_is_marked_truncated() -> None:
    policy = dataclasses.replace(tiny_policy(), end_token_ids=())
    (response,) = answers(policy, [benchmark_row(0)], token_budget=1)
    assert (response.truncated, response.num_tokens) == (True, 12)


@pytest.mark.parametrize(
    ("response", "choices", "gold", "extracted", "verdict"),
    [
        (PATH, (), "3", "3", "correct"),
        (PATH, (), "4", "3", "wrong"),
        (render("A board.", "Add.", ["1 + 2 = 3"], "B: 3"), (("A", "4"), ("B", "3")), "B", "B: 3", "correct"),
        ("The answer is plainly 3", (), "3", "", "absent"),
        ("### The final answer is:\n", (), "3", "", "absent"),
        ("", (), "3", "", "absent"),
        ("### Step 1: 3\n### The final answer is: 5", (), "3", "5", "wrong"),
    ],
)
def test_the_answer_section_alone_is_judged(
    response: str, choices: tuple[tuple[str, str], ...], gold: str, extracted: str, verdict: str
) -> None:
    found = judge(response, BenchmarkRow("7", "How many?", choices, gold, "sum", b""), num_tokens=9, truncated=True)
    assert (found.extracted, found.verdict, found.response) == (extracted, verdict, response)
    assert (found.num_tokens, found.truncated, found.index, found.category, found.answer) == (9, True, "7", "sum", gold)


def test_prompt_text_lists_the_choices() -> None:
    row = BenchmarkRow("7", "How many?", (("A", "3"), ("C", "None")), "A", "sum", b"")
    assert prompt_text(row) == "How many?\nChoices:\nA: 3\nC: None"


def test_responses_come_back_as_they_were(tmp_path: Path) -> None:
    nasty = ["", "tab\t\"quote\" 'x'\r\n", "🖐 数字\x00", "None", "x" * 100_000]
    rows = [scored(str(i), "correct", text) for i, text in enumerate(nasty)]
    write_responses(tmp_path / "r.parquet", rows)
    assert read_responses(tmp_path / "r.parquet") == tuple(rows)


def test_half_a_surrogate_pair_is_kept_as_a_question_mark(tmp_path: Path) -> None:
    write_responses(tmp_path / "r.parquet", [scored("1", "wrong", "a\ud800b")])
    assert read_responses(tmp_path / "r.parquet")[0].response == "a?b"


def test_what_holds_no_responses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        read_responses(tmp_path / "r.parquet")
    (tmp_path / "r.parquet").write_bytes(b"hello")
    with pytest.raises(ValueError, match="not a Parquet file"):
        read_responses(tmp_path / "r.parquet")


def test_summary_counts_only_correct_verdicts() -> None:
    verdicts = ["correct", "correct", "wrong", "absent", "timeout", "error"]
    rows = [scored(str(i), verdict, category="sum" if i < 3 else "count") for i, verdict in enumerate(verdicts)]
    rows[1] = dataclasses.replace(rows[1], response="no path", num_tokens=100, truncated=True)
    found = summary(rows, step_rar={row.index: 0.5 for row in rows})
    assert (found["accuracy"], found["num_correct"], found["num_questions"]) == (2 / 6, 2, 6)
    assert found["interval"][0] < 2 / 6 < found["interval"][1]
    assert found["families"]["sum"]["num_correct"] == 2
    assert found["families"]["count"] == {
        "accuracy": 0.0,
        "num_correct": 0,
        "num_questions": 3,
        "interval": [0.0, pytest.approx(0.5615, abs=1e-4)],
    }
    assert (found["mean_step_rvr"], found["mean_step_rar"]) == (5 / 6, 0.5)
    assert (found["mean_num_tokens"], found["share_truncated"]) == (50, 1 / 6)
    assert found["verdicts"] == {"absent": 1, "correct": 2, "error": 1, "timeout": 1, "wrong": 1}


def test_summary_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no responses"):
        summary([])


def test_two_policies_are_compared_on_common_rows() -> None:
    first = [scored("1", "correct"), scored("2", "wrong"), scored("3", "timeout"), scored("9", "correct")]
    second = [scored("3", "correct"), scored("2", "correct"), scored("1", "correct")]
    found = compare(first, second)
    assert (found.num_common, found.num_second_only, found.num_first_only, found.difference) == (3, 2, 0, 2 / 3)


@pytest.mark.parametrize(
    ("image", "message"), [(b"hello", "neither PNG"), (benchmark_row(0).image[:80], "broken picture"), (b"", "neither")]
)
def test_a_picture_that_cannot_be_decoded_is_named(image: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"row 'r0', column 'image': {message}"):
        decode_image(dataclasses.replace(benchmark_row(0), image=image))
