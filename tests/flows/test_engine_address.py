"""A Ray cluster that is not there is told at once, in the user's words."""

from __future__ import annotations

import socket

import pytest

from flows.engines import check_address


def test_an_address_at_which_nothing_listens_is_refused_in_either_spelling() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        check_address(f"127.0.0.1:{port}")
        check_address(f"ray://127.0.0.1:{port}")
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(ValueError, match=f"^R1VL_RAY_ADDRESS={address}: .*refused; is the cluster up"):
            check_address(address)


def test_what_names_no_port_is_left_to_ray_and_what_is_none_is_refused() -> None:
    check_address("")
    check_address("auto")
    with pytest.raises(ValueError, match="R1VL_RAY_ADDRESS=head:port"):
        check_address("head:port")
