"""pycharrnn: char-rnn in Python."""

import hashlib
import os
import platform
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

here = Path(__file__).parent
version = re.search(r'__version__ = "(.+)"', (here / "pycharrnn" / "_version.py").read_text())[1]

# The C kernel, once for each instruction set the processor may have; pycharrnn/engine/kernel_library.py chooses.
# Without a compiler, or with one that does not understand GCC's vector types, installing goes on and PyTorch and
# NumPy do the work.
sources = sorted(f"pycharrnn/{path.name}" for path in (here / "pycharrnn").glob("kernel*.[ch]"))  # kernel.c is first
stamp = hashlib.sha256(b"".join((here / source).read_bytes() for source in sources)).hexdigest()
# No product and sum become one operation but where kernel.c says so: results are the same bits whatever compiles it.
# Loops start where they are fetched at once: else what stands above one makes it up to a tenth slower, or faster.
# Four fifths of a library would be for debuggers, and be read and hashed whenever it is loaded (-g0).
optimization = ["-O3", "-g0", "-falign-functions=64", "-falign-loops=32"]
arithmetic = ["-ffp-contract=off", "-fno-math-errno"]
more_flags = os.environ.get("PYCHARRNN_CFLAGS", "").split()  # make sanitize gives some; they come last, so they count
instruction_sets = {"any": []}  # from the least to the most
is_universal = sysconfig.get_platform().endswith("universal2")  # a Python that compiles for both kinds of Macs
if sysconfig.get_platform().endswith(("x86_64", "amd64")) or (is_universal and platform.machine() == "x86_64"):
    instruction_sets["avx2"] = ["-mavx2", "-mfma"]
    instruction_sets["avx512"] = ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mavx2", "-mfma"]
    instruction_sets["avx512bf16"] = ["-mavx512bf16", *instruction_sets["avx512"]]
if is_universal:  # Clang takes what follows each -Xarch_x86_64 for that half alone
    for level, flags in instruction_sets.items():
        instruction_sets[level] = [word for flag in flags for word in ("-Xarch_x86_64", flag)]
kernels = [
    Extension(
        f"pycharrnn._kernel_{name}",
        sources[:1],
        depends=sources[1:],
        define_macros=[("SOURCES", f'"{stamp}"')],
        extra_compile_args=[*optimization, *arithmetic, "-fvisibility=hidden", *flags, *more_flags],
        extra_link_args=["-pthread", *more_flags],
        optional=True,
    )
    for name, flags in instruction_sets.items()
]


class BuildKernels(build_ext):
    """Builds the kernels as plain shared libraries, which use nothing of Python: one serves all its versions.

    Each is built anew, for what an earlier build has left may be damaged. Beside it comes a checksum, without which it
    is not loaded; or in its place, where it could not be compiled, the reason, a line of text for `pycharrnn doctor`.
    """

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()
        self.checksums = {}
        self.reasons = {}

    def get_ext_filename(self, fullname):
        return os.path.join(*fullname.split(".")) + (".dll" if os.name == "nt" else ".so")

    def build_extension(self, extension):
        library = Path(self.get_ext_fullpath(extension.name))
        compiled = Path(self.build_temp, f"{extension.name}.o")
        library.parent.mkdir(parents=True, exist_ok=True)
        compiled.parent.mkdir(parents=True, exist_ok=True)
        if self.compiler.compiler_type == "msvc":
            reason = "Microsoft's compiler does not know the vector types of GCC and Clang"
        else:
            flags = [*(f"-D{name}={value}" for name, value in extension.define_macros), *extension.extra_compile_args]
            compile_it = [*self.compiler.compiler_so, *flags, "-c", *extension.sources, "-o", str(compiled)]
            link_it = [*self.compiler.linker_so, str(compiled), *extension.extra_link_args, "-o", str(library)]
            reason = failure(compile_it) or failure(link_it)
        if reason:
            self.reasons[extension.name] = reason
        else:
            self.checksums[extension.name] = hashlib.sha256(library.read_bytes()).hexdigest()

    def run(self):
        super().run()  # at its end, an editable installation copies the libraries to where get_ext_fullpath is then
        folder, written = Path(self.get_ext_fullpath(kernels[0].name)).parent, set()
        for name, checksum in self.checksums.items():
            library = Path(self.get_ext_fullpath(name))
            Path(f"{library}.sha256").write_text(f"{checksum}  {library.name}\n", encoding="utf-8")
            written |= {library, Path(f"{library}.sha256")}
        for name, reason in self.reasons.items():
            left_out = Path(self.get_ext_fullpath(name)).with_suffix(".left_out")
            left_out.write_text(f"{reason}\n", encoding="utf-8")
            written.add(left_out)
        for earlier in set(folder.glob("_kernel_*")) - written:
            earlier.unlink()
        self.say_what_was_left_out()

    def say_what_was_left_out(self):
        """Print a line for each reason for which kernels were not compiled, and what follows from it."""
        for reason in dict.fromkeys(self.reasons.values()):
            left_out = [level for level in instruction_sets if self.reasons.get(f"pycharrnn._kernel_{level}") == reason]
            if "any" in left_out:
                follows = "computing on the CPU takes two to four times as long"
            else:
                follows = "processors that could run it use a slower one"
            levels = ", ".join(left_out)
            print(f"pycharrnn: the C kernel was not compiled ({levels}: {reason}), so {follows}.", file=sys.stderr)


