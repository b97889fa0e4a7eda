"""The command line: parses flags, calls the other packages, and prints.

Entry point: `commands.cli`, for pycharrnn.__main__ alone.
May import server, library, page, analysis, training, sampling, engine, text, checkpoints, common and compat.
"""
