"""Chooses, checks and loads the compiled C kernel. Without it PyTorch trains and NumPy samples.

setup.py compiles one library for each instruction set, into the package: in an editable installation beside the
sources. Sources without a library use that of another installation on Python's path, if its C sources are the same.

A truncated library would end the process by a signal, and one of other sources would write to any address. So a library
is loaded only if it has the checksum that setup.py wrote beside it, and used only if it was compiled from the C sources
beside it and has the structures of kernel_structures.py.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import stat
import sys
from pathlib import Path
from typing import Any

from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError
from pycharrnn.common.shell_words import quoted
from pycharrnn.engine.kernel_structures import FUNCTIONS, LAYOUT

LEVELS = ("any", "avx2", "avx512", "avx512bf16")  # each with all instructions of those before
_OFF = "off"
_SUFFIX = ".dll" if os.name == "nt" else ".so"  # as in setup.py
PACKAGE = Path(__file__).parents[1]
SLOWER = "so computing on the CPU takes two to four times as long"


class _LayoutEntry(ctypes.Structure):
    """struct layout of kernel.c."""

    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_int64)]


@functools.cache
def folder() -> Path:
    """The folder of the libraries: this package, or another installation with the same C sources."""
    if not any(PACKAGE.glob("_kernel_*")):
        for package in (Path(entry, PACKAGE.name) for entry in sys.path):
            with contextlib.suppress(OSError, ValueError):
                sources = _hash_of_sources(PACKAGE)
                if sources and sources == _hash_of_sources(package) and any(package.glob("_kernel_*")):
                    return package
    return PACKAGE


@functools.cache
def library() -> ctypes.CDLL | None:
    """The kernel for this processor, or None. Errors: UserError for an unknown PYCHARRNN_KERNEL."""
    return load(os.environ.get("PYCHARRNN_KERNEL", ""), best_level(), LAYOUT, FUNCTIONS, folder())


def name() -> str | None:
    """The level of the kernel in use, such as "avx2"; None without one."""
    try:
        loaded = library()
    except UserError:
        return None
    return level(loaded) if loaded else None


def rounds_as_elsewhere() -> bool:
    """Whether the kernel in use fuses multiplications with additions, so that its bits are those of every machine."""
    loaded = library() if name() else None
    return loaded is not None and bool(ctypes.c_int64.in_dll(loaded, "charrnn_fuses").value)


@functools.cache
def best_level() -> str:
    """The highest of LEVELS whose instructions the processor has, according to the lowest level's library."""
    path = built(folder(), LEVELS[0])
    # `load` prints why a library can't be used.
    with contextlib.suppress(OSError, ValueError):
        if path is not None:
            return LEVELS[_checked(path, LAYOUT, FUNCTIONS).charrnn_best_level()]
    return LEVELS[0]


def load(
    wanted: str, best: str, layout: dict[str, int], functions: dict[str, list[Any]], folder: Path
) -> ctypes.CDLL | None:
    """The library for this processor, its functions declared, or None; a sentence on stderr says why it can't be used.

    Args:
        wanted: PYCHARRNN_KERNEL: one of LEVELS, "off", or "" for the best that was built; else UserError.
        best: the highest of LEVELS that the processor has.
        layout, functions: sizes and offsets that the library must state; argument types of its functions; by name.
    """
    if wanted not in ("", _OFF, *LEVELS):
        raise UserError(_no_level(wanted))
    if wanted == _OFF:
        return None
    usable = LEVELS[LEVELS.index(best) :: -1]
    if wanted and wanted not in usable and not _none_is_built(folder):  # without one, `best` is not known
        _print_note(
            f"this processor lacks what PYCHARRNN_KERNEL={wanted} needs, {SLOWER}: set it to {' or '.join(usable)}."
        )
        return None
    path = next(filter(None, (built(folder, level) for level in ([wanted] if wanted else usable))), None)
    if path is None:
        if wanted:
            again = f"{_install_again(folder)}, with a C compiler"
            _print_note(f"no kernel was compiled for PYCHARRNN_KERNEL={wanted}, {SLOWER}: {again}.")
        return None
    try:
        return _checked(path, layout, functions)
    except (OSError, ValueError) as e:
        _print_note(f"can't use the C kernel {path} ({_words(e)}), {SLOWER}: {_install_again(folder)}.")
        return None


def level(library: ctypes.CDLL) -> str:
    """The instruction set for which the library was compiled, such as "avx512"."""
    return Path(library._name).stem.removeprefix("_kernel_")


def is_missing() -> bool:
    """Whether no kernel was compiled, and PYCHARRNN_KERNEL is not set."""
    return not os.environ.get("PYCHARRNN_KERNEL") and _none_is_built(folder())


def _none_is_built(folder: Path) -> bool:
    return not any(built(folder, level) for level in LEVELS)


