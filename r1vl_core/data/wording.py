"""The user's text of a training record, taken apart: what is asked, and the choices offered.

Records carry the question bare, after "Question:", or below a prompt template that repeats the section headers; image placeholders
stand anywhere. What is stored is the question alone, so that one prompt of ours serves every source.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

IMAGE_PLACEHOLDER = "<image>"
"""Stands for a picture in ShareGPT text; other data and chat templates spell it otherwise (`num_shown`)."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What is asked (`text`) and the (letter, text) pairs offered, in order; no choices for a free-form question.

    >>> split_wording("<image>Question: How many?\\nChoices:\\nA: 12\\nB: 15")
    Wording(text='How many?', choices=(('A', '12'), ('B', '15')))
    """

    text: str
    choices: tuple[tuple[str, str], ...]


def split_wording(user: str) -> Wording:
    """Take a user's text apart. `text` comes out empty when nothing is asked."""
    shown = user.replace(IMAGE_PLACEHOLDER, " ").replace("\r\n", "\n")
    text = _without_template(_PLACEHOLDER.sub(" ", shown) if "<" in shown else shown).strip()
    text = _without_instruction(text)
    for read in (_choice_lines, _choices_in_a_line):
        wording = read(text)
        if wording is not None:
            return Wording(_without_instruction(wording.text), wording.choices)
    return Wording(text, ())


def _without_instruction(text: str) -> str:
    """A text without how to answer at its end."""
    if "\n" in text:
        text = _CLOSING_LINE.sub("", text).strip()
    if "nswer" in text or "step by step" in text or "reasoning" in text:
        text = _CLOSING_SENTENCE.sub("", text)
    return text


def num_shown(user: str) -> int:
    """How many pictures a user's text shows by placeholders. A numbered one may be named again, and a tag may enclose another.

    >>> num_shown("<image>"), num_shown("<image1> or <image2>, not <image1>?"), num_shown("<Image><ImageHere></Image>")
    (1, 2, 1)
    """
    marks = [mark[0].lower() for mark in _PLACEHOLDER.finditer(user)]
    numbered = {mark for mark in marks if any(map(str.isdecimal, mark))}
    others = Counter(mark for mark in marks if mark not in numbered and "/" not in mark and "vision" not in mark)
    return max(len(numbered), *others.values(), 0)


