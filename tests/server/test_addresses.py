"""The addresses that a server prints are those that work."""

from __future__ import annotations

import socket

import pytest
from serving_tools import LSTM, get, server

from pycharrnn.server import addresses
from pycharrnn.server.addresses import reachable_hosts


def network(family: int, own: str | None):
    """What stands in for the sockets of a machine with this address in its network, or with none."""

    class Socket:
        def __init__(self, asked, kind):
            assert (asked, kind) == (family, socket.SOCK_DGRAM)

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def connect(self, where):
            if own is None:
                raise OSError("Network is unreachable")

        def getsockname(self):
            return own, 40000

    return Socket


@pytest.mark.parametrize(
    "host, own, hosts",
    [
        ("127.0.0.1", "192.168.1.7", ["127.0.0.1"]),
        ("example.org", "192.168.1.7", ["example.org"]),
        ("::1", "fd00::7", ["[::1]"]),
        ("0.0.0.0", "192.168.1.7", ["127.0.0.1", "192.168.1.7"]),
        ("0.0.0.0", "127.0.0.1", ["127.0.0.1"]),
        ("0.0.0.0", None, ["127.0.0.1"]),
        ("::", "fd00::7", ["[::1]", "[fd00::7]"]),
    ],
)
def test_hosts_of_addresses(monkeypatch, host, own, hosts):
    monkeypatch.setattr(addresses.socket, "socket", network(socket.AF_INET6 if ":" in host else socket.AF_INET, own))
    assert reachable_hosts(host) == hosts


def test_every_address_of_a_server_on_all_of_them_works():
    with server(LSTM, "-host", "0.0.0.0", "-token", "0123456789abcdef") as running:
        lines = [running.url, *iter(lambda: running.process.stdout.readline().strip(), "Press Ctrl-C to stop.")]
        assert running.url.startswith("http://127.0.0.1:")
        for line in lines:
            address, token = line.split("#token=")
            headers = {"authorization": f"Bearer {token}"}
            assert get(f"{address}api/models", headers=headers).status_code == 200