def why_not_better() -> list[str]:
    """Why no better kernel is in use: "avx512 needs instructions that this processor lacks"."""
    return reasons(os.environ.get("PYCHARRNN_KERNEL", ""), best_level(), name(), folder())


def reasons(wanted: str, best: str, used: str | None, folder: Path) -> list[str]:
    """As why_not_better, the best level first, from the arguments of `load` and the level `used` that it gave."""
    if wanted == _OFF:
        return [f"it is switched off by PYCHARRNN_KERNEL={_OFF}"]
    if wanted not in ("", *LEVELS):
        return [_no_level(wanted)]
    least = _fault(folder, LEVELS[0], "it")  # the kernel: without this level there is none
    if least:  # only this library reports the processor's instructions
        return [least]
    found = []
    for level in reversed(_levels_of_machine()):
        if level == used:
            break
        if LEVELS.index(level) > LEVELS.index(best):
            reason: str | None = f"{level} needs instructions that this processor lacks"
        elif wanted not in ("", level):
            reason = f"{level} is not what PYCHARRNN_KERNEL={wanted} asks for"
        else:
            reason = _fault(folder, level, level)
        found += [reason] if reason else []
    return found


def _no_level(wanted: str) -> str:
    return f"PYCHARRNN_KERNEL is {wanted!r}: set it to {', '.join(LEVELS)} or {_OFF}, or leave it out."


def _levels_of_machine() -> tuple[str, ...]:
    import platform  # here, since only explanations need it

    return LEVELS if platform.machine() in ("x86_64", "AMD64") else LEVELS[:1]


def _fault(folder: Path, level: str, name: str) -> str | None:
    """Why the library of a level, called `name`, can't be used, or None; setup.py wrote why it was not compiled."""
    path = built(folder, level)
    try:
        if path is None:
            return f"{name} was not compiled ({escape_line(_content(folder / f'_kernel_{level}.left_out').strip())})"
        _checked(path, LAYOUT, FUNCTIONS)
    except (OSError, ValueError) as e:
        if path is None:
            return f"{name} is missing: {_install_again(folder)}, with a C compiler"
        return f"{name} can't be used ({_words(e)}): {_install_again(folder)}"
    return None


def _install_again(package: Path) -> str:
    """What to do about a library that is missing or can't be used."""
    if (package.parent / "setup.py").is_file():
        return f"run pip install -e {quoted(str(package.parent))}"
    return "install pycharrnn again"


def _words(error: OSError | ValueError) -> str:
    return str(getattr(error, "strerror", None) or error)


def built(folder: Path, level: str) -> Path | None:
    """The path of the compiled kernel of a level; None for none."""
    path = folder / f"_kernel_{level}{_SUFFIX}"
    return path if os.path.lexists(path) else None


def _checked(path: Path, layout: dict[str, int], functions: dict[str, list[Any]]) -> ctypes.CDLL:
    """The library at `path`, loaded. Errors: OSError, ValueError with the reason."""
    checksum = hashlib.sha256(_content(path)).hexdigest()
    try:
        right = _content(Path(f"{path}.sha256")).decode("ascii", "replace").split(" ")[0]
    except OSError:
        raise ValueError("its checksum is missing beside it") from None
    if checksum != right:
        raise ValueError("its checksum does not match")
    library = ctypes.CDLL(str(path))
    try:
        sources = _hash_of_sources(path.parent)
        if sources and ctypes.c_char_p.in_dll(library, "charrnn_sources").value != sources:
            raise ValueError("it was compiled from C sources that have changed since")
        if _layout(library) != layout:
            raise ValueError("its structures are not those of kernel_structures.py")
        for name, arguments in functions.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, None
    except AttributeError as e:
        raise ValueError(str(e)) from None
    return library


def _content(path: Path) -> bytes:
    """The bytes of a regular file. Errors: OSError, ValueError."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a FIFO would wait for a writer
        raise ValueError("it is not a regular file")
    return path.read_bytes()


def _hash_of_sources(folder: Path) -> bytes | None:
    """The hash that setup.py compiles into a library; None for an installation without the sources."""
    sources = sorted(folder.glob("kernel*.[ch]"))
    return hashlib.sha256(b"".join(map(_content, sources))).hexdigest().encode() if sources else None


def _layout(library: ctypes.CDLL) -> dict[str, int]:
    entry = ctypes.pointer(_LayoutEntry.in_dll(library, "charrnn_layout"))
    layout: dict[str, int] = {}
    while entry[len(layout)].name:
        layout[entry[len(layout)].name.decode()] = entry[len(layout)].value
    return layout


def _print_note(sentence: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # stderr is closed
        if sys.stderr:
            print(f"pycharrnn: {sentence}", file=sys.stderr, flush=True)
