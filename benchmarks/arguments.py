"""The parser of a benchmark's arguments."""

from __future__ import annotations

import argparse


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    pass


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose --help prints the docstring `doc` of a benchmark as it stands, and the defaults."""
    return argparse.ArgumentParser(description=doc, formatter_class=_Formatter)
