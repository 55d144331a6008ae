"""Puts one artifact: says "building", waits for a line on standard input, builds.

`builder.py ROOT [fork]`: with fork, a child of its own lives on while it builds, as a pool of workers would.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.recipe import Recipe
from tasks.store import Store

RECIPE = Recipe("curate", 1, {"limit": 3})


def main(root: Path, forks: bool) -> None:
    """Say what happens, line by line."""
    store = Store(root)

    def build(folder: Path) -> Mapping[str, Any]:
        (folder / "half.txt").write_text("ha")
        if forks and (child := os.fork()) == 0:
            sys.stdin.read()
            os._exit(0)
        elif forks:
            print(f"forked {child}", flush=True)
        (store.work_dir(RECIPE) / "checkpoint").write_text("step 1")
        print("building", flush=True)
        sys.stdin.readline()
        (folder / "half.txt").write_text("half a loaf, and the other half")
        return {"builder": os.getpid()}

    artifact = store.put(RECIPE, build, on_wait=lambda holder: print(f"waiting for {holder}", flush=True))
    print(f"has the artifact of {artifact.notes['builder']}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "fork" in sys.argv)
