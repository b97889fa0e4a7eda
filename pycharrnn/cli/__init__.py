"""The command line: parses flags, calls the other packages, and prints.

Entry points: `commands.main`, for pycharrnn.__main__ and cli.py; `commands.cli`, for docs/flags.py.
May import server, library, page, analysis, training, sampling, engine, text, checkpoints, common and compat.
"""
