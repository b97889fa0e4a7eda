"""How a process that a test starts takes signals."""

from __future__ import annotations

import signal


def default_signals() -> None:
    """For subprocess' preexec_fn: signals end the process as usual, even where the tests' own process ignores them.

    A process inherits what is ignored: all that `nohup make test &` starts would not hear SIGINT and SIGHUP.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
