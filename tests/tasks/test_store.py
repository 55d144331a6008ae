"""What the store finds is whole, whoever died while writing it."""

import errno
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.mending import audit, collect_garbage, repair
from tasks.recipe import Recipe
from tasks.store import Artifact, Store, StoreError, Verify

RECIPE = Recipe("curate", 1, {"limit": 3})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "root")


def writes(text: str, notes: Mapping[str, Any] | None = None, name: str = "data.txt") -> Callable[[Path], Mapping[str, Any] | None]:
    def build(folder: Path) -> Mapping[str, Any] | None:
        (folder / "deep").mkdir()
        (folder / "deep" / name).write_text(text)
        return notes

    return build


def unwanted(folder: Path) -> None:
    raise AssertionError(f"built again: {folder}")


def files_of(store: Store) -> list[str]:
    return sorted(path.relative_to(store.root).as_posix() for path in store.root.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_an_artifact_is_built_once_and_found_again(store: Store) -> None:
    assert store.get(RECIPE) is None
    built = store.put(RECIPE, writes("hello", {"rows": 3}))
    again = store.put(RECIPE, unwanted)
    assert built == again == store.get(RECIPE, verify="digest") == store.latest("curate")
    assert (built.path / "deep" / "data.txt").read_text() == "hello"
    assert built.path == store.root / "objects" / "curate" / built.digest
    assert built.notes == {"rows": 3}
    assert built.made["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert files_of(store) == [
        f"keys/{RECIPE.key}.json",
        *(f"objects/curate/{built.digest}/{name}" for name in ("deep/data.txt", "record.json")),
    ]
    assert audit(store, "digest") == []


def test_another_recipe_with_the_same_content_shares_the_folder(store: Store) -> None:
    other = Recipe("curate", 2, {})
    first, second = store.put(RECIPE, writes("same")), store.put(other, writes("same"))
    assert (first.digest, first.path) == (second.digest, second.path)
    assert (first.recipe, second.recipe) == (RECIPE, other)


def test_a_file_whose_bytes_wander_is_known_by_its_content(store: Store) -> None:
    meaning = {"content": {"deep/rows.duckdb": "ab" * 32}}
    first = store.put(RECIPE, writes("bytes of today", meaning, "rows.duckdb"))
    again = store.put(RECIPE, writes("bytes of tomorrow", meaning, "rows.duckdb"), force=True)
    assert first.digest == again.digest
    assert store.get(RECIPE, verify="digest") is not None
    (again.path / "deep" / "rows.duckdb").write_text("BYTES OF TODAY")
    assert store.get(RECIPE, verify="digest") is None


@pytest.mark.parametrize("content", [{"absent.duckdb": "ab" * 32}, {"deep/data.txt": "short"}])
def test_a_content_digest_that_fits_no_file_is_refused(store: Store, content: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="content digest"):
        store.put(RECIPE, writes("x", {"content": content}))
    assert store.get(RECIPE) is None


def test_force_builds_anew_and_from_nothing(store: Store) -> None:
    store.put(RECIPE, writes("old"))
    (store.work_dir(RECIPE) / "checkpoint").write_text("step 7")

    def build(folder: Path) -> None:
        assert list(store.work_dir(RECIPE).iterdir()) == []
        (folder / "data.txt").write_text("new")

    forced = store.put(RECIPE, build, force=True)
    assert store.get(RECIPE) == forced
    assert [path.name for path in collect_garbage(store)] != [forced.digest]
    assert store.get(RECIPE, verify="digest") == forced
    assert os.listdir(store.root / "objects" / "curate") == [forced.digest]


def test_scratch_outlives_a_failed_build_and_goes_with_a_good_one(store: Store) -> None:
    def fails(folder: Path) -> None:
        (store.work_dir(RECIPE) / "checkpoint").write_text("step 7")
        raise RuntimeError("out of luck")

    def resumes(folder: Path) -> None:
        (folder / "data.txt").write_text((store.work_dir(RECIPE) / "checkpoint").read_text())

    with pytest.raises(RuntimeError, match="out of luck"):
        store.put(RECIPE, fails)
    assert store.get(RECIPE) is None
    assert audit(store) == []
    assert (store.put(RECIPE, resumes).path / "data.txt").read_text() == "step 7"
    assert os.listdir(store.root / "work") == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


@pytest.mark.parametrize(
    ("harm", "name"), [(cut, "model.safetensors"), (Path.unlink, "model.safetensors"), (flip, "model.safetensors"), (flip, "a.txt")]
)
def test_a_broken_artifact_is_absent_and_is_built_anew(store: Store, harm: Callable[[Path], None], name: str) -> None:
    artifact = store.put(RECIPE, writes("weights", name=name))
    harm(artifact.path / "deep" / name)
    levels: tuple[Verify, ...] = ("size", "safetensors", "digest")
    seen = {verify: store.get(RECIPE, verify) is None for verify in levels}
    by_size = harm is not flip
    assert seen == {"size": by_size, "safetensors": by_size or name.endswith(".safetensors"), "digest": True}
    (fault, *_) = audit(store, "digest")
    assert fault.kind == "broken_artifact"
    assert name in fault.detail
    assert (store.defect(RECIPE) is not None) == by_size
    assert store.put(RECIPE, writes("weights", name=name), force=not by_size) == store.get(RECIPE, "digest")
    assert audit(store, "digest") == []


def test_repair_removes_what_audit_finds(store: Store) -> None:
    artifact = store.put(RECIPE, writes("weights"))
    cut(artifact.path / "deep" / "data.txt")
    (store.root / "keys" / f"{'0' * 64}.json").write_text("{}")
    (store.root / "keys" / ".x.json.999999999").write_text("{")
    found = repair(store)
    assert sorted(fault.kind for fault in found) == ["broken_artifact", "dangling_key", "dangling_key", "leftover_file"]
    assert audit(store) == []
    assert files_of(store) == []


def test_a_key_file_of_another_recipe_is_not_believed(store: Store) -> None:
    store.put(RECIPE, writes("x"))
    other = Recipe("curate", 9, {})
    os.rename(store.key_path(RECIPE.key), store.key_path(other.key))
    assert store.get(other) is None
    assert store.defect(other) is not None


def test_a_machine_that_stops_at_any_moment_leaves_nothing_half(tmp_path: Path) -> None:
    """The child dies, without any cleaning up, at its n-th call to the operating system, for every n."""
    moment, finished = 0, False
    while not finished:
        moment += 1
        store = Store(tmp_path / str(moment))
        if (child := os.fork()) == 0:
            _put_and_die_at(moment, store)
        finished = os.waitpid(child, 0)[1] == 0
        found = store.get(RECIPE, verify="digest")
        assert found is None or (found.path / "deep" / "data.txt").read_text() == "hello"
        assert found is not None or not finished
        assert not [fault for fault in audit(store, "digest") if fault.kind in ("broken_artifact", "dangling_key")]
        repair(store)
        collect_garbage(store)
        assert store.put(RECIPE, writes("hello")) == store.get(RECIPE, verify="digest")
        assert audit(store, "digest") == []
    assert moment > 30


def _put_and_die_at(moment: int, store: Store) -> None:
    calls = iter(range(1, moment))

    def hook(event: str, arguments: object) -> None:
        if event.split(".")[0] in ("open", "os", "shutil", "fcntl") and next(calls, None) is None:
            os._exit(9)

    sys.addaudithook(hook)
    store.put(RECIPE, writes("hello"))
    os._exit(0)


def test_a_full_disk_is_one_clear_message(store: Store) -> None:
    def fill(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        with open("/dev/full", "w") as full:
            full.write("x" * 100_000)

    with pytest.raises(StoreError, match="No space left on device; free some space"):
        store.put(RECIPE, fill)
    assert files_of(store) == []


def test_a_library_that_hides_the_full_disk_is_understood(store: Store) -> None:
    def fill(folder: Path) -> None:
        raise RuntimeError("SafetensorError: I/O error: No space left on device (os error 28)")

    with pytest.raises(StoreError, match="free some space"):
        store.put(RECIPE, fill)


@pytest.mark.parametrize("root", [Path("/sys/r1vl"), Path(__file__) / "root"])
def test_a_root_that_cannot_be_written_is_one_clear_message(root: Path) -> None:
    with pytest.raises(StoreError, match="choose another root") as caught:
        Store(root).put(RECIPE, unwanted)
    assert caught.value.path in (root, *root.parents, root / "locks")


def test_an_error_of_the_stage_itself_passes(store: Store) -> None:
    def fails(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere/else")

    with pytest.raises(PermissionError, match="somewhere") as caught:
        store.put(RECIPE, fails)
    assert not isinstance(caught.value, StoreError)


@pytest.mark.parametrize("name", ["link", "record.json"])
def test_links_and_the_records_own_name_are_refused(store: Store, name: str) -> None:
    def build(folder: Path) -> None:
        if name == "link":
            (folder / name).symlink_to("/etc/hostname")
        else:
            (folder / name).write_text("mine")

    with pytest.raises(ValueError, match=name):
        store.put(RECIPE, build)
    assert files_of(store) == []


def test_the_nearest_artifact_explains_a_change_best(store: Store) -> None:
    def put(seed: int, alpha: float) -> Artifact:
        return store.put(Recipe("stepgrpo", 1, {"alpha": alpha, "seed": seed}), writes(f"{seed} {alpha}"))

    first, last = put(0, 0.1), put(2, 0.1)
    assert store.latest("stepgrpo") == last
    wanted = Recipe("stepgrpo", 1, {"alpha": 0.2, "seed": 0})
    near = store.nearest(wanted)
    assert near == first
    assert near.recipe.first_difference(wanted) == "settings.alpha: 0.1 -> 0.2"
    assert store.nearest(RECIPE) is None
