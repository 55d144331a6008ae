"""A chat endpoint on loopback that does what a test tells it to: answers well, badly, slowly, or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from r1vl_core.config import Teacher
from r1vl_core.data.extract import extract_key_steps
from r1vl_core.reasoning.paths import parse


@dataclass(frozen=True)
class Reply:
    """What goes over the wire; `promised` is a Content-Length other than the body's own, `endless` repeats the body for ever,
    `pause_s` seconds apart."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None
    endless: bool = False
    pause_s: float = 0.0


Respond = Callable[[dict[str, Any], int], Reply]


def says(text: str | None, finish: str = "stop", refusal: str | None = None, usage: tuple[int, int] | None = (100, 20)) -> Reply:
    """A chat completion, as a good endpoint gives it."""
    message = {"role": "assistant", "content": text, "refusal": refusal}
    body: dict[str, Any] = {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return Reply(json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def fails(status: int, said: str = "no", **headers: str) -> Reply:
    """An error, as OpenAI spells it; header names with _ for -."""
    body = {"error": {"message": said, "type": "error", "code": None}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps(body).encode(), status, {"Content-Type": "application/json", **named})


def which(request: dict[str, Any]) -> str:
    """The prompt that a request was rendered from."""
    first = request["messages"][0]["content"]
    return "extract" if "List the key steps" in first else "refine" if "Shorten each" in first else "augment"


def good_teacher(request: dict[str, Any], number: int) -> Reply:
    """A teacher that finds the two key steps of `tests.core.data.samples.path`."""
    answers: dict[str, Any] = {
        "extract": {"key_steps": ["the digits are 5 and 7", "5 + 7 = 12"]},
        "refine": {"key_steps": ["5 and 7", "5 + 7 = 12"]},
        "augment": {"forms": [["7 and 5"], ["7 plus 5 equals 12", "5 + 7 = 13"]]},
    }
    return says(json.dumps(answers[which(request)]))


def rule_teacher(request: dict[str, Any], number: int) -> Reply:
    """A teacher for any question: it says what the rules would."""
    text = request["messages"][0]["content"]
    if which(request) == "augment":
        return says(json.dumps({"forms": [[] for line in text.partition("Key steps:\n")[2].splitlines()]}))
    found = extract_key_steps(parse(text.partition("Reasoning path:\n")[2]), 4)
    return says(json.dumps({"key_steps": [forms[0] for forms in found]}))


class ChatServer:
    """The running server: its address, and every request in the order in which it came, with its headers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()

    def note(self, request: dict[str, Any], headers: dict[str, str]) -> int:
        """Remember a request; its number, from 1."""
        with self._lock:
            self.requests.append(request)
            self.headers.append(headers)
            return len(self.requests)

    def teacher(self, **dials: Any) -> Teacher:
        """A preset's teacher at this address."""
        return Teacher(**{"base_url": self.url, "model": "teacher-1", "price_in": 1.0, "price_out": 5.0, "timeout_s": 30.0, **dials})


@contextmanager
def serving(respond: Respond = good_teacher) -> Iterator[ChatServer]:
    """A server on a free port of loopback, ended with the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            number = chat.note(request, {name.lower(): value for name, value in self.headers.items()})
            with suppress(ConnectionError):  # whoever asked may be gone
                self._send(respond(request, number))

        def _send(self, reply: Reply) -> None:
            if reply.status == 0:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if not reply.endless:
                self.send_header("Content-Length", str(len(reply.body) if reply.promised is None else reply.promised))
            self.end_headers()
            self.wfile.write(reply.body)
            while reply.endless and not chat.closing.wait(reply.pause_s):
                self.wfile.write(reply.body)
            self.close_connection = reply.endless or reply.promised is not None

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    chat = ChatServer(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield chat
    finally:
        chat.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


DROPPED = Reply(status=0)
"""The connection is closed without a word."""
