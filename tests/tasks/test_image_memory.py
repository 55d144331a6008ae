"""The memory of pictures: never decoded twice, and never a reason for another result."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pytest

from r1vl_core.data.image_checker import ImageChecker
from r1vl_core.data.images import CheckedImage, ImageContent, ImageLimits, ImageProblem, check_image
from tasks.image_memory import StoredImageMemory
from tests.core.data.samples import Folder, bomb_png, encoded, picture

LIMITS = ImageLimits(min_side=28, max_pixels=2_000)
LARGER = ImageLimits(min_side=20, max_pixels=1_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def memory(tmp_path: Path) -> StoredImageMemory:
    return StoredImageMemory(tmp_path / "root" / "digests.sqlite")


def all_kinds(folder: Folder) -> list[tuple[Path, str]]:
    """Good, equal, small, large, narrow, broken, missing and foreign ones."""
    names = [folder.picture(f"{seed}.png", seed=seed) for seed in range(5)]
    names += [folder.picture("again.png", seed=3), folder.picture("sub/again.png", seed=3)]
    names += [folder.picture("small.png", encoded(picture(size=(24, 40)))), folder.picture("large.png", encoded(picture(size=(60, 60))))]
    names += [folder.picture("narrow.png", encoded(picture(size=(28 * 200, 28)))), folder.picture("bomb.png", bomb_png(40_000, 40_000))]
    names += [folder.picture("cut.png", encoded(picture())[:60]), folder.picture("empty.png", b""), folder.picture("empty2.png", b"")]
    return [(folder.images, name) for name in (*names, "none.png", "../images/0.png", "0.png")]


def checked(memory: StoredImageMemory | None, pictures: list[tuple[Path, str]], limits: ImageLimits = LIMITS) -> list[object]:
    with ImageChecker(limits, memory=memory) as checker:
        return list(checker.check(pictures))


def change(memory: StoredImageMemory, statement: str) -> None:
    with sqlite3.connect(memory.path) as database:
        database.execute(statement)
    database.close()


def num_remembered(memory: StoredImageMemory) -> int:
    with sqlite3.connect(memory.path) as database:
        return int(database.execute("SELECT count(*) FROM images").fetchone()[0])


@pytest.mark.parametrize("num_workers", [1, 2])
def test_results_are_those_of_each_picture_alone_remembered_or_not(folder: Folder, memory: StoredImageMemory, num_workers: int) -> None:
    pictures = all_kinds(folder) + [(folder.images, folder.picture(f"many/{seed}.png", seed=seed)) for seed in range(ImageChecker.SHARD)]
    for limits in (LIMITS, LARGER):  # a picture too large under one pair of limits, too small under the other, is not under both
        alone = [check_image(root, name, limits) for root, name in pictures]
        for _ in range(2):
            with ImageChecker(limits, num_workers, memory=memory) as checker:
                assert checker.check(pictures) == alone
    assert {type(one) for one in alone} == {CheckedImage, ImageProblem}


def test_a_picture_is_decoded_once_and_equal_files_together(folder: Folder, memory: StoredImageMemory) -> None:
    names = [folder.picture(name, seed=3) for name in ("a.png", "b.png", "sub/c.png")]
    checked(memory, [(folder.images, names[0]), (folder.images, names[1])])
    assert num_remembered(memory) == 1
    change(memory, "UPDATE images SET width = 4321")
    found = checked(memory, [(folder.images, name) for name in names])
    assert [one.width for one in found if isinstance(one, CheckedImage)] == [4321] * 3


def test_what_is_broken_is_remembered_too(folder: Folder, memory: StoredImageMemory) -> None:
    name = folder.picture("a.png", b"hello")
    checked(memory, [(folder.images, name)])
    change(memory, "UPDATE images SET detail = 'from the cache'")
    assert checked(memory, [(folder.images, name)]) == [ImageProblem(name, "broken_image", "from the cache")]


def test_a_file_that_changed_is_decoded_anew(folder: Folder, memory: StoredImageMemory) -> None:
    name = folder.picture("a.png", seed=1)
    before = checked(memory, [(folder.images, name)])
    folder.picture("a.png", seed=2)
    assert checked(memory, [(folder.images, name)]) == [check_image(folder.images, name, LIMITS)] != before


def test_other_decoders_see_for_themselves(folder: Folder, memory: StoredImageMemory) -> None:
    name = folder.picture("a.png")
    checked(memory, [(folder.images, name)])
    change(memory, "UPDATE images SET decoder = 'of last year', width = 4321")
    assert checked(memory, [(folder.images, name)]) == [check_image(folder.images, name, LIMITS)]


def test_a_damaged_cache_is_named_and_passed_over(folder: Folder, memory: StoredImageMemory, caplog: pytest.LogCaptureFixture) -> None:
    memory.path.parent.mkdir()
    memory.path.write_bytes(b"no database" * 100)
    pictures = all_kinds(folder)
    assert checked(memory, pictures) == [check_image(root, name, LIMITS) for root, name in pictures]
    assert f"picture cache {memory.path}: file is not a database; decoding every picture anew" in caplog.text


def test_digests_that_are_out_of_date_spoil_nothing(folder: Folder) -> None:
    """Between the digest and the reading a file may change: here two that were equal, of which one is another picture by now."""

    class OutOfDate:
        def digests(self, files: Sequence[Path]) -> Mapping[Path, str]:
            return dict.fromkeys(files, "digest of what they were")

        def recall(self, file_sha256s: Collection[str], max_pixels: int) -> Mapping[str, ImageContent]:
            return {}

        def remember(self, contents: Sequence[ImageContent], max_pixels: int) -> None:
            assert all(content.file_sha256 != "digest of what they were" for content in contents)

    pictures = [(folder.images, folder.picture(f"{seed}.png", seed=seed)) for seed in range(3)]
    with ImageChecker(LIMITS, memory=OutOfDate()) as checker:
        assert checker.check(pictures) == [check_image(root, name, LIMITS) for root, name in pictures]
