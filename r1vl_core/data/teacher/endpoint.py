"""One request to an OpenAI-compatible chat endpoint, and what became of it.

The official client builds and sends the request; its own retries are off. What comes back is read here, up to a limit, and checked: a
service may answer with a proxy's page, half a body, or one that never ends.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
from pydantic import BaseModel, Field, ValidationError

from r1vl_core.config import ChatService
from r1vl_core.data.teacher.budget import TeacherStopped, Tokens
from r1vl_core.data.teacher.pace import retry_after

MAX_BODY = 8 * 2**20
"""Bytes of a response that are read; no answer of words comes near."""


_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
_BUSY = frozenset((408, 409, 425, 429))
_SHOWN = 200


class Busy(Exception):
    """No answer this time, and another try may have one; `pause` is what the service asks everybody to wait, in seconds."""

    def __init__(self, problem: str, pause: float | None = None) -> None:
        super().__init__(problem)
        self.pause = pause


class NotThere(Busy):
    """Nothing took the connection: the service is not running, or its address is wrong."""


class Refused(Exception):
    """The service will not answer this request, however often it is asked."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote, why it ended, and the tokens it took (None where the service does not say).

    `finish` is the service's own word ("stop", "length", …), "refusal" where the model declined, "nothing" where there is no text.

    >>> Completion("{}", "stop", Tokens(12, 3)).finish
    'stop'
    """

    text: str
    finish: str
    tokens: Tokens | None


class ChatEndpoint:
    """An open connection to a service; made by `connected`."""

    def __init__(self, dials: ChatService, key: str, client: openai.AsyncOpenAI) -> None:
        self._dials, self._key, self._client = dials, key, client

    async def complete(self, messages: Sequence[Mapping[str, Any]], further: Mapping[str, Any] | None = None) -> Completion:
        """One answer; `further` are fields of this request alone; a field that is None is not sent.

        Raises Busy, NotThere where nothing listens, Refused, ValueError for what the user must mend, TeacherStopped when there is no
        credit left.
        """
        body = {**request_body(self._dials, messages), **(further or {})}
        body = {name: value for name, value in body.items() if value is not None}
        headers: dict[str, str | openai.Omit] = {"Accept-Encoding": "identity", **({} if self._key else {"Authorization": openai.Omit()})}
        try:
            async with asyncio.timeout(self._dials.timeout_s):
                response = await self._client.post("/chat/completions", cast_to=httpx2.Response, body=body, options={"headers": headers})
        except (TimeoutError, openai.APITimeoutError):
            raise Busy(f"no answer within {self._dials.timeout_s:g} s") from None
        except _Unreadable as problem:
            raise Refused(str(problem)) from None
        except openai.APIConnectionError as error:
            raise self._unconnected(error.__cause__ or error) from None
        except openai.APIStatusError as error:
            raise self._understood(error) from None
        try:
            return _read(response.content)
        except ValueError as problem:
            said = self._plain(response.content[:_SHOWN].decode("utf-8", "replace"))
            raise Busy(f"answered with what is no chat completion ({problem}): {said!r:.80}") from None

    def _unconnected(self, error: BaseException) -> Exception:
        said, tls = f"{type(error).__name__}: {self._plain(error)}", _tls_error(error)
        if isinstance(tls, ssl.SSLCertVerificationError) or (tls is not None and tls.reason in _NO_TLS):
            dials = self._dials  # no other try would end otherwise
            how = "its certificate is not trusted" if isinstance(tls, ssl.SSLCertVerificationError) else "it speaks no TLS"
            return ValueError(f"the {dials.ROLE} at {dials.base_url}: {how} ({said}); check {dials.setting('base_url')}")
        return (NotThere if isinstance(error, httpx2.ConnectError) else Busy)(f"connection failed ({said})")

    def _understood(self, error: openai.APIStatusError) -> Exception:
        status, words = error.status_code, self._plain(_message(error))
        said = f"answered {status}: {words}" if words else f"answered {status}"
        dials, who = self._dials, f"the {self._dials.ROLE}"
        if error.code == "insufficient_quota" or status == 402:
            return TeacherStopped(f"{who} {said}; every answer is kept: see to the account's credit and run again to go on")
        if status in _BUSY or status >= 500:
            return Busy(said, retry_after(error.response.headers))
        if status in (401, 403):
            how = "refuses the key" if self._key else "wants a key"
            return ValueError(f"{who} at {dials.base_url} {how}: set {dials.KEY_VARIABLE} to a valid one ({said})")
        if status in (404, 405) or status < 400:
            where = f"{dials.setting('base_url')} {dials.base_url} and {dials.setting('model')} {dials.model}"
            return ValueError(f"{who} {said}; check {where}")
        return Refused(said)

    def _plain(self, text: object) -> str:
        """A service's own words on one line, without what steers a terminal, cut; some repeat the key."""
        line = "".join(one if one.isprintable() else " " for one in str(text))
        line = " ".join(line.split())
        line = line.replace(self._key, "…") if self._key else line
        return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


