"""Finds the addresses at which clients can reach a server, to print at its start."""

from __future__ import annotations

import contextlib
import socket

# Addresses reserved for documentation (RFC 5737, RFC 3849). Nothing is sent to them.
_REMOTE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # wildcard address -> this machine's loopback address


def reachable_hosts(host: str) -> list[str]:
    """The host parts of a server's URLs; for a wildcard address, loopback and the machine's address in the network."""
    hosts = [host]
    if host in _LOOPBACK:
        hosts = [_LOOPBACK[host]]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as s:  # no network
            s.connect((_REMOTE[family], 9))  # sends nothing: finds the local address of the route
            hosts.append(s.getsockname()[0])
    return [f"[{name}]" if ":" in name else name for name in dict.fromkeys(hosts)]
