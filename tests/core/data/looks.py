"""Pictures of the kinds that people's data holds, generated: photographs, charts, drawings of geometry, boards of digits."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw


def board(seed: int) -> Image.Image:
    """A board of the bundled world, 2x2 or 3x3 digits in turn."""
    from r1vl_core.handwriting.boards import draw_board, render_board  # brings scikit-learn, which workers need not load

    rng = np.random.default_rng(seed)
    return render_board(draw_board(rng, 2 + seed % 2, "train"), rng)


def photo(seed: int, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Coloured noise at every scale, the coarse ones strongest, as photographs have it."""
    rng = np.random.default_rng(seed)
    width, height = size
    pixels = rng.normal(128, 4, size=(height, width, 3))
    for num_cells in (6, 12, 24, 48, 96, 240):
        cells = rng.normal(size=(3, num_cells, num_cells * 4 // 3)).astype(np.float32) * 60 / (num_cells / 6) ** 0.6
        for channel in range(3):
            pixels[..., channel] += np.asarray(Image.fromarray(cells[channel]).resize(size, Image.Resampling.BICUBIC))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def chart(seed: int) -> Image.Image:
    """A bar chart with axes, labels and a title."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (600, 400), "white")
    draw = ImageDraw.Draw(image)
    draw.line((50, 20, 50, 360, 580, 360), fill="black", width=2)
    num_bars = int(rng.integers(4, 9))
    for bar in range(num_bars):
        left = 70 + bar * 500 // num_bars
        colour = tuple(int(level) for level in rng.integers(0, 220, size=3))
        draw.rectangle((left, 360 - int(rng.integers(20, 320)), left + 300 // num_bars, 360), fill=colour)
        draw.text((left, 365), str(2000 + bar), fill="black")
    draw.text((200, 5), f"Sales {rng.integers(9999)}", fill="black")
    return image


def drawing(seed: int) -> Image.Image:
    """A triangle or quadrangle with named corners and an angle, black on white."""
    rng = np.random.default_rng(seed)
    image = Image.new("L", (400, 300), 255)
    draw = ImageDraw.Draw(image)
    corners = [(int(rng.integers(40, 360)), int(rng.integers(30, 270))) for _ in range(3 + seed % 2)]
    draw.polygon(corners, outline=0)
    for name, (x, y) in zip("ABCD", corners, strict=False):
        draw.text((x + 5, y - 12), name, fill=0)
    draw.text((180, 150), f"{rng.integers(90)}°", fill=0)
    return image.convert("RGB")
