"""How R1-VL's answer is found in a raw response, before any benchmark's own rules."""

from __future__ import annotations

MARKER = "The final answer is:"


def final_answer(response: str) -> str:
    """What follows the marker, stripped, when it stands there exactly once (its case counts); else the whole response as it is.

    >>> final_answer("### The final answer is: 14 "), final_answer("It is 14. ")
    ('14', 'It is 14. ')
    """
    pieces = response.split(MARKER)
    return pieces[1].strip() if len(pieces) == 2 else response


def yes_no_answer(response: str) -> str:
    """The same for questions asked with the choices A: Yes and B: No: after a cut, any letter a is Yes, else any letter b is No.

    >>> yes_no_answer("The final answer is: B"), yes_no_answer("The final answer is: No, a bar"), yes_no_answer("B")
    ('No', 'Yes', 'B')
    """
    answer = final_answer(response)
    if response.count(MARKER) != 1:
        return answer
    letters = answer.lower()
    # lower() makes other letters of no more than "a" and "b", so this is the four letters a, A, b and B
    return "Yes" if "a" in letters else "No" if "b" in letters else answer
