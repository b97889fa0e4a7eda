"""Building and installing: what is in a wheel and in an sdist, and what they do without a compiler."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from setup_words import install_requires

from pycharrnn import __version__
from pycharrnn.engine import kernel_library

pytest.importorskip("setuptools", minversion="77")
IS_X86 = platform.machine() in ("x86_64", "AMD64")
LEVELS = kernel_library.LEVELS if IS_X86 else kernel_library.LEVELS[:1]
SUFFIX = ".dll" if os.name == "nt" else ".so"
COMPILER = shutil.which((os.environ.get("CC") or sysconfig.get_config_var("CC") or "none").split()[0])
needs_compiler = pytest.mark.skipif(COMPILER is None or os.name == "nt", reason="no compiler that knows vector types")
NONE_WORKS = "so computing on the CPU takes two to four times as long.\n"
LEFT_BY_PROGRAMS = (
    ".venv/pyvenv.cfg",
    "benchmarks/results.json",
    "cv/lm_lstm_epoch1.00_2.0000.t7",
    "data/mine/input.txt",
    "docs/half-written.tmp",
    "pycharrnn/_kernel_any.cpython-311-x86_64-linux-gnu.so",
    "pycharrnn/__pycache__/__init__.cpython-311.pyc",
    "tests/__pycache__/conftest.cpython-311.pyc",
)


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment, without what chooses a compiler or a pycharrnn."""
    ours = ("PYTHONPATH", "CC", "CFLAGS", "LDSHARED", "LDFLAGS", "PYCHARRNN_CFLAGS", "PYCHARRNN_KERNEL")
    return {name: value for name, value in os.environ.items() if name not in ours} | settings


def checked(command: list[str | Path], **keywords) -> subprocess.CompletedProcess:
    ended = subprocess.run(command, capture_output=True, text=True, **keywords)
    assert ended.returncode == 0, ended.stdout[-1000:] + ended.stderr[-2000:]
    return ended


# -- what else is installed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "machine", "newest"),
    [
        ("darwin", "x86_64", "1.26.4"),
        ("darwin", "arm64", "2.5.5"),
        ("linux", "x86_64", "2.5.5"),
        ("win32", "AMD64", "2.5.5"),
    ],
)
def test_a_numpy_that_works_with_pytorch(system, machine, newest):
    """The last PyTorch for Macs with an Intel processor, 2.2.2, knows no NumPy 2."""
    numbers = [r for r in map(Requirement, install_requires()) if r.name == "numpy"]
    environment = {"sys_platform": system, "platform_machine": machine}
    asked = [r.specifier for r in numbers if r.marker is None or r.marker.evaluate(environment)]
    there = ["1.23.5", "1.26.4", "2.0.0", "2.5.5", "3.0.0"]
    assert [version for version in there if all(version in one for one in asked)][-1] == newest


