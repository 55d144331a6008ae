"""Small real things for the data tests: pictures on disk, records, reasoning paths, files in the users' formats."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from r1vl_core.config import Curate, Source
from r1vl_core.data.curate import Checks
from r1vl_core.data.readers import read_records
from r1vl_core.reasoning.paths import render
from r1vl_core.records import Question, RawRecord, Rejected


def path(answer: str = "12") -> str:
    """A valid reasoning path; an empty answer gives one that ends with the bare header."""
    text = render("A board with 5 and 7.", "Add them.", ["The digits are 5 and 7.", "5 + 7 = 12"], answer or "x")
    return text if answer else text.removesuffix("x")


def picture(seed: int = 0, size: tuple[int, int] = (32, 32), mode: str = "RGB") -> Image.Image:
    """A picture with every pixel decided by `seed`, no two rows alike."""
    red = Image.linear_gradient("L").resize(size)
    green = red.rotate(90)
    blue = Image.new("L", size, seed % 256)
    return Image.merge("RGB", (red, green.resize(size), blue)).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    """The bytes of a picture file."""
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def bomb_png(width: int, height: int) -> bytes:
    """A PNG of some dozen bytes whose header promises a picture of this size."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)  # one bit a pixel
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def record(user: Any = "<image>What is the sum?", assistant: Any = None, images: Any = "0.png") -> dict[str, Any]:
    """A Mulberry-SFT record."""
    assistant = path() if assistant is None else assistant
    return {"messages": [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}], "images": images}


@dataclass
class Curated:
    """What curation made of the records, both in the order they were read."""

    questions: list[Question]
    rejected: list[Rejected]

    @classmethod
    def of(cls, outcomes: Iterable[Question | Rejected]) -> Curated:
        """Sort outcomes by what became of them."""
        rows = list(outcomes)
        return cls([one for one in rows if isinstance(one, Question)], [one for one in rows if isinstance(one, Rejected)])

    @property
    def num_read(self) -> int:
        """Records read."""
        return len(self.questions) + len(self.rejected)


class Folder:
    """A user's folder: one training file and its pictures."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = root / "images"
        self.images.mkdir()

    def picture(self, name: str, data: bytes | None = None, seed: int = 0) -> str:
        """Write a picture file; a good one unless `data` says otherwise."""
        target = self.images / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encoded(picture(seed)) if data is None else data)
        return name

    def source(self, content: str | bytes | list[Any], name: str = "train.json") -> Source:
        """Write the training file: text as it is, a list as one JSON array."""
        file = self.root / name
        text = json.dumps(content, ensure_ascii=False) if isinstance(content, list) else content
        file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        return Source(name="mine", path=file, images=self.images)

    def read(self, content: str | bytes | list[Any], name: str = "train.json") -> list[RawRecord]:
        """Write a training file and read it back."""
        return list(read_records(self.source(content, name)))

    def checks(self, settings: Curate | None = None, **changes: Any) -> Checks:
        """Checks with a tokenizer that counts words."""
        parts: dict[str, Any] = {
            "settings": settings or Curate(),
            "image_roots": {"mine": self.images},
            "count_prompt_tokens": lambda question, width, height: len(question.text.split()) + width * height // 784,
            "count_path_tokens": lambda text: len(text.split()),
        }
        return Checks(**{**parts, **changes})


def question(number: int, **changes: Any) -> Question:
    """A question with every column filled."""
    parts: dict[str, Any] = {
        "id": f"{number:016x}",
        "source": "mine",
        "image": f"{number}.png",
        "image_sha256": f"{number:064x}",
        "text": f"How many, {number}? ½ \x00 \U0001f600",
        "choices": (("A", "12"), ("B", "15")) if number % 2 else (),
        "answer": "12",
        "reference_path": path(),
        "key_steps": (("5 + 7 = 12", "5 plus 7 equals 12"), ("12",)),
    }
    return Question(**{**parts, **changes})
