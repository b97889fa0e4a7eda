"""The command line, as `python -m pycharrnn`."""

from pycharrnn.cli.commands import main

if __name__ == "__main__":
    main()
