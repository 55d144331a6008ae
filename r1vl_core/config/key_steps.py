"""The dials of key-step extraction, and of the teacher that may be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from r1vl_core.config.group import Dials


class Teacher(Dials):
    """A strong language model behind an OpenAI-compatible endpoint; its key comes from the environment: R1VL_TEACHER_API_KEY."""

    base_url: str
    """Where the endpoint is, up to and with its version: https://host/v1."""
    model: str = Field(min_length=1)
    """The model's name, as the endpoint knows it."""
    request: dict[str, Any] = Field(default_factory=lambda: {"temperature": 0.0})
    """Further fields of every request, e.g. reasoning_effort, or response_format = { type = "json_object" } where the endpoint has it."""
    max_answer_tokens: int = Field(2048, ge=1)
    """Tokens of one answer, at most."""
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Name of the request's field that says so; newer models of OpenAI want the second."""
    price_in: float = Field(0.0, ge=0)
    """What a million tokens asked cost, in any currency."""
    price_out: float = Field(0.0, ge=0)
    """What a million tokens answered cost, in the same currency."""
    max_tokens: int = Field(0, ge=0)
    """Tokens that may be used, asked and answered together, over all runs of one recipe; 0 means no limit."""
    max_cost: float = Field(0.0, ge=0)
    """What may be spent, in the prices' currency, over all runs of one recipe; 0 means no limit."""
    concurrency: int = Field(8, ge=1)
    """Requests under way at once, at most; fewer while the service turns some away."""
    timeout_s: float = Field(120.0, gt=0)
    """Seconds one request may take."""
    max_attempts: int = Field(6, ge=1)
    """Times a request is sent, at most, when the service is busy, breaks off or answers with what is no answer."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> Teacher:
        address = urlsplit(self.base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f'base_url "{self.base_url}" is no address; write it as https://host/v1')
        if address.username or address.password:
            raise ValueError("base_url holds a password; take it out and set R1VL_TEACHER_API_KEY in the environment")
        own = {"model", "messages", "stream", "n", "max_tokens", "max_completion_tokens"} & self.request.keys()
        if own:
            raise ValueError(f"request.{min(own)} is set by r1vl; use model, max_answer_tokens or token_limit")
        if self.max_cost and not (self.price_in or self.price_out):
            raise ValueError(f"max_cost {self.max_cost:g} needs prices to count with; set price_in and price_out")
        return self

    def identity(self, *left_out: str) -> dict[str, Any]:
        """What changes the answers: neither where the model is nor what it costs or how fast it is asked."""
        how = ("base_url", "price_in", "price_out", "max_tokens", "max_cost", "concurrency", "timeout_s", "max_attempts")
        return super().identity(*how, *left_out)


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