def request_body(dials: ChatService, messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The request as it is sent; all of it is the identity of its answer."""
    return {**dials.request, "model": dials.model, "messages": messages, dials.token_limit: dials.max_answer_tokens}


def not_there(dials: ChatService, problem: str) -> str:
    """What to tell where nothing took the first connection: that is no matter of waiting."""
    return f"no {dials.ROLE} at {dials.base_url}: {problem}; start it there, or correct {dials.setting('base_url')}"


@asynccontextmanager
async def connected(dials: ChatService, key: str) -> AsyncIterator[ChatEndpoint]:
    """A connection to the endpoint that the dials name, with `key` ("" sends none)."""
    organisation = {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}  # an account's of OpenAI, set for other programs
    limits = httpx2.Limits(max_connections=dials.concurrency, max_keepalive_connections=dials.concurrency)
    async with openai.AsyncOpenAI(
        api_key=key or "none",
        base_url=dials.base_url,
        max_retries=0,
        timeout=dials.timeout_s,
        default_headers=organisation,  # type: ignore[arg-type]
        http_client=openai.DefaultAsyncHttpxClient(limits=limits, event_hooks={"response": [_limit]}, follow_redirects=False),
    ) as client:
        yield ChatEndpoint(dials, key, client)


class _Unreadable(Exception):
    """A body that is not read to its end."""


async def _limit(response: httpx2.Response) -> None:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):  # a compressed body may unpack to a thousand times its size
        raise _Unreadable(f"the body is compressed ({encoding}) though it was asked not to be")
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Limited(response.stream)


class _Limited(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        num_bytes = 0
        async for chunk in self._stream:
            num_bytes += len(chunk)
            if num_bytes > MAX_BODY:
                raise _Unreadable(f"the answer is larger than {MAX_BODY // 2**20} MiB")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0, le=2**40)
    completion_tokens: int = Field(ge=0, le=2**40)


class _Body(BaseModel):
    choices: list[_Choice]
    usage: Any = None


def _read(content: bytes) -> Completion:
    """What a body says. Raises ValueError for one that is no chat completion."""
    try:
        body = _Body.model_validate_json(_spellable(content.removeprefix(codecs.BOM_UTF8)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place + ': ' if place else ''}{first['msg']:.80}") from None
    tokens = _counted(body.usage)
    if not body.choices:
        return Completion("", "nothing", tokens)
    choice = body.choices[0]
    if choice.message.refusal or choice.finish_reason == "content_filter":
        return Completion(choice.message.refusal or choice.message.content or "", "refusal", tokens)
    text = choice.message.content or ""
    return Completion(text, (choice.finish_reason or "stop") if text.strip() else "nothing", tokens)


def _spellable(content: bytes) -> bytes:
    """Half a surrogate pair, which JSON can escape and UTF-8 cannot spell, made a question mark; what is no JSON as it is."""
    if b"\\ud" not in content.lower():
        return content
    try:
        return json.dumps(json.loads(content), ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return content


def _counted(usage: Any) -> Tokens | None:
    """Tokens as the service counts them; None where it counts none, or what makes no sense: the answer is none the worse for it."""
    try:
        counted = _Usage.model_validate(usage)
    except ValidationError:
        return None
    return Tokens(counted.prompt_tokens, counted.completion_tokens)


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error


def _message(error: openai.APIStatusError) -> str:
    body, moved = error.body, error.response.headers.get("location")
    if moved and error.status_code < 400:
        return f"moved to {moved}"
    return str(body["message"]) if isinstance(body, dict) and body.get("message") else error.response.text
