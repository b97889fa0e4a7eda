"""Files of a folder in which somebody else may have put links and pipes."""

from __future__ import annotations

import os

import pytest

from pycharrnn.common import regular_files

needs_links = pytest.mark.skipif(os.name == "nt", reason="Windows has few symbolic links, and no named pipes")


def opened(path, mode: str):
    return open(path, mode, opener=regular_files.opener)


def test_a_regular_file_is_opened(tmp_path):
    path = tmp_path / "a.txt"
    regular_files.check(str(path))
    with pytest.raises(FileNotFoundError):
        opened(path, "rb")
    for _ in range(2):
        with opened(path, "ab") as f:
            f.write(b"a\n")
    with opened(path, "rb") as f:
        assert f.read() == b"a\na\n"
    regular_files.check(str(path))
    assert not os.access(path, os.X_OK)


@needs_links
@pytest.mark.parametrize("target", ["letter.txt", "missing.txt"])
def test_a_link_is_not_followed(tmp_path, target):
    (tmp_path / "letter.txt").write_bytes(b"a letter")
    link = tmp_path / "link"
    link.symlink_to(target)
    for mode in ("rb", "ab", "wb"):
        with pytest.raises(OSError, match="it is a symbolic link: remove it"):
            opened(link, mode)
    with pytest.raises(OSError, match="it is a symbolic link: remove it"), regular_files.atomic_write(str(link)):
        pass
    with pytest.raises(OSError, match="it is a symbolic link: remove it"):
        regular_files.check(str(link))
    assert (tmp_path / "letter.txt").read_bytes() == b"a letter" and not (tmp_path / "missing.txt").exists()


@needs_links
@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir] if os.name != "nt" else [])
def test_what_is_no_file_is_not_waited_for(tmp_path, monkeypatch, put, is_late):
    """Nor is what takes the place of a file after it has been looked at."""
    put(tmp_path / "a")
    if is_late:
        monkeypatch.setattr(regular_files, "check", lambda path: None)
    for mode in ("rb", "r+b"):
        with pytest.raises(OSError) as raised:
            opened(tmp_path / "a", mode)
        assert is_late or raised.value.strerror == "it is not a regular file: remove it"


@needs_links
def test_a_link_that_is_put_there_meanwhile_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to("missing.txt")
    monkeypatch.setattr(regular_files, "check", lambda path: None)
    with pytest.raises(OSError):
        opened(tmp_path / "link", "ab")
    assert not (tmp_path / "missing.txt").exists()
