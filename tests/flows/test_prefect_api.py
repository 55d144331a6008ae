"""Questions to a Prefect server over a connection that fails."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from flows.prefect_api import PrefectApi, Unreachable

ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\nconnection: close\r\n\r\n{"id": "a"}'


def hang_up_once(server: socket.socket) -> None:
    """Reset the first connection, answer on the second."""
    first, _ = server.accept()
    first.recv(4096)
    first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    first.close()
    second, _ = server.accept()
    second.recv(4096)
    second.sendall(ANSWER)
    second.close()


def test_a_connection_that_breaks_is_no_reason_to_give_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=hang_up_once, args=(server,), daemon=True)
        answering.start()
        assert PrefectApi(f"http://127.0.0.1:{server.getsockname()[1]}/api").flow_run("a") == {"id": "a"}
        answering.join(timeout=10)


def test_a_server_that_is_not_there_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unreachable, match="r1vl up"):
        PrefectApi(f"http://127.0.0.1:{port}/api").flow_run("a")
