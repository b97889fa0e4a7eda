"""The flags of the server: their names, defaults and help."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from pycharrnn.common.errors import UserError
from pycharrnn.common.option_fields import SWITCH, THREADS, check, number, option


@dataclass(frozen=True)
class ServeOptions:
    """Options of `pycharrnn serve`."""

    host: str = option(
        "127.0.0.1",
        "address to listen on. Anything but this machine's own needs -token",
        group="network",
        value="ADDRESS",
    )
    port: int = option(8015, "port to listen on. 0 = one that is free", group="network", allowed=number(0, 65535))
    token: str = option(
        "", "what a client must know, 16 characters or more. new = make one", group="network", value="TEXT|new"
    )
    follow: int = option(
        0, "1 = take up new checkpoints of the folders, as training writes them", group="checkpoints", allowed=SWITCH
    )
    streams: int = option(
        512,
        "how many clients are served at once, from 1 to 1000; others are asked to come back",
        group="network",
        allowed=number(1, 1000),
    )
    threads: int = option(0, "how many threads compute. 0 = one", group="machine", allowed=THREADS)

    def __post_init__(self) -> None:
        """Errors: UserError for the first value that a server can't use."""
        check(self)
        if not self.host:
            raise UserError("-host must be an address or a name, not empty.")
        if self.token not in ("", "new") and (len(self.token) < 16 or not _is_plain(self.token)):
            raise UserError("-token must be 16 letters and digits or more, or new to have one made.")
        if not self.token and not self.is_loopback():
            raise UserError(
                f"-host {self.host} lets others in, so it needs a -token: -token new makes one and prints the link."
            )

    def is_loopback(self) -> bool:
        """Whether only programs on this machine can reach -host."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _is_plain(text: str) -> bool:
    """Whether a link can hold the text as it is."""
    return all(c.isascii() and (c.isalnum() or c in "-_.~") for c in text)
