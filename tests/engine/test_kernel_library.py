"""A C library is used only if it is whole and made for this kernel.py; else PyTorch does its work, and that is said."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, run, sentence

from pycharrnn.common.errors import UserError
from pycharrnn.engine import kernel_library, kernel_structures
from pycharrnn.engine.kernel_structures import FUNCTIONS, LAYOUT

pytestmark = pytest.mark.skipif(
    kernel_library.name() is None, reason="no compiler was there when pycharrnn was installed"
)
LEVEL = kernel_library.name()


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not os.path.exists("/proc/cpuinfo"), reason="needs Linux's list of instructions"
)
def test_the_best_level_has_the_processors_instructions():
    processor = set(re.findall(r"^flags\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)[0].split())
    avx512 = {"avx512f", "avx512dq", "avx512vl", "avx512bw"}
    needs = {"any": set(), "avx2": {"avx2", "fma"}, "avx512": avx512, "avx512bf16": {*avx512, "avx512_bf16"}}
    assert kernel_library.best_level() == [level for level in needs if needs[level] <= processor][-1]


@pytest.fixture
def library(tmp_path) -> Path:
    """A copy of the library in use, with its checksum and its sources beside it."""
    path = Path(kernel_library.library()._name)
    for name in (path.name, f"{path.name}.sha256", *sources(path.parent)):
        shutil.copy(path.parent / name, tmp_path)
    return tmp_path / path.name


def sources(package: Path) -> list[str]:
    return sorted(path.name for path in package.glob("kernel*.[ch]"))


def load(library: Path, wanted: str = "", best: str = LEVEL, layout=None, functions=None):
    return kernel_library.load(wanted, best, layout or LAYOUT, functions or FUNCTIONS, folder=library.parent)


def with_checksum(library: Path, content: bytes) -> None:
    library.unlink(missing_ok=True)  # what is loaded stays as it is
    library.write_bytes(content)
    Path(f"{library}.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  {library.name}\n", encoding="utf-8")


def refused(library: Path, capsys, words: str, **keywords) -> None:
    assert load(library, **keywords) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"pycharrnn: can't use the C kernel {library} (")
    assert words in line and line.endswith(": install pycharrnn again.")


def test_a_right_one_is_loaded_without_a_word(library, capsys):
    loaded = load(library)
    assert loaded._name == str(library) and kernel_library.level(loaded) == LEVEL
    assert capsys.readouterr() == ("", "")


def test_one_that_was_cut(library, capsys):
    """Loading one would end the process by SIGBUS."""
    whole = library.read_bytes()
    for size in (0, 1, 63, 64, 100, 4096, 9000, len(whole) // 2, len(whole) - 4096, len(whole) - 1):
        library.write_bytes(whole[:size])
        refused(library, capsys, "its checksum does not match")


def test_one_that_was_half_written(library, capsys):
    whole = library.read_bytes()
    for start, size in ((0, 64), (len(whole) // 2, 4096), (len(whole) - 1, 1)):
        library.write_bytes(
            whole[:start] + bytes(byte ^ 1 for byte in whole[start : start + size]) + whole[start + size :]
        )
        refused(library, capsys, "its checksum does not match")


def test_one_that_is_longer(library, capsys):
    library.write_bytes(library.read_bytes() + b"\0")
    refused(library, capsys, "its checksum does not match")


@pytest.mark.parametrize("make", ["folder", "pipe", "dangling link", "link to itself", "device"])
def test_one_that_is_no_file(library, capsys, make):
    library.unlink()
    if make == "folder":
        library.mkdir()
    elif make == "pipe":
        os.mkfifo(library)
    else:
        library.symlink_to({"dangling link": "nowhere", "link to itself": library, "device": "/dev/zero"}[make])
    words = {"dangling link": "No such file", "link to itself": "symbolic links"}.get(make, "it is not a regular file")
    refused(library, capsys, words)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_one_that_may_not_be_read(library, capsys):
    library.chmod(0)
    refused(library, capsys, "Permission denied")


def test_one_without_its_checksum(library, capsys):
    checksum = Path(f"{library}.sha256")
    right = checksum.read_text(encoding="utf-8")
    for wrong in ("", "\n", right[1:], "\xff"):
        checksum.write_text(wrong, "latin-1")
        refused(library, capsys, "its checksum does not match")
    checksum.unlink()
    refused(library, capsys, "its checksum is missing")
    os.mkfifo(checksum)
    refused(library, capsys, "it is not a regular file")


def test_one_for_another_processor_or_of_anything(library, capsys):
    contents = [os.urandom(20000), b""]
    if sys.platform == "linux":  # where it is an ELF file; macOS ends a process that maps one with a wrong signature
        whole = library.read_bytes()
        contents.append(whole[:18] + b"\xb7\0" + whole[20:])
    for content in contents:
        with_checksum(library, content)
        refused(library, capsys, str(library))


def test_one_of_other_sources(library, capsys):
    for name in sources(library.parent):
        source = library.parent / name
        right = source.read_bytes()
        source.write_bytes(right + b"\n")
        refused(library, capsys, "it was compiled from C sources that have changed since")
        source.write_bytes(right)
    assert load(library)


def test_a_new_source_is_noticed(library, capsys):
    (library.parent / "kernel_new.h").write_text("", encoding="utf-8")
    assert load(library)
    (library.parent / "kernel_new.h").write_text("int added;\n", encoding="utf-8")
    refused(library, capsys, "it was compiled from C sources that have changed since")


def test_an_installation_may_leave_the_sources_out(library, capsys):
    for name in sources(library.parent):
        (library.parent / name).unlink()
    assert load(library)
    assert capsys.readouterr().err == ""


def test_one_for_other_structures(library, capsys):
    for name, value in LAYOUT.items():
        refused(
            library, capsys, "its structures are not those of kernel_structures.py", layout=LAYOUT | {name: value + 8}
        )
    fewer = dict(list(LAYOUT.items())[1:])
    refused(library, capsys, "its structures are not those of kernel_structures.py", layout=fewer)


def test_every_field_is_compared():
    """Fields and sizes, of all structures that go to C."""
    structures = [
        s for s in vars(kernel_structures).values() if isinstance(s, type) and issubclass(s, ctypes.Structure)
    ]
    names = re.findall(r"LAYOUT_OF\((\w+), \w+_FIELDS\)", (kernel_library.PACKAGE / "kernel_structs.h").read_text())
    assert sorted(s.__doc__ for s in structures) == sorted(f"struct {name}." for name in names)
    constants = {"block", "ignored", "sums", "groups", "match_state", "inline_edges", "filter_words"}
    assert constants <= set(LAYOUT)
    assert len(LAYOUT) == sum(1 + len(s._fields_) for s in structures) + len(constants)


def test_one_without_a_function(library, capsys):
    refused(library, capsys, "charrnn_backwarr", functions=FUNCTIONS | {"charrnn_backwarr": []})


@pytest.mark.parametrize("name", ["charrnn_layout", "charrnn_sources", "charrnn_loss_gradient"])
def test_one_that_calls_a_thing_otherwise(library, capsys, name):
    with_checksum(library, library.read_bytes().replace(name.encode(), name[:-1].encode() + b"_"))
    refused(library, capsys, name)


def test_a_damaged_one_is_not_asked_for_when_switched_off(library, capsys):
    library.write_bytes(b"")
    assert load(library, "off") is None
    assert capsys.readouterr().err == ""


def test_none_was_built(tmp_path, capsys):
    assert load(tmp_path / "none") is None
    assert capsys.readouterr().err == ""
    for wanted in ("any", "avx2"):
        assert load(tmp_path / "none", wanted, "any") is None
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"pycharrnn: no kernel was compiled for PYCHARRNN_KERNEL={wanted}")


def test_a_level_that_the_processor_lacks(library, capsys):
    for best, wanted, others in (("avx2", "avx512", "avx2 or any"), ("any", "avx2", "any"), ("any", "avx512", "any")):
        assert load(library, wanted, best) is None
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"pycharrnn: this processor lacks what PYCHARRNN_KERNEL={wanted} needs")
        assert line.endswith(f": set it to {others}.")


def test_the_best_that_was_built_for_this_processor(tmp_path):
    path = Path(kernel_library.library()._name)
    for level in kernel_library.LEVELS:  # all alike but for the name, which says what level they are
        with_checksum(tmp_path / path.name.replace(LEVEL, level), path.read_bytes())
    for best, expected in ((level, level) for level in kernel_library.LEVELS):
        assert kernel_library.level(load(tmp_path / "x", best=best)) == expected
    (tmp_path / path.name.replace(LEVEL, "avx512")).unlink()
    assert kernel_library.level(load(tmp_path / "x", best="avx512")) == "avx2"


IS_X86 = platform.machine() in ("x86_64", "AMD64")
needs_levels = pytest.mark.skipif(not IS_X86, reason="processors of this kind have one level alone")


@pytest.fixture
def levels(library) -> Path:
    """A folder with a library of each level, all alike but for the name."""
    for level in kernel_library.LEVELS:
        with_checksum(library.with_name(library.name.replace(LEVEL, level)), library.read_bytes())
    return library.parent


def why(levels: Path, wanted: str = "", best: str = "avx512bf16", used: str | None = None) -> list[str]:
    return kernel_library.reasons(wanted, best, used, levels)


def leave_out(levels: Path, level: str, reason: str) -> None:
    levels.joinpath(Path(kernel_library.library()._name).name.replace(LEVEL, level)).unlink()
    (levels / f"_kernel_{level}.left_out").write_text(reason, encoding="utf-8")


def test_why_there_is_no_better_one(levels):
    assert why(levels, best="any", used="any" if not IS_X86 else "avx512bf16") == []
    assert why(levels, "off") == ["it is switched off by PYCHARRNN_KERNEL=off"]
    assert why(levels, "of") == [
        "PYCHARRNN_KERNEL is 'of': set it to any, avx2, avx512, avx512bf16 or off, or leave it out."
    ]
    leave_out(levels, "any", "gcc: No such file or directory\n")
    assert why(levels) == ["it was not compiled (gcc: No such file or directory)"]
    (levels / "_kernel_any.left_out").write_text("\x1b[31m" + 5000 * "x", encoding="utf-8")
    (line,) = why(levels)
    assert line.startswith("it was not compiled (\\x1b[31mxxx") and len(line) < 300
    (levels / "_kernel_any.left_out").unlink()
    assert why(levels) == ["it is missing: install pycharrnn again, with a C compiler"]


@needs_levels
def test_why_there_is_no_better_one_of_several(levels):
    lacks = [f"{level} needs instructions that this processor lacks" for level in ("avx512bf16", "avx512", "avx2")]
    assert why(levels, best="avx2", used="avx2") == lacks[:2]
    assert why(levels, best="any", used="any") == lacks
    asked = [f"{level} is not what PYCHARRNN_KERNEL=any asks for" for level in ("avx512bf16", "avx512", "avx2")]
    assert why(levels, "any", "avx512bf16", "any") == asked
    leave_out(levels, "avx512", "error: unknown option -mavx512f\n")
    left_out = "avx512 was not compiled (error: unknown option -mavx512f)"
    assert why(levels, best="avx512", used="avx2") == [lacks[0], left_out]
    with_checksum(levels / Path(kernel_library.library()._name).name.replace(LEVEL, "avx512"), b"")
    _, line = why(levels, best="avx512")
    assert line.startswith("avx512 can't be used (") and "file too short" in line
    (levels / "kernel.c").write_text("", encoding="utf-8")
    assert why(levels) == [
        "it can't be used (it was compiled from C sources that have changed since): install pycharrnn again"
    ]


@pytest.mark.parametrize("wanted", ["nonsense", "AVX2", " any", "avx512 ", "0", "on"])
def test_a_level_that_there_is_not(library, wanted):
    with pytest.raises(
        UserError, match=re.escape(f"PYCHARRNN_KERNEL is {wanted!r}: set it to any, avx2, avx512, avx512bf16 or off")
    ):
        load(library, wanted)


def test_a_listener_who_has_gone(library, monkeypatch):
    library.write_bytes(b"")
    monkeypatch.setattr(sys, "stderr", None)
    assert load(library) is None
    with open(os.devnull, "w", encoding="utf-8") as closed:
        monkeypatch.setattr(sys, "stderr", closed)
    assert load(library) is None


SHORT = ["-gpuid", "-1", "-rnn_size", "9", "-batch_size", "5", "-seq_length", "5", "-max_epochs", "0.02"]


def test_training_refuses_a_level_that_there_is_not(corpus, monkeypatch):
    monkeypatch.setenv("PYCHARRNN_KERNEL", "nonsense")
    ended = run("train", "-data_dir", str(corpus), *SHORT, cwd=corpus.parent)
    assert "PYCHARRNN_KERNEL is 'nonsense'" in sentence(ended)


def test_training_goes_on_without_a_damaged_one(corpus):
    """Said once, with the same digits."""
    home = corpus.parent / "home"
    for package in ("compat", "pycharrnn"):
        shutil.copytree(ROOT / package, home / package, ignore=shutil.ignore_patterns("__pycache__"))
    args = [sys.executable, "-m", "pycharrnn", "train", "-data_dir", str(corpus), *SHORT]
    library = home / "pycharrnn" / Path(kernel_library.library()._name).name
    library.write_bytes(library.read_bytes()[:9000])
    ended = subprocess.run(args, cwd=home, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("can't use the C kernel") == 1 and "Traceback" not in ended.stderr
    right = run("train", "-data_dir", str(corpus), *SHORT, cwd=corpus.parent)
    assert losses(ended.stdout) == losses(right.stdout.decode()) != []


def losses(log: str) -> list[str]:
    return re.findall(r"train_loss = (\S+),", log)