def failure(command):
    """Run a compiler, and show its warnings. Returns: the first line that says what is wrong, or None."""
    environment = {**os.environ, "LC_ALL": "C"}
    if sys.platform == "darwin":  # as for Python's modules: for the system that the wheel names, not for this one only
        environment.setdefault("MACOSX_DEPLOYMENT_TARGET", str(sysconfig.get_config_var("MACOSX_DEPLOYMENT_TARGET")))
    try:
        ended = subprocess.run(command, env=environment, stderr=subprocess.PIPE, encoding="utf-8", errors="replace")
    except OSError as e:
        return f"{command[0]}: {e.strerror}"
    if ended.returncode:
        errors = (line.strip() for line in ended.stderr.splitlines() if "error" in line.lower())
        return next(errors, f"{command[0]} ended with status {ended.returncode}")
    sys.stderr.write(ended.stderr)
    return None


class PlatformWheel(bdist_wheel):
    """A wheel for one platform and every Python."""

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


setup(
    name="pycharrnn",
    version=version,
    description="char-rnn in Python: exact to the last digit, reads and writes its .t7 checkpoints",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license_expression="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=["compat", *find_packages(include=["pycharrnn", "pycharrnn.*"])],
    # With this, `pip install -e` adds a path. A hook would lose to a folder "pycharrnn" beside the user's script.
    package_dir={"": "."},
    package_data={
        "compat": ["py.typed"],
        "pycharrnn": ["kernel*.[ch]", "py.typed"],
        "pycharrnn.checkpoints": ["c/*"],
        "pycharrnn.page": ["files/*", "studio/*"],
    },
    ext_modules=kernels,
    cmdclass={"build_ext": BuildKernels, "bdist_wheel": PlatformWheel},
    install_requires=[
        "chardet>=7.6,<8",
        "click>=8.2.1,<9",
        "numpy>=1.24,<3",
        # Of the last PyTorch that there is for these Macs, 2.2.2, which does not work with NumPy 2.
        "numpy<2; sys_platform == 'darwin' and platform_machine == 'x86_64'",
        "torch>=2.1,<3",
        "torchfile>=0.1,<0.2",
    ],
    extras_require={
        "safetensors": ["safetensors>=0.4,<1"],
        "onnx": ["onnx>=1.16,<2"],
        "plot": ["matplotlib>=3.8,<4"],
        "serve": ["fastapi>=0.132,<1", "uvicorn>=0.29,<1", "h11>=0.14,<1"],
        "test": [
            "safetensors>=0.4,<1",
            "onnx>=1.16,<2",
            "onnxruntime>=1.20,<2",
            "matplotlib>=3.8,<4",
            "fastapi>=0.132,<1",
            "uvicorn>=0.29,<1",
            "h11>=0.14,<1",
            "httpx>=0.27,<1",
            "selenium>=4.20,<5",
            "pytest>=8,<10",
            "pytest-xdist>=3.8,<4",
            "hypothesis>=6.125,<7",
            "schemathesis>=4.20,<5",
            "jsonschema-rs>=0.41,<1",
            "setuptools>=77,<90",
            "ruff>=0.15,<1",
            "mypy>=1.18,<3",
            "import-linter>=2.5,<3",
            "pytest-cov>=6,<8",
            "pyte>=0.8.1,<1",
            "nbclient>=0.10,<1",
            "nbformat>=5.10,<6",
            "ipykernel>=6.29,<8",
        ],
        "versions": ["nox>=2025.5", "uv>=0.5,<1"],
    },
    entry_points={"console_scripts": ["pycharrnn=pycharrnn.__main__:main"]},
    keywords=["char-rnn", "lstm", "gru", "rnn", "language model", "text generation", "torch7", "t7", "pytorch"],
    classifiers=[
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: C",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Text Processing",
        "Typing :: Typed",
    ],
)
