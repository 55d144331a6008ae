"""The user's text taken apart: what is asked, which choices."""

from __future__ import annotations

import pytest

from r1vl_core.data.wording import Wording, normalise, num_shown, split_wording
from r1vl_core.records import asked

TEMPLATE = """<image>
Generate a description, then reason. End with 'The final answer is: xxx'.

### Image Description:
### Rationales:
### Let's think step by step.
### Step 1:
...
### The final answer is: 

"""  # noqa: W291
AB = (("A", "12"), ("B", "15"))


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("How many?", "How many?"),
        ("<image>How many?", "How many?"),
        ("<image>\nHow many?\n<image>", "How many?"),
        ("Question: How many?", "How many?"),
        ("<image>Question: How many?", "How many?"),
        (TEMPLATE + "Question: How many?", "How many?"),
        (TEMPLATE + "How many?", "How many?"),
        ("Look at the picture and reason.\nQuestion: How many?", "How many?"),
        ("Look at the picture. Question: How many?", "How many?"),
        ("Hint: Answer with an integer.\nQuestion: How many?", "How many?"),
        ("Context: Two farms.\nQuestion: Which is larger?", "Context: Two farms.\nWhich is larger?"),
        ("Question: Which is larger?\nContext: Two farms.", "Which is larger?\nContext: Two farms."),
        ("Is the Question: mark red?", "Is the Question: mark red?"),
        ("Points (A) and (B) are marked. How far apart?", "Points (A) and (B) are marked. How far apart?"),
        ("A. Turing lived where?", "A. Turing lived where?"),
        ("How many?\nPlease answer with a number.", "How many?"),
        ("How many?\nAnswer the question using a single word or phrase.", "How many?"),
        ("How many? Answer the question using a single word or phrase.", "How many?"),
        ("How many?\nPlease think step by step and give the final answer in \\boxed{}.", "How many?"),
        ("How many? Let's think step by step.", "How many?"),
        ("How many?\nFirst perform reasoning, then finally answer the question in the following format: Answer: xxx.", "How many?"),
        ("AB is 5. Please solve for BC.", "AB is 5. Please solve for BC."),
        ("AB is 5. Explain your answer.", "AB is 5. Explain your answer."),
        ("AB is 5.\nGive the length of BC.", "AB is 5.\nGive the length of BC."),
        ("Answer the question using a single word or phrase.", "Answer the question using a single word or phrase."),
        ("<image1>\nHow many?", "How many?"),
        ("<|vision_start|><|image_pad|><|vision_end|>How many?", "How many?"),
        ("<Image><ImageHere></Image>How many?", "How many?"),
        ("Is 3 <imagined> 4?", "Is 3 <imagined> 4?"),
        ("Of A. x is odd, B. y is even and C. z is 0, which are true?", "Of A. x is odd, B. y is even and C. z is 0, which are true?"),
        ("A. 12 B. 15 C. 18", "A. 12 B. 15 C. 18"),
        ("Points A: (1, 2), B: (3, 4), C: (5, 6) span an area", "Points A: (1, 2), B: (3, 4), C: (5, 6) span an area"),
        ("<image>", ""),
        (TEMPLATE, ""),
        (TEMPLATE + "Question:", ""),
    ],
)
def test_free_form(user: str, text: str) -> None:
    assert split_wording(user) == Wording(text, ())


@pytest.mark.parametrize(
    "tail",
    [
        "\nChoices:\nA: 12\nB: 15",
        "\nChoices:\n(A) 12\n(B) 15",
        "\nOptions:\nA. 12\nB. 15\n",
        "\n\nchoices:\n\n A) 12 \n\n B) 15 ",
        "\nA: 12\nB: 15",
        "\nA\uff0e12\nB\uff0e15",
        "\nA\u300112\nB\u300115",
        "\n\uff08A\uff0912\n\uff08B\uff0915",
        "\n**A.** 12\n**B.** 15",
        "\n- A. 12\n- B. 15",
        "\n* (A) 12\n* (B) 15",
        "\r\nChoices:\r\nA: 12\r\nB: 15",
        " Choices: (A) 12 (B) 15",
        "\nChoices: A: 12, B: 15",
        "\nChoices:\nA: 12\nB: 15\nPlease select the correct answer from the choices above.",
        "\nA. 12\nB. 15\nAnswer with the option's letter from the given choices directly.",
    ],
)
def test_multiple_choice(tail: str) -> None:
    assert split_wording("<image>Question: How many?" + tail) == Wording("How many?", AB)


def test_how_to_answer_is_neither_asked_nor_a_choice() -> None:
    assert split_wording("How many?\nAnswer the question using a single word.\nA. 12\nB. 15") == Wording("How many?", AB)
    assert split_wording("How many?\nA. 12\nB. 15\n\nLet's think step by step.") == Wording("How many?", AB)
    smile = (("A", "Answer with a smile."), ("B", "Answer with a frown."))
    assert split_wording("What to do?\nA. Answer with a smile.\nB. Answer with a frown.") == Wording("What to do?", smile)


def test_choices_without_a_heading_in_a_line() -> None:
    assert split_wording("Find x. (A) 12 (B) 15 (C) U. S. Grant").choices == (*AB, ("C", "U. S. Grant"))


def test_points_named_in_the_question_are_no_choices() -> None:
    wording = split_wording("A: is a point.\nB: is another.\nHow far apart?\nA: 12\nB: 15")
    assert wording == Wording("A: is a point.\nB: is another.\nHow far apart?", AB)


@pytest.mark.parametrize("tail", ["\nA: 12\nC: 15", "\nB: 12\nC: 15", "\nA: 12", "\nChoices:\nA:\nB:"])
def test_what_is_no_list_of_choices_stays_in_the_text(tail: str) -> None:
    assert split_wording("How many?" + tail) == Wording("How many?" + tail, ())


@pytest.mark.parametrize("choices", [(), AB, (*AB, ("C", "both: (A) and (B)"))])
def test_our_own_spelling_comes_back(choices: tuple[tuple[str, str], ...]) -> None:
    assert split_wording(asked("How many?", choices)) == Wording("How many?", choices)


def test_a_choice_over_two_lines() -> None:
    assert split_wording("Which?\nChoices:\nA: one\nlong\nB: two").choices == (("A", "one\nlong"), ("B", "two"))


def test_normalised_text_ignores_case_spacing_and_compatibility_forms() -> None:
    assert normalise(" How\u00a0MANY\n  ½ ﬁsh？") == normalise("how many 1⁄2 fish?")
    assert normalise("a b") != normalise("ab")


@pytest.mark.parametrize(
    "tail", [" A. 10 B. 12 C. 14 D. 16", "\nA. 10\t\tB. 12\t\tC. 14\t\tD. 16", "\nA\uff0e10    B\uff0e12\nC\uff0e14    D\uff0e16"]
)
def test_several_choices_in_a_line(tail: str) -> None:
    assert split_wording("Which one?" + tail) == Wording("Which one?", (("A", "10"), ("B", "12"), ("C", "14"), ("D", "16")))


@pytest.mark.parametrize(
    ("user", "num"),
    [
        ("How many?", 0),
        ("<image> <image>", 2),
        ("<image 1> and <image 2>, or <image 1>?", 2),
        ("<|image_1|><image>", 1),
        ("<img></img>", 1),
    ],
)
def test_pictures_that_a_text_shows(user: str, num: int) -> None:
    assert num_shown(user) == num
