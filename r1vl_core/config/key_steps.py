"""The dials of key-step extraction, and of the teacher that may be asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from r1vl_core.config.chat_service import ChatService
from r1vl_core.config.group import Dials


class Teacher(ChatService):
    """A strong language model behind an OpenAI-compatible endpoint; its key comes from the environment: R1VL_TEACHER_API_KEY."""

    ROLE = "teacher"
    SETTINGS = "key_steps.teacher.%s"
    SPELLED: ClassVar[Mapping[str, str]] = {"model": "model"}
    KEY_VARIABLE = "R1VL_TEACHER_API_KEY"


class KeySteps(Dials):
    """Key-step extraction."""

    later = frozenset({"fallback", "teacher", "laid_over", "max_questions"})

    extractor: Literal["rules", "teacher"] = "rules"
    """Who extracts: the offline rules, or a teacher (three prompts a question, as in the paper)."""
    max_key_steps: int = Field(6, ge=1)
    """Key steps a question, at most."""
    max_questions: int = Field(0, ge=0)
    """Questions drawn for StepGRPO, by seed, source and weight, before key steps are made (the paper: 10,000); 0 means all."""
    fallback: Literal["rules", "reject"] = "rules"
    """What becomes of a question on which the teacher fails: the rules extract, or it is set aside."""
    teacher: Teacher | None = None
    """Who is asked, with extractor "teacher"."""
    laid_over: Path | None = None
    """JSON lines (R1-VL-10K, or id and key_steps) whose key steps take the place of extraction for the questions with their ids."""

    @model_validator(mode="after")
    def _has_teacher(self) -> KeySteps:
        if self.extractor == "teacher" and self.teacher is None:
            raise ValueError('extractor "teacher" needs [key_steps.teacher] with base_url and model')
        return self
