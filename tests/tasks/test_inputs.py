"""A raw input is its content: not its name's place, not its time stamps; and the cache never tells an old digest."""

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.inputs import DigestCache, Inputs


@pytest.fixture
def cache(tmp_path: Path) -> DigestCache:
    (tmp_path / "root").mkdir()
    return DigestCache(tmp_path / "root" / "digests.sqlite")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "deep" / "weights").write_text("1 2 3")
    return folder


def remembered(cache: DigestCache) -> int:
    with sqlite3.connect(cache.path) as database:
        return int(database.execute("SELECT count(*) FROM digests").fetchone()[0])


def age(path: Path) -> None:
    """Give a file an old time stamp; its change of status stays new, so the cache must not trust it."""
    os.utime(path, ns=(1_000_000_000, 1_000_000_000))


def test_a_files_digest_is_its_sha256(cache: DigestCache, tree: Path) -> None:
    assert cache.file(tree / "config.json") == hashlib.sha256(b"{}").hexdigest()


def test_a_file_changed_a_moment_ago_is_never_remembered(cache: DigestCache, tree: Path) -> None:
    path = tree / "config.json"
    first = cache.file(path)
    path.write_text("[]")
    age(path)
    assert cache.file(path) != first


def test_a_root_that_is_not_there_is_not_made_by_looking_at_it(tmp_path: Path) -> None:
    settled = Path(hashlib.__file__)
    assert DigestCache(tmp_path / "root" / "digests.sqlite").file(settled) == hashlib.sha256(settled.read_bytes()).hexdigest()
    assert list(tmp_path.iterdir()) == []


def test_a_settled_file_is_read_once(cache: DigestCache) -> None:
    settled = Path(hashlib.__file__)
    assert time.time() - settled.stat().st_ctime > 2
    digest = cache.file(settled)
    assert remembered(cache) == 1
    with sqlite3.connect(cache.path) as database:
        database.execute("UPDATE digests SET sha256 = 'from the cache'")
    assert cache.file(settled) == "from the cache"
    with sqlite3.connect(cache.path) as database:
        database.execute("UPDATE digests SET stat = 'of another day'")
    assert cache.file(settled) == digest


def test_a_folder_is_its_files_names_and_contents(cache: DigestCache, tree: Path, tmp_path: Path) -> None:
    before = cache.folder(tree)
    moved = tree.rename(tmp_path / "elsewhere")
    (moved / ".cache").mkdir()
    (moved / ".cache" / "when").write_text("today")
    age(moved / "config.json")
    assert cache.folder(moved) == before
    (moved / "config.json").rename(moved / "settings.json")
    assert cache.folder(moved) != before


def test_links_count_as_what_they_point_to(cache: DigestCache, tree: Path, tmp_path: Path) -> None:
    before = cache.folder(tree)
    (tree / "deep" / "weights").rename(tmp_path / "blob")
    (tree / "deep" / "weights").symlink_to(tmp_path / "blob")
    assert cache.folder(tree) == before
    (tree / "deep").rename(tmp_path / "far")
    (tree / "deep").symlink_to(tmp_path / "far")
    assert cache.folder(tree) == before


def test_a_folder_that_links_back_is_refused(cache: DigestCache, tree: Path) -> None:
    (tree / "deep" / "up").symlink_to(tree)
    with pytest.raises(ValueError, match="links back"):
        cache.folder(tree)


def test_what_cannot_be_read_is_named(cache: DigestCache, tree: Path) -> None:
    (tree / "dead").symlink_to(tree / "gone")
    wrong: list[tuple[Callable[[Path], str], Path, str]] = [
        (cache.file, tree / "absent", "no such file"),
        (cache.folder, tree / "absent", "no such folder"),
        (cache.file, tree, "this is a folder"),
        (cache.folder, tree / "config.json", "this is a file"),
        (cache.folder, tree, "a link to nothing"),
    ]
    for digest, path, problem in wrong:
        with pytest.raises(ValueError, match=problem):
            digest(path)


def test_a_spoiled_cache_costs_time_only(cache: DigestCache, tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.path.write_text("this is no database, but long enough to be taken for one" * 100)
    assert cache.file(tree / "config.json") == hashlib.sha256(b"{}").hexdigest()
    assert "delete it" in caplog.text


@pytest.mark.parametrize("has_cache", [False, True])
def test_a_root_that_may_only_be_read_costs_time_only_and_no_words(
    cache: DigestCache, tree: Path, caplog: pytest.LogCaptureFixture, has_cache: bool
) -> None:
    settled = Path("/etc/passwd")  # anyone may read it
    if has_cache:
        cache.file(Path(hashlib.__file__))
        cache.path.chmod(0o444)
    cache.path.parent.chmod(0o555)
    user = os.geteuid()
    for folder in list(cache.path.parents)[1:5]:
        folder.chmod(folder.stat().st_mode | 0o055)
    if user == 0:
        os.seteuid(65534)  # permissions mean nothing to root
    try:
        assert cache.file(settled) == hashlib.sha256(settled.read_bytes()).hexdigest()
    finally:
        os.seteuid(user)
        cache.path.parent.chmod(0o755)
    assert caplog.text == ""


def test_inputs_hold_upstream_digests_and_raw_ones(cache: DigestCache, tree: Path) -> None:
    inputs = Inputs({"curate": "3f2a"}, cache)
    assert dict(inputs) == {"curate": "3f2a"}
    assert inputs.folder(tree) == cache.folder(tree)
    assert inputs.file(tree / "config.json") == cache.file(tree / "config.json")
