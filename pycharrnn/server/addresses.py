"""The addresses by which a server can be reached, for people to type."""

from __future__ import annotations

import contextlib
import socket

# An address of each kind that belongs to documentation (RFC 5737, RFC 3849): nothing is ever sent to it.
_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # "any address" -> this machine's own, for programs on it


def reachable_hosts(host: str) -> list[str]:
    """What stands between http:// and the port in the addresses of a server that listens on `host`.

    A server that listens on all of a machine's addresses can't be reached by the name that means that: it is reached by
    the machine's own address, from the machine itself, and by that with which it talks to the network.
    """
    hosts = [host]
    if host in _ALL:
        hosts = [_ALL[host]]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as s:  # OSError: no network
            s.connect((_ELSEWHERE[family], 9))  # which only looks up the way there
            hosts.append(s.getsockname()[0])
    return [f"[{one}]" if ":" in one else one for one in dict.fromkeys(hosts)]
