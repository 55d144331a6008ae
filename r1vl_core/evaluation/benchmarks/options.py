"""Which option does a prediction name? The toolkit's matcher, in its two states (letters are case-sensitive, words are not)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import ascii_uppercase

from r1vl_core.evaluation.benchmarks.rulings import Cell, Version

_FAILED = "Failed to obtain answer via API"
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_MARKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_SAID = re.compile(r"answer\s+is\s+\**([ABCD])", re.IGNORECASE)
_LAST_TOKENS = 4

Options = Mapping[str, Cell]
"""Letter to text; a text may be a number that a list literal held."""


class TooManyOptionsError(ValueError):
    """More options than there are letters: the toolkit fails over them."""


def match_option(prediction: str, options: Options, version: Version) -> tuple[str, str] | None:
    """(letter, rule) of the one option a prediction names, "Z" for a refusal; None when it names none or several.

    Raises TooManyOptionsError where the toolkit does.

    >>> match_option("(B)", {"A": "12", "B": "16"}, "paper"), match_option("16 cm", {"A": "12", "B": "16"}, "current")
    (('B', 'option letter'), ('B', 'option text'))
    """
    letter = letter_2024(prediction, options) if version == "paper" else letter_2026(prediction, options)
    if letter is not None:
        return letter
    if version == "current" and len(prediction.lower()) > 2 * sum(len(str(text)) for text in options.values()):
        return None
    found = text_match(prediction, options)
    return None if found is None else (found, "option text")


def letter_2024(prediction: str, options: Options) -> tuple[str, str] | None:
    """The option whose letter is the only one among the prediction's words."""
    if _FAILED in prediction:
        return None
    if any(refusal in prediction for refusal in _REFUSALS):
        return "Z", "refusal"
    words = prediction.translate(_MARKS).split()
    named = [letter for letter in options if letter in words]
    if len(named) == 1:
        return named[0], "option letter"
    return ("Z", "letter Z") if not named and "Z" in words else None


def letter_2026(prediction: str, options: Options) -> tuple[str, str] | None:
    """As in 2024, but the letter's first place must be among the last four words; then "answer is X", which needs no word to end."""
    found = letter_2024(prediction, options)
    if found is not None and found[1] != "option letter":
        return found
    if found is not None:
        words = prediction.translate(_MARKS).split()
        if words.index(found[0]) >= len(words) - _LAST_TOKENS:
            return found
    if _FAILED in prediction:
        return None
    said = _SAID.search(prediction)
    if said and said[1].upper() in options:
        return said[1].upper(), "answer is"
    return None


def text_match(prediction: str, options: Options) -> str | None:
    """The letter of the only option whose text occurs in the prediction, inside words too."""
    if any(letter not in ascii_uppercase for letter in options):
        raise TooManyOptionsError(f"{len(options)} options")
    said = prediction.lower()
    named = [letter for letter, text in options.items() if str(text).lower() in said]
    return named[0] if len(named) == 1 else None
