"""pycharrnn: char-rnn in Python."""

import hashlib
import os
import platform
import re
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

here = Path(__file__).parent
version = re.search(r'__version__ = "(.+)"', (here / "pycharrnn" / "__init__.py").read_text())[1]

# The C kernel, once for each instruction set the processor may have; pycharrnn/engine/kernel_library.py chooses.
# Without a compiler, or with one that does not understand GCC's vector types, installing goes on and PyTorch and
# NumPy do the work.
names = ("kernel.c", "kernel_body.h", "kernel_threads.h", "kernel_predict.h", "kernel_draw.h")
sources = [f"pycharrnn/{name}" for name in names]
stamp = hashlib.sha256(b"".join((here / source).read_bytes() for source in sources)).hexdigest()
# No product and sum become one operation but where kernel.c says so: results are the same bits whatever compiles it.
# Loops start where they are fetched at once: else what stands above one makes it up to a tenth slower, or faster.
optimization = ["-O3", "-falign-functions=64", "-falign-loops=32"]
arithmetic = ["-ffp-contract=off", "-fno-math-errno"]
more_flags = os.environ.get("PYCHARRNN_CFLAGS", "").split()  # make sanitize gives some; they come last, so they count
instruction_sets = {"any": []}
if platform.machine() in ("x86_64", "AMD64"):
    instruction_sets["avx2"] = ["-mavx2", "-mfma"]
    instruction_sets["avx512"] = ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mavx2", "-mfma"]
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


class BuildWithChecksums(build_ext):
    """Builds the libraries, each anew, and writes beside each a checksum, without which it is not loaded."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()
        self.force = True  # what an earlier build has left may be damaged, and must not get a checksum
        self.checksums = {}

    def build_extension(self, extension):
        super().build_extension(extension)
        library = Path(self.get_ext_fullpath(extension.name))
        self.checksums[extension.name] = hashlib.sha256(library.read_bytes()).hexdigest()

    def run(self):
        super().run()  # at its end, an editable installation copies the libraries to where get_ext_fullpath is then
        for name, checksum in self.checksums.items():
            library = Path(self.get_ext_fullpath(name))
            Path(f"{library}.sha256").write_text(f"{checksum}  {library.name}\n")


setup(
    name="pycharrnn",
    version=version,
    description="char-rnn in Python: exact to the last digit, reads and writes its .t7 checkpoints",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=["compat", *find_packages(include=["pycharrnn", "pycharrnn.*"])],
    package_data={"pycharrnn": ["kernel*.[ch]", "py.typed"], "pycharrnn.page": ["files/*"]},
    ext_modules=kernels,
    cmdclass={"build_ext": BuildWithChecksums},
    install_requires=[
        "click>=8.1,<9",
        "numpy>=1.24,<3",
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
            "pytest-xdist>=3.5,<4",
            "hypothesis>=6.100,<7",
            "schemathesis>=4,<5",
            "ruff>=0.15,<1",
            "mypy>=1.18,<3",
            "import-linter>=2.5,<3",
            "pytest-cov>=6,<8",
            "pyte>=0.8.1,<1",
            "nbclient>=0.10,<1",
            "nbformat>=5.10,<6",
            "ipykernel>=6.29,<8",
        ],
    },
    entry_points={"console_scripts": ["pycharrnn=pycharrnn.cli.commands:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
