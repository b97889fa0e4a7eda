"""Listing folders whose entries can't be followed, or vanish."""

from __future__ import annotations

import os

from pycharrnn.common import folder_walk


def test_a_file_that_is_removed_meanwhile_is_none(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    (tmp_path / "broken").symlink_to("nowhere")
    skipped: list[str] = []
    stat = os.stat

    def removes_b(path, *args, **keywords):
        if str(path).endswith("b"):
            os.unlink(path)
        return stat(path, *args, **keywords)

    monkeypatch.setattr(os, "stat", removes_b)
    found = folder_walk.list_folder(str(tmp_path), lambda path, why: skipped.append(os.path.basename(path)))
    assert [os.path.basename(path) for path, _ in found] == ["a", "c"]
    assert skipped == ["broken"]
