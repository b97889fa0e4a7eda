"""What is said before and after memory runs out."""

from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from pycharrnn.common import memory
from pycharrnn.common.errors import UserError


def test_what_fits_is_let_through():
    memory.check(100, "-beam 1", 100)
    memory.check(0, "-beam 1")
    memory.check(1e300, "-beam 1", math.inf)


@pytest.mark.parametrize("need, words", [(2.5e9, "2.5 GB"), (10**400, "1e+291 GB"), (1234567890123, "1.23e+03 GB")])
def test_what_does_not_fit_is_refused(need, words):
    with pytest.raises(UserError) as raised:
        memory.check(need, "-beam 7", 2e9)
    assert str(raised.value) == (
        f"-beam 7 takes about {words} of memory, but only 2 GB is available: use smaller values."
    )


def test_without_a_device_the_main_memory_counts(monkeypatch):
    monkeypatch.setattr(memory, "_main_memory", lambda: 1e9)
    memory.check(1e9, "x")
    with pytest.raises(UserError, match="only 1 GB is available"):
        memory.check(1e9 + 1, "x")
    memory.check(1e9 + 1, "x", 2e9)


def test_the_limits_are_not_read_for_a_little(monkeypatch):
    """It would take as long as a short sample."""
    monkeypatch.setattr(memory, "_main_memory", lambda: pytest.fail("they were read"))
    memory.check(1e6, "x")


@pytest.mark.parametrize(
    "error, said",
    [
        (MemoryError(), "out of memory: use smaller values, or end other programs."),
        (
            MemoryError("Unable to allocate 7.5 GiB for an array"),
            "out of memory, 7.5 GiB more were needed: use smaller values, or end other programs.",
        ),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB."),
            "out of memory, 20.00 MiB more were needed: use smaller values, or end other programs.",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 800 bytes."),
            "out of memory, 800 bytes more were needed: use smaller values, or end other programs.",
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            "out of memory: use smaller values, or end other programs.",
        ),
        (RuntimeError("not enough memory"), "out of memory: use smaller values, or end other programs."),
        (OSError("Not enough memory resources"), "out of memory: use smaller values, or end other programs."),
        (
            OSError(errno.ENOMEM, "Cannot allocate memory", "a folder"),
            "out of memory: use smaller values, or end other programs.",
        ),
        (OSError(errno.ENOENT, "No such file or directory", "out of memory.txt"), None),
        (RuntimeError("shapes differ"), None),
        (ValueError("memory"), None),
    ],
)
def test_exceptions_that_mean_that_memory_ran_out(error, said):
    assert memory.ran_out(error) == said


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="Windows does not tell")
def test_the_main_memory_is_the_smaller_of_machine_and_limit():
    code = (
        "import os, resource\n"
        "from pycharrnn.common import memory\n"
        "machine = memory._main_memory()\n"
        "assert machine <= os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))\n"
        "assert memory._main_memory() == min(1 << 30, machine)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)\n"
        "assert memory._main_memory() == machine\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.parametrize(
    "groups, files, found",
    [
        ("0::/\n", {"memory.max": "5000\n"}, [5000]),
        ("0::/slurm/job_7\n", {"slurm/memory.max": "max\n", "slurm/job_7/memory.max": "600\n"}, [600]),
        ("3:cpu:/a\n4:memory:/a:b\n0::/\n", {"memory/memory.limit_in_bytes": "9000\n", "a/memory.max": "1\n"}, [9000]),
        ("4:memory:/a:b\n", {"memory/a:b/memory.limit_in_bytes": "7\n", "memory/memory.limit_in_bytes": "8\n"}, [7, 8]),
        ("0::/gone\n", {}, []),
    ],
    ids=["container", "job", "version 1", "nested", "unknown"],
)
def test_the_limits_of_control_groups(tmp_path, groups, files, found):
    for name, content in {"../../../proc/self/cgroup": groups, **files}.items():
        path = Path(os.path.normpath(tmp_path / "sys/fs/cgroup" / name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    assert list(memory._group_limits(tmp_path)) == found
    (tmp_path / "proc/self/cgroup").unlink()
    assert not list(memory._group_limits(tmp_path))
