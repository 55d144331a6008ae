"""A language model that is asked many times: where it is, how it is asked, what it may cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from r1vl_core.config.group import Dials


class ChatService(Dials):
    """A language model behind an OpenAI-compatible endpoint, asked many times; its key comes from the environment alone."""

    ROLE: ClassVar[str]
    """What it is called in what people read."""
    SETTINGS: ClassVar[str]
    """Where its settings are made, with %s for a setting's name; those with a place of their own stand in `SPELLED`."""
    SPELLED: ClassVar[Mapping[str, str]] = {}
    """Settings that are made elsewhere, by name."""
    KEY_VARIABLE: ClassVar[str]
    """The environment variable that holds its key."""

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
    def _can_be_asked(self) -> ChatService:
        try:
            address = urlsplit(self.base_url)
            is_one = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0 and " " not in self.base_url
        except ValueError:  # a port that is no number or too large, half an IPv6 address
            is_one = False
        if not is_one:
            raise ValueError(f'base_url "{self.base_url}" is no address; write it as https://host/v1')
        if address.username or address.password:
            raise ValueError(f"base_url holds a password; take it out and set {self.KEY_VARIABLE} in the environment")
        own = {"model", "messages", "stream", "n", "max_tokens", "max_completion_tokens"} & self.request.keys()
        if own:
            raise ValueError(f"request.{min(own)} is set by r1vl; use model, max_answer_tokens or token_limit")
        if self.max_cost and not (self.price_in or self.price_out):
            raise ValueError(f"max_cost {self.max_cost:g} needs prices to count with; set price_in and price_out")
        return self

    @classmethod
    def setting(cls, name: str) -> str:
        """How people make a setting."""
        return cls.SPELLED.get(name) or cls.SETTINGS % name

    def identity(self, *left_out: str) -> dict[str, Any]:
        """What changes the answers: neither where the model is nor what it costs or how fast it is asked."""
        how = ("base_url", "price_in", "price_out", "max_tokens", "max_cost", "concurrency", "timeout_s", "max_attempts")
        return super().identity(*how, *left_out)


class Judge(ChatService):
    """Who extracts, or decides, where the rules of a benchmark cannot."""

    ROLE = "judge"
    SETTINGS = "--judge-set %s"
    SPELLED: ClassVar[Mapping[str, str]] = {"base_url": "--judge", "model": "--judge-model"}
    KEY_VARIABLE = "R1VL_JUDGE_API_KEY"

    max_answer_tokens: int = Field(256, ge=1)
    """Tokens of one answer, at most."""


class ServedModel(ChatService):
    """A model that is evaluated where it is served."""

    ROLE = "model"
    SETTINGS = "--endpoint-set %s"
    SPELLED: ClassVar[Mapping[str, str]] = {"base_url": "--endpoint", "model": "--model"}
    KEY_VARIABLE = "R1VL_ENDPOINT_API_KEY"

    request: dict[str, Any] = Field(default_factory=dict)
    """Further fields of every request, over those of the sampling; one that is null is not sent."""
    timeout_s: float = Field(600.0, gt=0)
    """Seconds one request may take."""