# -- compiling -------------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path) -> Path:
    """What setup.py needs, with a library of an earlier build."""
    for name in ("setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for package in ("compat", "pycharrnn"):
        ignored = shutil.ignore_patterns("__pycache__", "_kernel_*")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    for suffix in (f".cpython-311{SUFFIX}", f"{SUFFIX}.sha256"):
        (tmp_path / "pycharrnn" / f"_kernel_any{suffix}").write_text("of an earlier build", encoding="utf-8")
    return tmp_path


def compile_in(source: Path, *options: str, **settings: str) -> tuple[str, dict[str, str]]:
    """Build in place. Returns: what that says; what lies there then: a name and the reason for what was left out."""
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace", *options]
    said = checked(command, cwd=source, env=clean_environment(**settings)).stderr
    built = sorted((source / "pycharrnn").glob("_kernel_*"))
    return said, {path.name: path.read_text(encoding="utf-8") if path.suffix == ".left_out" else "" for path in built}


def compiler_without(option: str, folder: Path) -> Path:
    """A compiler that refuses options that begin like this."""
    compiler = folder / "cc"
    refuses = f'echo cc: warning: old >&2; echo "cc: error: what is {option}?" >&2; echo cc: error: more >&2; exit 1'
    compiler.write_text(
        f'#!/bin/sh\ncase " $*" in *" {option}"*) {refuses};; esac\nexec {COMPILER} "$@"\n', encoding="utf-8"
    )
    compiler.chmod(0o755)
    return compiler


@pytest.mark.skipif(os.name == "nt", reason="the compiler is not taken from CC there")
def test_without_a_compiler(source):
    """One line, whatever was built before is gone, and nothing fails."""
    reason = f"{source}/cc: No such file or directory"
    said, built = compile_in(source, CC=f"{source}/cc")
    assert said == f"pycharrnn: the C kernel was not compiled ({', '.join(LEVELS)}: {reason}), {NONE_WORKS}"
    assert built == {f"_kernel_{level}.left_out": f"{reason}\n" for level in LEVELS}


def test_microsofts_compiler_is_not_tried(source):
    said, built = compile_in(source, "--compiler=msvc")
    reason = "Microsoft's compiler does not know the vector types of GCC and Clang"
    assert said == f"pycharrnn: the C kernel was not compiled ({', '.join(LEVELS)}: {reason}), {NONE_WORKS}"
    assert set(built) == {f"_kernel_{level}.left_out" for level in LEVELS}


@pytest.mark.slow
@needs_compiler
@pytest.mark.skipif(not IS_X86, reason="processors of this kind have one level alone")
def test_a_compiler_that_does_not_know_all_instructions(source):
    """Its first error is said, and the levels that it can compile are used."""
    compiler = compiler_without("-mavx512f", source)
    said, built = compile_in(source, CC=str(compiler), PYCHARRNN_CFLAGS="-O0")
    error = "cc: error: what is -mavx512f?"
    follows = "so processors that could run it use a slower one"
    assert said == f"pycharrnn: the C kernel was not compiled (avx512, avx512bf16: {error}), {follows}.\n"
    libraries = [f"_kernel_{level}.so{more}" for level in ("any", "avx2") for more in ("", ".sha256")]
    left_out = {f"_kernel_{level}.left_out": f"{error}\n" for level in ("avx512", "avx512bf16")}
    assert built == {**left_out, **dict.fromkeys(libraries, "")}
    code = "from pycharrnn.engine import kernel_library as k; print(k.name(), *k.why_not_better(), sep='; ')"
    names = checked([sys.executable, "-c", code], cwd=source, env=clean_environment()).stdout
    best = kernel_library.best_level()
    if best in ("avx2", "avx512", "avx512bf16"):
        reasons = [
            f"{level} was not compiled ({error})"
            if LEVELS.index(level) <= LEVELS.index(best)
            else f"{level} needs instructions that this processor lacks"
            for level in ("avx512bf16", "avx512")
        ]
        assert names == f"avx2; {'; '.join(reasons)}\n"


# -- a checkout ------------------------------------------------------------------------------------------------------


def test_git_changes_no_bytes_on_windows(tmp_path):
    """Where it is set to give each line Windows' end."""
    listed = subprocess.run(["git", "ls-files", "--stage", "-z"], cwd=ROOT, capture_output=True)
    kept = {}
    for entry in filter(None, os.fsdecode(listed.stdout).split("\0")):
        facts, _, name = entry.partition("\t")
        kept[name] = facts.split(" ")[1]  # its hash
    if "setup.py" not in kept:
        pytest.skip("this is no git repository")
    into = f"--prefix={tmp_path.as_posix()}/"
    checked(["git", "-c", "core.autocrlf=true", "checkout-index", "--all", into], cwd=ROOT)
    paths = "".join(f"{tmp_path / name}\n" for name in kept)
    written = checked(["git", "hash-object", "--no-filters", "--stdin-paths"], cwd=ROOT, input=paths).stdout.split()
    assert dict(zip(kept, written, strict=True)) == kept


@needs_compiler
@pytest.mark.skipif(not IS_X86, reason="processors of this kind have one level alone")
def test_a_python_for_both_kinds_of_macs(source):
    """On one with an Intel processor it has all levels; what only this half of a library knows is for it alone.

    The compiler writes down its arguments, and an empty file.
    """
    compiler = source / "cc"
    empty = 'while [ "$1" != -o ]; do shift; done; : > "$2"'
    compiler.write_text(f'#!/bin/sh\necho "$*" >> {source}/lines\n{empty}\n', encoding="utf-8")
    compiler.chmod(0o755)
    said, built = compile_in(source, CC=str(compiler), _PYTHON_HOST_PLATFORM="macosx-10.13-universal2")
    assert said == ""
    assert list(built) == sorted(f"_kernel_{level}.so{more}" for level in LEVELS for more in ("", ".sha256"))
    words = (source / "lines").read_text(encoding="utf-8").split()
    before = {words[i - 1] for i, word in enumerate(words) if word.startswith(("-mavx", "-mfma"))}
    assert before == {"-Xarch_x86_64"}


# -- wheel and sdist -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> tuple[Path, list[str]]:
    """A copy of the project with what programs leave in it, and the names of the project's own files."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    files = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    if listed.returncode or "setup.py" not in files:
        pytest.skip("this is no git repository, which would say what belongs to the project")
    folder = tmp_path_factory.mktemp("checkout")
    for name in (*files, *LEFT_BY_PROGRAMS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name in files:
            shutil.copy(ROOT / name, folder / name)
        else:
            (folder / name).write_text("left by a program", encoding="utf-8")
    return folder, files


@pytest.fixture(scope="module")
def sdist(checkout, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    checked([sys.executable, "-c", code], cwd=checkout[0], env=clean_environment())
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> Path:
    """Made of the sdist, as whoever has only that makes it.

    -O1 compiles in half the time and computes the same; -O0 would compute too slowly.
    """
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    environment = clean_environment(PYCHARRNN_CFLAGS="-O1")
    checked([sys.executable, "-c", code], cwd=folder / f"pycharrnn-{__version__}", env=environment)
    return next(folder.glob("*.whl"))


class Environment:
    """A virtual environment with the packages that pycharrnn needs, and neither pycharrnn nor, at first, a compiler."""

    def __init__(self, folder: Path):
        venv.create(folder, with_pip=False)
        scripts = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = scripts / Path(sys.executable).name
        self._variables = clean_environment(PATH=str(scripts))
        # Only what lies in these folders: an editable installation that they name is not followed.
        installed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        where = self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        Path(where, "dependencies.pth").write_text("\n".join(installed), encoding="utf-8")

    def install(self, *archive: str | Path, **settings: str) -> None:
        options = [
            "--no-index",
            "--no-deps",
            "--no-build-isolation",
            "--ignore-installed",
            "--disable-pip-version-check",
        ]
        pip = [sys.executable, "-m", "pip", "--python", self.python]
        checked([*pip, "install", *options, *archive], env=self._variables | settings, cwd=self.python.parent)

    def check(self, kernel: str) -> None:
        """Let what is installed repeat the recorded runs: with a kernel if it is "1", without one if it is "0"."""
        said = self.run(ROOT / "tests" / "installed.py", "-kernel", kernel)
        assert f" in {self.python.parents[1]}" in said and "2 losses, each digit as recorded" in said

    def run(self, *arguments: str | Path, cwd: Path | None = None) -> str:
        return checked([self.python, *arguments], env=self._variables, cwd=cwd or self.python.parent).stdout

    def files(self, cwd: Path | None = None) -> tuple[Path, Path | None]:
        """The package and the kernel that doctor names, for a Python started in `cwd`."""
        facts = self.run(
            "-c", "from pycharrnn.cli import machine_facts as m; print(*m.machine_facts(), sep='\\n')", cwd=cwd
        )
        kernel = re.search(r"^C kernel: .*; file ([^;\n]+)", facts, re.M)
        return Path(re.search(r"^package: (.*)", facts, re.M)[1]), Path(kernel[1]) if kernel else None


@pytest.mark.slow
def test_an_sdist_has_the_project_and_nothing_else(checkout, sdist):
    top = f"pycharrnn-{__version__}/"
    with tarfile.open(sdist) as archive:
        names = {member.name.removeprefix(top) for member in archive.getmembers() if member.isfile()}
    made = {"PKG-INFO", "setup.cfg", *(name for name in names if name.startswith("pycharrnn.egg-info/"))}
    assert names - made == set(checkout[1])


@pytest.mark.slow
@needs_compiler
def test_a_wheel_has_the_packages_and_the_kernels(checkout, wheel):
    platform_tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name == f"pycharrnn-{__version__}-py3-none-{platform_tag}.whl"
    kernels = [f"pycharrnn/_kernel_{level}{SUFFIX}" for level in LEVELS]
    checksums = [f"{kernel}.sha256" for kernel in kernels]
    packages = [name for name in checkout[1] if name.startswith(("compat/", "pycharrnn/"))]
    metadata = ["METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"]
    with zipfile.ZipFile(wheel) as archive:
        about = f"pycharrnn-{__version__}.dist-info"
        expected = [*packages, *kernels, *checksums, *(f"{about}/{name}" for name in metadata)]
        assert sorted(archive.namelist()) == sorted(expected)
        assert "Root-Is-Purelib: false" in archive.read(f"{about}/WHEEL").decode().splitlines()
        fields = Parser().parsestr(archive.read(f"{about}/METADATA").decode())
        for kernel in kernels:
            assert b"PyInit" not in archive.read(kernel)
    assert fields["License-Expression"] == "MIT" and fields["Requires-Python"] == ">=3.10"
    assert fields.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@needs_compiler
def test_a_wheel_works_without_a_compiler(wheel, tmp_path):
    environment = Environment(tmp_path / "environment")
    environment.install(wheel)
    environment.check(kernel="1")
    code = "from pycharrnn.cli import doctor; doctor._SECONDS = 0; doctor.examine(print)"
    assert environment.run("-c", code).count(" ok\n") >= 3  # needs no file beside the modules


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="compilers are not found by PATH there")
def test_an_sdist_works_without_a_compiler(sdist, tmp_path):
    environment = Environment(tmp_path / "environment")
    environment.install(sdist)
    environment.check(kernel="0")
    code = "from pycharrnn.engine import kernel_library; print(*kernel_library.why_not_better())"
    assert environment.run("-c", code).endswith(": No such file or directory)\n")


@pytest.fixture
def clone(sdist, tmp_path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / f"pycharrnn-{__version__}"


@pytest.mark.slow
@needs_compiler
def test_a_clone_beside_an_installation_uses_its_kernel(wheel, clone, tmp_path):
    """`pycharrnn` and, in the clone, `python -m pycharrnn` give the same digits at the same speed."""
    environment = Environment(tmp_path / "environment")
    environment.install(wheel)
    package, kernel = environment.files()
    assert kernel.parent == package and tmp_path / "environment" in package.parents
    assert environment.files(cwd=clone) == (clone / "pycharrnn", kernel)
    with open(clone / "pycharrnn" / "kernel_math.h", "a", encoding="utf-8") as f:
        f.write("\n")  # other sources may not use it
    assert environment.files(cwd=clone) == (clone / "pycharrnn", None)
    assert environment.files() == (package, kernel)


def test_a_script_beside_the_clone(source, tmp_path):
    """It finds an editable installation although the clone's folder, which has no __init__.py, has the same name."""
    wheels, site_packages = tmp_path / "wheels", tmp_path / "site-packages"
    (tmp_path / "scripts" / "pycharrnn").mkdir(parents=True)
    code = f"from setuptools import build_meta; build_meta.build_editable({str(wheels)!r})"
    checked([sys.executable, "-c", code], cwd=source, env=clean_environment(CC="none"))
    shutil.unpack_archive(next(wheels.iterdir()), site_packages, "zip")
    code = f"import site; site.addsitedir({str(site_packages)!r}); import pycharrnn; print(pycharrnn.__file__)"
    ended = checked([sys.executable, "-S", "-c", code], cwd=tmp_path / "scripts", env=clean_environment())
    assert Path(ended.stdout.strip()) == source / "pycharrnn" / "__init__.py"


@pytest.mark.slow
@needs_compiler
def test_an_editable_installation(clone, tmp_path):
    """It compiles the kernel in place; changed C sources, as after `git pull`, are noticed until it is made again."""
    environment = Environment(tmp_path / "environment")
    compiler = compiler_without("-mavx", tmp_path)  # one level will do
    settings = {"PATH": os.environ["PATH"], "CC": str(compiler), "PYCHARRNN_CFLAGS": "-O0"}
    environment.install("-e", clone, **settings)
    kernels = clone / "pycharrnn"
    package, kernel = environment.files()
    assert (package, kernel.parent) == (kernels, kernels)
    assert environment.files(cwd=clone) == (package, kernel)
    with open(kernels / "kernel_math.h", "a", encoding="utf-8") as f:
        f.write("\n")
    assert environment.files() == (package, None)
    code = "from pycharrnn.engine import kernel_library; print(*kernel_library.why_not_better())"
    said = environment.run("-c", code)
    assert said.endswith(f"(it was compiled from C sources that have changed since): run pip install -e {clone}\n")
    environment.install("-e", clone, **settings)
    assert environment.files() == (package, kernel)


# -- another compat --------------------------------------------------------------------------------------------------


ANOTHER = "ImportError: another package called 'compat' ({}) is found in the place of pycharrnn's: rename or uninstall"


def importing(*paths: Path, first: str = "") -> str:
    """The last line on stderr of a program that imports pycharrnn."""
    environment = clean_environment(PYTHONPATH=os.pathsep.join(map(str, paths)))
    code = [sys.executable, "-c", f"{first}import pycharrnn"]
    ended = subprocess.run(code, env=environment, cwd=paths[0], capture_output=True, text=True)
    return "".join(ended.stderr.splitlines()[-1:])


@pytest.mark.parametrize("name", ["compat.py", "compat/__init__.py"])
def test_another_package_of_the_name_compat(name, tmp_path):
    """One that Python finds before ours is named, in one sentence."""
    other = tmp_path / name
    other.parent.mkdir(exist_ok=True)
    other.write_text("", encoding="utf-8")
    assert importing(tmp_path, ROOT).startswith(ANOTHER.format(other))


def test_a_compat_that_is_not_found_before_ours(tmp_path):
    (tmp_path / "compat").mkdir()
    (tmp_path / "compat" / "other.py").write_text("", encoding="utf-8")
    assert importing(tmp_path, ROOT) == ""


def test_another_compat_installed_over_ours(source):
    """And then uninstalled."""
    assert importing(source) == ""
    ours = source / "compat" / "__init__.py"
    ours.write_text("word = 'not ours'\n", encoding="utf-8")
    assert importing(source).startswith(ANOTHER.format(ours))
    ours.unlink()
    no_other = (
        f"import sys; sys.path[:] = [path for path in sys.path if path != {str(ROOT)!r}]; "  # installed as editable
    )
    assert importing(source, first=no_other).startswith(ANOTHER.format("without a file"))


def test_a_module_compat_that_was_never_a_file():
    first = "import sys, types; sys.modules['compat'] = types.ModuleType('compat'); "
    assert importing(ROOT, first=first).startswith(ANOTHER.format("without a file"))


def test_packages_in_an_archive(source):
    """Where there is no file to look at."""
    packed = source / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in [*source.glob("compat/*.py"), *source.glob("pycharrnn/_*.py")]:
            archive.write(path, path.relative_to(source))
    (source / "empty").mkdir()
    assert importing(source / "empty", first=f"import sys; sys.path.insert(0, {str(packed)!r}); ") == ""
