"""A trainer that fails in its first process, of a fault of its own or (`failing.py segfault`) without a word; the others wait."""

import os
import signal
import sys

from torch import distributed
from torch.distributed.elastic.multiprocessing.errors import record


@record
def main(manner: str) -> None:
    """As our trainer does: what goes wrong goes on its way."""
    print("step 1", flush=True)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # all have said so before one fails and the others are ended for it
        distributed.init_process_group("gloo")
        distributed.barrier()
    if os.environ.get("RANK", "0") != "0":
        signal.pause()
    if manner == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    try:
        raise KeyError("the cause")
    except KeyError as cause:
        raise RuntimeError("the reason") from cause


if __name__ == "__main__":
    main(sys.argv[-1])
