"""The command line, as `python -m pycharrnn` and as the program `pycharrnn`."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until `main` says what Ctrl-C does, it ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from pycharrnn.cli.commands import main  # noqa: E402

if __name__ == "__main__":
    main()
