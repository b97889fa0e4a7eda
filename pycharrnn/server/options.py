"""The flags of `pycharrnn serve`, and those that `pycharrnn studio` shares."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from pycharrnn.common.errors import UserError
from pycharrnn.common.option_fields import DEFAULT_THREADS, SWITCH, THREADS, check, number, option


@dataclass(frozen=True)
class NetworkOptions:
    """How to listen, and for whom."""

    host: str = option(
        "127.0.0.1",
        "address to listen on. Addresses that other machines can reach need -token",
        group="network",
        value="ADDRESS",
    )
    port: int = option(8015, "port to listen on. 0 = a free port", group="network", allowed=number(0, 65535))
    token: str = option(
        "",
        "secret that clients must send: 16 or more letters, digits and -_.~; new = generate one",
        group="network",
        value="TEXT|new",
    )
    streams: int = option(
        512,
        "maximum number of clients served at once, from 1 to 1000. Further ones get status 503",
        group="network",
        allowed=number(1, 1000),
    )
    threads: int = option(
        0, f"number of threads for computing. 0 = {DEFAULT_THREADS}, at most 4", group="machine", allowed=THREADS
    )

    def __post_init__(self) -> None:
        """Errors: UserError for the first invalid value."""
        check(self)
        if not self.host:
            raise UserError("-host must be an address or a name, not empty.")
        if self.token not in ("", "new") and (len(self.token) < 16 or not _is_plain(self.token)):
            raise UserError("-token must be at least 16 letters, digits and -_.~, or new to generate one.")
        if not self.token and not self.is_loopback():
            raise UserError(
                f"-host {self.host} is open to other machines and needs a -token: -token new generates one."
            )

    def is_loopback(self) -> bool:
        """Whether only this machine can reach -host."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True)
class ServeOptions(NetworkOptions):
    follow: int = option(
        0, "1 = add new checkpoints of the folders as training writes them", group="checkpoints", allowed=SWITCH
    )


@dataclass(frozen=True)
class StudioOptions(NetworkOptions):
    open: int = option(
        1, "1 = open the page in the browser. 0 = print its address only", group="display", allowed=SWITCH
    )


def _is_plain(text: str) -> bool:
    """Whether a URL can hold the text without escapes."""
    return all(c.isascii() and (c.isalnum() or c in "-_.~") for c in text)