def normalise(text: str) -> str:
    """Text as it is compared: compatibility forms, case and spacing are no difference.

    >>> normalise("How  MANY\\n？")
    'how many ?'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


# <image>, <image1>, <image 1>, <ImageHere>, <img>, and those of chat templates: <|image_1|>, <|image_pad|> between its marks.
_PLACEHOLDER = re.compile(
    r"<\|?/?(?:image|img)(?:[ _-]?(?:\d{1,3}|here|pad|placeholder))?\|?>|<\|vision_(?:start|end)\|>", re.IGNORECASE | re.ASCII
)
# Each begins with the end of the line before, which is found many times faster than `^`.
# Templates repeat the section headers; what follows the last one is the question.
_TEMPLATE_END = re.compile(r"\n[ \t]*###[ \t]*The final answer is[^\n]*(?=\n)", re.IGNORECASE)
_TEMPLATE_SIGN = re.compile(r"\n[ \t]*###[ \t]*Image Description", re.IGNORECASE)
_QUESTION = re.compile(r"\n([ \t]*(?:Question:[ \t]*)+)")
_INLINE_QUESTION = re.compile(r"(?<=[.:?!])([ \t]+Question:[ \t]*)")
# Context is part of what is asked, wherever it stands; other text before "Question:" is instruction.
_CONTEXT = re.compile(r"\n[ \t]*(?:Context|Passage):")
# How to answer is no part of what is asked; "Please solve for x." or "Explain why." is, so only what speaks of the answer is taken off.
_INSTRUCTION = (
    r"(?:Answer with|Answer the (?:following )?question (?:using|with|by|in|directly)|Please (?:try to )?answer the question"
    r"|(?:Please )?(?:Let['\u2019]?s )?(?:think|reason) step by step|First perform reasoning"
    r"|(?:Please )?(?:give|provide|output|write|put) (?:your|the) (?:final |short |correct )?answer)"
)
_CLOSING_LINE = re.compile(
    rf"\n\n*[ \t]*(?:{_INSTRUCTION}|Please (?:select|answer|choose|provide)|Select the correct|Choose the correct)[^\n]*\s*\Z",
    re.IGNORECASE,
)
_CLOSING_SENTENCE = re.compile(rf"(?<![A-Z]\.)(?<=[.?!\uff1f])[ \t]{{1,4}}{_INSTRUCTION}[^\n]*\Z", re.IGNORECASE)


def _without_template(text: str) -> str:
    text = "\n" + text
    if "###" in text and _TEMPLATE_SIGN.search(text):
        ends = list(_TEMPLATE_END.finditer(text))
        text = text[ends[-1].end() :] if ends else text
    question = (_QUESTION.search(text) or _INLINE_QUESTION.search(text)) if "Question:" in text else None
    if question is None:
        return text
    context = _CONTEXT.search(text, 0, question.start(1))
    before = text[context.start() : question.start(1)] if context else ""
    return before + text[question.end() :]


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_HEADING = r"(?:(?:Choices|Options)[ \t]*[:\uff1a][ \t]*)"
_LABEL = r"(?:[(\uff08]([A-Z])[)\uff09]|([A-Z])[.:)\uff0e\uff1a\uff09\u3001])"
_CHOICE_LINE = re.compile(rf"^[ \t]*(?:[-*\u2022][ \t]+)?(?:\*\*)?{_LABEL}(?:\*\*)?[ \t]*(\S[^\n]*?)[ \t]*$")
_HEADING_LINE = re.compile(rf"^[ \t]*{_HEADING}$", re.IGNORECASE)
_HEADING_ANYWHERE = re.compile(rf"(?:^|(?<=\s)){_HEADING}", re.IGNORECASE)
_FIRST_LABEL = re.compile(r"[(\uff08]A[)\uff09]|A[.)\uff0e\uff09\u3001]")
_LABEL_ANYWHERE = re.compile(rf"(?:^|(?<=[\s,;])){_LABEL}[ \t]*")


def _choice_lines(text: str) -> Wording | None:
    """Choices as lines of their own: "A: 12", "(A) 12", "A. 12", "A) 12", "- A. 12", "**A.** 12", with or without a heading; the last such
    block counts."""
    lines = text.split("\n")
    last = next((i for i in range(len(lines) - 1, -1, -1) if _CHOICE_LINE.match(lines[i])), -1)
    if last < 0:
        return None
    choices: list[tuple[str, str]] = []
    for first in range(last, -1, -1):
        match = _CHOICE_LINE.match(lines[first])
        if match:
            choices.insert(0, (_letter(match), match[3]))
            if choices[0][0] == "A":
                break
        elif lines[first].strip():
            return None
    if not _is_lettered(choices):
        return None
    before = lines[:first]
    while before and (not before[-1].strip() or _HEADING_LINE.match(before[-1])):
        before.pop()
    return Wording("\n".join([*before, *lines[last + 1 :]]).strip(), tuple(choices))


def _choices_in_a_line(text: str) -> Wording | None:
    """Choices one after another: "Choices: (A) 12 (B) 15"; without a heading three at least, "(A) 12", or "A. 12" behind what is asked."""
    folded = text.casefold()
    headings = list(_HEADING_ANYWHERE.finditer(text)) if "choices" in folded or "options" in folded else []
    if not headings and not _FIRST_LABEL.search(text):
        return None
    start = headings[-1].end() if headings else 0
    labels: list[re.Match[str]] = []
    for label in _LABEL_ANYWHERE.finditer(text, start):
        # Initials inside a choice ("B: U. S. Grant") are not the next letter, and "A: (1, 2), B: (3, 4)" are points.
        if (headings or label[0].strip()[-1] not in ":\uff1a") and len(labels) < 26 and _letter(label) == _LETTERS[len(labels)]:
            labels.append(label)
    ends = [label.start() for label in labels[1:]] + [len(text)]
    choices = [(_letter(label), text[label.end() : end].strip(" \t\n,;")) for label, end in zip(labels, ends, strict=False)]
    if len(choices) < (2 if headings else 3) or not all(choice for _, choice in choices):
        return None
    before = text[: headings[-1].start() if headings else labels[0].start()]
    if not headings and not all(label[1] for label in labels) and (not before.strip() or re.search(r"[?\uff1f]", choices[-1][1])):
        return None  # statements to choose from, or names, and the question behind them
    return Wording(before.strip(), tuple(choices))


def _letter(match: re.Match[str]) -> str:
    return match[1] or match[2]


def _is_lettered(choices: list[tuple[str, str]]) -> bool:
    letters = "".join(letter for letter, _ in choices)
    return len(choices) >= 2 and _LETTERS.startswith(letters)
