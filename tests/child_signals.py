"""How a process that a test starts takes signals."""

from __future__ import annotations

import signal


def unmeasured(environment: dict[str, str]) -> dict[str, str]:
    """The environment for a process whose coverage is not measured.

    What measures it runs functions of Python at odd places; an exception of a signal's handler is dropped there.
    """
    return {name: value for name, value in environment.items() if not name.startswith("COVERAGE_")}


def default_signals() -> None:
    """For subprocess' preexec_fn: signals end the process as usual, even where the tests' own process ignores them.

    A process inherits what is ignored: all that `nohup make test &` starts would not hear SIGINT and SIGHUP.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
