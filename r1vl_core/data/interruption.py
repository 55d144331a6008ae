"""Ctrl-C while DuckDB computes.

DuckDB looks for signals only where its calling thread happens to come by, and a long aggregate lets it wait instead; so a thread beside it
hears of them, and interrupts the connection.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb

_AGAIN_S = 0.02
"""An interrupt that comes before a query has begun is forgotten by DuckDB: it is said again so often, until the block is left."""
_NOTICED = "Query interrupted"
"""What DuckDB's RuntimeError says where it saw the signal itself; Python's KeyboardInterrupt is lost in it."""


@contextmanager
def interruptible(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """A block in which Ctrl-C ends whatever the connection computes: KeyboardInterrupt, at once.

    Signals are the main thread's alone; in any other this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ears, signals = socket.socketpair()
    signals.setblocking(False)  # Python asks for that
    has_left = threading.Event()
    listener = threading.Thread(target=_listen, args=(ears, connection, has_left), name="ctrl-c", daemon=True)
    before = signal.set_wakeup_fd(signals.fileno(), warn_on_full_buffer=False)
    try:
        listener.start()
        yield
    except (duckdb.InterruptException, RuntimeError) as error:
        if isinstance(error, duckdb.InterruptException) or str(error) == _NOTICED:
            raise KeyboardInterrupt from None
        raise
    finally:
        has_left.set()
        signal.set_wakeup_fd(before)
        signals.close()  # the listener's end
        if listener.ident is not None:  # Ctrl-C before it had begun
            listener.join()


def _listen(ears: socket.socket, connection: duckdb.DuckDBPyConnection, has_left: threading.Event) -> None:
    with ears:
        while numbers := ears.recv(64):
            if signal.SIGINT not in numbers:
                continue
            while not has_left.wait(_AGAIN_S):
                with suppress(duckdb.ConnectionException):  # a second Ctrl-C cut short the leaving: it is closed by now
                    connection.interrupt()
            return
