"""A teacher that is a real language-model server: `transformers serve` with a tiny random model, which talks garbage."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from r1vl_core.config import Teacher
from r1vl_core.data.teacher.batch import Service, teach_all
from r1vl_core.data.teacher.cache import opened
from r1vl_core.data.teacher.lesson import Lesson
from tests.core.data.samples import question

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
pytestmark = pytest.mark.timeout(600)


def make_model(folder: Path) -> Path:
    """A random Qwen2 of two layers, with a token for each byte."""
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    wrapped.chat_template = TEMPLATE
    wrapped.save_pretrained(folder)
    config = Qwen2Config(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=8192,
        eos_token_id=2,
        pad_token_id=0,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Address and model name of a running server."""
    model = make_model(tmp_path / "tiny-teacher")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model), "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "NO_COLOR": "1"}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        lines = []
        for line in server.stdout:
            lines.append(line)
            if re.search("Uvicorn running|startup complete", line):
                break
        else:
            pytest.fail("transformers serve ended:\n" + "".join(lines[-20:]))
        yield f"http://127.0.0.1:{port}/v1", str(model)
    finally:
        server.terminate()
        server.communicate(timeout=60)


def test_a_real_server_s_garbage_is_paid_for_once_and_ends_in_the_fallback(served: tuple[str, str], tmp_path: Path) -> None:
    url, model = served
    dials = Teacher(base_url=url, model=model, max_answer_tokens=12, timeout_s=120, concurrency=1, price_in=1.0, price_out=1.0)
    for _ in range(2):
        lessons: dict[int, Lesson] = {}
        with opened(tmp_path / "teacher.duckdb") as cache:
            teach_all([question(0, text="How many?")], Service(dials, "", "recipe"), cache, 6, lessons.__setitem__)
            spent = cache.spent("recipe")
        lesson = lessons[0]
        assert (lesson.key_steps, lesson.reason) == ((), "invalid_answer")
        assert [call.key.prompt for call in lesson.calls] == ["extract", "repair"]
        assert spent == lesson.calls[0].answer.tokens + lesson.calls[1].answer.tokens
        assert spent.asked > 500
        assert 0 < spent.answered <= 2 * 12
    assert all(call.cached for call in lesson.calls)
