"""Files that appear whole or not at all, and what killed processes leave of them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
import sys
import threading

import pytest
from conftest import ROOT, is_open

from compat import atomic_write as module
from compat.atomic_write import atomic_link, atomic_write

WRITER = """
import os, sys
from compat.atomic_write import atomic_write
with atomic_write(sys.argv[1]) as f:
    f.write(b"half")
    print("writing", flush=True)
    sys.stdin.readline()
"""


@contextlib.contextmanager
def another_process_that_writes(path):
    command = [sys.executable, "-c", WRITER, os.fspath(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().split() == [b"writing"]
        yield process


def write(path, content: bytes) -> None:
    with atomic_write(path) as f:
        f.write(content)


def test_files_appear_whole_or_not_at_all(tmp_path):
    path = tmp_path / "v.t7"
    path.write_bytes(b"before")

    class Stop(BaseException):
        pass

    with pytest.raises(Stop), atomic_write(path) as f:
        f.write(b"half")
        raise Stop
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["v.t7"]
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "nowhere" / "v.t7"):
        pass
    assert caught.value.filename == str(tmp_path / "nowhere" / "v.t7")


def test_the_content_reaches_the_disk_before_the_name(tmp_path, monkeypatch):
    synced: list[tuple[int, bool]] = []
    fsync = lambda fd: synced.append((os.fstat(fd).st_size, (tmp_path / "x").exists()))  # noqa: E731
    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_write(tmp_path / "x") as f:
        f.write(b"four")
    assert synced[0] == (4, False)


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_an_error_of_the_disk_names_the_file(tmp_path, monkeypatch, number):
    path = tmp_path / "v.t7"
    path.write_bytes(b"before")

    def broken(fd):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        write(path, b"after")
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["v.t7"]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        for _ in range(2):
            with atomic_write(tmp_path / "x"):
                pass
            assert (tmp_path / "x").stat().st_mode & 0o7777 == 0o640
            (tmp_path / "x").unlink()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_a_file_that_windows_does_not_replace_stays_alone(tmp_path, monkeypatch):
    """One that is read-only: it is neither replaced nor removed there."""
    path, (replace, unlink) = tmp_path / "x", (os.replace, os.unlink)
    path.write_bytes(b"before")
    path.chmod(0o444)

    def refused(name: str) -> None:
        if not os.stat(name).st_mode & 0o200:
            raise PermissionError(errno.EACCES, "Permission denied", name)

    monkeypatch.setattr(os, "replace", lambda source, target: refused(target) or replace(source, target))
    monkeypatch.setattr(os, "unlink", lambda name: refused(name) or unlink(name))
    with monkeypatch.context() as there, pytest.raises(PermissionError):
        there.setattr(os, "name", "nt")
        with atomic_write(str(path)) as f:
            f.write(b"after")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("x", b"before")]


def test_a_file_that_another_program_has_open_for_a_moment_is_replaced(tmp_path, monkeypatch):
    """On Windows, such as a checkpoint that is being read or indexed."""
    path, replace, tries = tmp_path / "x", os.replace, []

    def refused_twice(source: str, target: str) -> None:
        tries.append(target)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, "Permission denied", target)
        replace(source, target)

    path.write_bytes(b"before")
    with monkeypatch.context() as there:
        there.setattr(os, "name", "nt")
        there.setattr(os, "replace", refused_twice)
        with atomic_write(str(path)) as f:
            f.write(b"after")
    assert path.read_bytes() == b"after" and len(tries) == 3


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    path = tmp_path / "v.t7"
    path.write_bytes(b"before")
    path.chmod(0o640)
    with atomic_write(path) as f:
        assert all(p.stat().st_mode & 0o777 == 0o640 for p in tmp_path.iterdir())
        f.write(b"after")
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_of_another_user_is_named(tmp_path, monkeypatch):
    """In a folder where only its owner may replace it; the temporary file is gone."""

    def refuse(source, target):
        raise PermissionError(errno.EPERM, "Operation not permitted", source, None, target)

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(os, "name", "posix")
    path = tmp_path / "theirs.t7"
    with pytest.raises(PermissionError) as refused, atomic_write(path) as f:
        f.write(b"x")
    assert refused.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_second_names(tmp_path, monkeypatch):
    def link(source, target):
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(os, "link", link)
    (tmp_path / "source").write_bytes(b"a" * (3 << 20))
    atomic_link(tmp_path / "source", tmp_path / "target")
    (tmp_path / "source").write_bytes(b"b")
    assert (tmp_path / "target").read_bytes() == b"a" * (3 << 20)
    with pytest.raises(FileNotFoundError):
        atomic_link(tmp_path / "nothing", tmp_path / "target")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source", "target"]


def test_a_second_name_needs_a_file_and_a_folder(tmp_path):
    """It is not tried again and again, as where another process replaces the file at that moment."""
    (tmp_path / "source").write_bytes(b"a")
    for source, target in (("nothing", "target"), ("source", "no folder/target")):
        with pytest.raises(FileNotFoundError):
            module._link(str(tmp_path / source), str(tmp_path / target))  # which atomic_link would try again
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


@pytest.mark.skipif(os.name == "nt", reason="folders of POSIX")
@pytest.mark.parametrize("write", ["file", "link"])
def test_a_rename_reaches_the_disk(tmp_path, monkeypatch, write):
    """The folder is synced after the file has got its name; where that fails for good, it is said."""
    (tmp_path / "source").touch()
    synced: list[tuple[bool, bool]] = []
    number = 0

    def fsync(fd):
        is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
        synced.append((is_folder, (tmp_path / "x").exists()))
        if is_folder and number:
            raise OSError(number, "no")

    def make():
        if write == "link":
            atomic_link(tmp_path / "source", tmp_path / "x")
        else:
            with atomic_write(tmp_path / "x") as f:
                f.write(b"x")

    monkeypatch.setattr(os, "fsync", fsync)
    make()
    assert synced[-1] == (True, True)
    number = errno.EINVAL  # some systems can't sync a folder
    make()
    for number in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
        with pytest.raises(OSError) as error:
            make()
        assert error.value.errno == number
    if sys.platform == "linux":
        assert not is_open(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows limits whole paths, not names")
def test_the_longest_name_that_a_file_can_have(tmp_path):
    path = tmp_path / ("x" * 255)
    with atomic_write(path) as f:
        f.write(b"a")
    atomic_link(path, tmp_path / ("y" * 255))
    assert path.read_bytes() == (tmp_path / ("y" * 255)).read_bytes() == b"a"
    assert path.samefile(tmp_path / ("y" * 255))


def test_a_second_name_that_is_the_first(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"a")
    atomic_link(path, path)
    atomic_link(path, tmp_path / "y")
    atomic_link(path, tmp_path / "y")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x", "y"]


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
def test_a_link_is_written_through(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").write_bytes(b"before")
    (tmp_path / "link").symlink_to("there/file")
    (tmp_path / "dangling").symlink_to("there/new")
    for name in ("link", "dangling"):
        with atomic_write(tmp_path / name) as f:
            f.write(name.encode())
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "there/file").read_bytes() == b"link"
    assert (tmp_path / "there/new").read_bytes() == b"dangling"
    atomic_link(tmp_path / "there/new", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there/file").read_bytes() == b"dangling"
    atomic_link(tmp_path / "link", tmp_path / "second")  # not a hard link to the link
    assert (tmp_path / "second").samefile(tmp_path / "there/file") and not (tmp_path / "second").is_symlink()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="symbolic links"), atomic_write(tmp_path / "circle"):
        pass
    assert sorted(p.name for p in tmp_path.rglob("*")) == [
        "circle",
        "dangling",
        "file",
        "link",
        "new",
        "second",
        "there",
    ]


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
def test_what_is_no_file_is_written_to_as_it_is(tmp_path):
    pipe = tmp_path / "pipe.t7"
    os.mkfifo(pipe)
    read: list[bytes] = []

    def write_to(path):
        with atomic_write(path) as f:
            f.write(b"text")

    for write in (lambda: write_to(pipe), lambda: atomic_link(tmp_path / "source", pipe)):
        (tmp_path / "source").write_bytes(b"source")
        thread = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
        thread.start()
        write()
        thread.join(60)
    assert read == [b"text", b"source"]
    assert pipe.is_fifo()
    if os.path.isdir("/proc/self/fd"):  # whose links to pipes name no path
        receives, sends = os.pipe()
        write_to(f"/proc/self/fd/{sends}")
        os.close(sends)
        assert os.read(receives, 100) == b"text"
        os.close(receives)
    with atomic_write(os.devnull) as f:
        f.write(b"nothing")
    assert not os.path.isfile(os.devnull)
    with pytest.raises(IsADirectoryError), atomic_write(tmp_path):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pipe.t7", "source"]


# -- leftovers of killed processes -----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
@pytest.mark.parametrize(
    "name", ["o.json", "x" * 251, "x" * 255, "\u6587" * 81 + ".t7"], ids=["short", "long", "longest", "multibyte"]
)
def test_the_next_write_removes_the_file_of_a_killed_process(tmp_path, name):
    with another_process_that_writes(tmp_path / name) as process:
        assert len(list(tmp_path.iterdir())) == 1
        process.kill()
    assert [p.suffix for p in tmp_path.iterdir()] == [".tmp"]
    write(tmp_path / name, b"whole")
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_a_file_that_another_process_is_writing_stays(tmp_path):
    with another_process_that_writes(tmp_path / "o") as first, another_process_that_writes(tmp_path / "o") as second:
        assert len(list(tmp_path.iterdir())) == 2
        write(tmp_path / "o", b"third")
        module.remove_leftovers(str(tmp_path), lambda target: True)
        assert len(list(tmp_path.iterdir())) == 3
        second.kill()
        second.wait()
        write(tmp_path / "o", b"fourth")  # which removes what the second left, under another name
        assert len(list(tmp_path.iterdir())) == 2
        first.communicate(b"\n")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("o", b"half")]


def test_threads_that_write_one_file_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    contents = [bytes([k]) * 1000 for k in range(16)]
    faults = []

    def writes(content: bytes) -> None:
        try:
            for _ in range(100):
                write(tmp_path / "o", content)
                atomic_link(tmp_path / "o", tmp_path / "link")
        except OSError as e:
            faults.append(e)

    before = os.umask(0o027)
    try:
        threads = [threading.Thread(target=writes, args=[content]) for content in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        assert os.umask(before) == 0o027
    assert not faults
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "o"]
    assert (tmp_path / "o").read_bytes() in contents and (tmp_path / "link").read_bytes() in contents


def test_a_link_that_a_killed_process_has_left(tmp_path):
    source, leftover = tmp_path / "lm_x_epoch1.00_2.0000.t7", tmp_path / ".lm_x_best.t7.tmp"
    source.write_bytes(b"whole")
    os.link(source, leftover)
    if os.name == "nt":
        os.utime(leftover, (1, 1))
    atomic_link(source, tmp_path / "lm_x_best.t7")
    os.link(source, leftover)
    write(tmp_path / "lm_x_best.t7", b"other")  # never through the second name of the checkpoint
    assert source.read_bytes() == b"whole"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lm_x_best.t7", source.name]


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
def test_what_others_have_put_under_a_temporary_name_stays(tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / ".o.tmp").symlink_to("mine")
    (tmp_path / ".o.1.tmp").mkdir()
    write(tmp_path / "o", b"whole")
    assert (tmp_path / "mine").read_bytes() == b"mine" and (tmp_path / "o").read_bytes() == b"whole"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".o.1.tmp", ".o.tmp", "mine", "o"]
