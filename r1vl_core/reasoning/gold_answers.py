"""What a gold answer comes to, where it says more than that: a remark behind it, or a whole sentence about one of the choices.

People's references are trusted to mean one answer, so what stands around it is taken off; a response is never read so kindly (`answers`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from r1vl_core.reasoning.clauses import has_cue
from r1vl_core.reasoning.cleaning import without_reason
from r1vl_core.reasoning.comparison import same_expression
from r1vl_core.reasoning.expressions import Expression, read_expression

SENTENCE_END = re.compile(r"\n\s*+|(?<=[.!])\s++(?=[A-Z\\$*])")
"""Where one sentence of an answer ends and the next begins."""

_MAX_SENTENCES = 6
_REMARK = re.compile(r"(?<=\S)\s++\([^()0-9]{1,80}\)[.]?\Z")
_MAX_LENGTH = 2000
_ARGUES = re.compile(r"[\W_]{0,8}+(?:because|since|explanation|reason|reasoning|note|verification|check)\b", re.IGNORECASE)
_DASHED = re.compile(r"\s*-{3,}\s*")


def settled(gold: str) -> Expression:
    """A gold answer read, without what explains it: "12 cm, since …", "5. There are 5 of them.", "12 (rounded)".

    Only a value is told from words behind it, and only where these give no other value: "x = 3\\n\\ny = 4" stays.

    >>> settled("12 cm\\n\\nNote: the figure is not to scale.").text
    '12 cm'
    """
    whole = read_expression(gold)
    if whole.kind not in ("text", "list") or len(gold) > _MAX_LENGTH:
        return whole
    parts = SENTENCE_END.split(gold.strip(), maxsplit=_MAX_SENTENCES)
    first, *others = [part for part in parts if part and not _DASHED.fullmatch(part)] or [gold]
    for head in dict.fromkeys((without_reason(gold), first, without_reason(first), _REMARK.sub("", first))):
        value = read_expression(head)
        if head != gold and value.kind != "text" and not any(_says_another(other, value) for other in others if len(head) <= len(first)):
            return value
    return whole


def choice_within(pieces: Sequence[str], choices: Sequence[tuple[str, Expression]]) -> tuple[str, ...]:
    """The letter of the only choice whose text stands in a sentence ("The temperature will decrease."); none where the rest denies it."""
    said = f" {' '.join(pieces)} "
    within = {f" {text.joined} ": letter for letter, text in choices if text.text and f" {text.joined} " in said}
    longest = [text for text in within if not any(text != other and text in other for other in within)]
    if len(longest) != 1 or len(longest[0].strip()) == 1 or has_cue(said.replace(longest[0], " ").split()):
        return ()
    return (within[longest[0]],)


def _says_another(sentence: str, value: Expression) -> bool:
    if _ARGUES.match(sentence):
        return False
    expression = read_expression(sentence)
    return expression.kind != "text" and same_expression(expression, value) is not True
