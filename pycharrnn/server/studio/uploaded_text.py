"""A text that was uploaded: a folder below studio/texts, with a JSON file beside it that describes it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError

from pycharrnn.common.display import escape_line, join_words
from pycharrnn.common.numbered_names import numbered
from pycharrnn.server.studio import studio_paths
from pycharrnn.server.studio.studio_paths import Refusal
from pycharrnn.text import labels
from pycharrnn.text.corpus import safe_name

MAX_FILES = 5000  # of a text
_MAX_DEPTH = 8  # folders
_MAX_NAMED = 50  # files and folders on a command line; of more, the folder that holds them is named
_LOOSE = "input"  # folder of files of several folders, or of none; `train` may name their text after it
_ENDING = re.compile(r"\.\w{1,12}", re.ASCII)


class _Description(BaseModel):
    """The content of the JSON file, which stays when the server ends.

    Attributes:
        folder: name here of the folder that holds all files; "" without one.
        given: the parts of the client's name of that folder.
    """

    folder: str
    given: list[str] = []


@dataclass(eq=False)
class UploadedText:
    """A text. Names from clients choose among names of its files; they never are paths.

    Attributes:
        begun: time.monotonic() when this server began it; None for a text of an earlier server, whose description and
            files are on the disk, but nothing else is known of it. is_used: whether a run uses it.
    """

    id: str
    begun: float | None = None
    is_used: bool = False
    # The paths that its files have or will have, in lower case: on some systems A and a are one name.
    _taken: set[str] = field(default_factory=set)
    _given: dict[str, str] = field(default_factory=dict)  # path below its folder -> the client's name
    _folders: dict[str, str] = field(default_factory=dict)  # a client's folder -> path below the text's folder

    @classmethod
    def begin(cls, name: str, is_folder: bool) -> UploadedText:
        """A new text. `name`: of the folder that holds all its files. Errors: OSError."""
        text = cls(studio_paths.new_id("t"), time.monotonic())
        os.makedirs(text._folder)
        described = _Description(folder=safe_name(name), given=_parts(name)) if is_folder else _Description(folder="")
        studio_paths.write_json(_description_of(text.id), described.model_dump())
        if is_folder:
            text._given[described.folder] = name
        return text

    @property
    def _folder(self) -> str:
        return _folder_of(self.id)

    def _described(self) -> _Description:
        """Errors: Refusal if the user has removed it, or somebody has put another file in its place."""
        try:
            found = _Description.model_validate(studio_paths.read_json(_description_of(self.id)))
        except ValidationError:
            raise gone() from None
        if found.folder and found.folder != safe_name(found.folder):
            raise gone()
        return found

    def path_for(self, name: str) -> str:
        """A free path for the file of a client's `name`, which may have folders. Errors: Refusal; OSError."""
        described = self._described()
        if self.is_used:
            raise Refusal(409, "a run uses this text already: drop the files again, as a new text.")
        if len(self._taken) >= MAX_FILES:
            raise Refusal(422, f"a text has {MAX_FILES:,} files at most; join some, or leave some out.")
        *folders, file = _parts(name) or [""]
        own = described.given  # what the names of the files of a text in a folder begin with
        if folders[: len(own)] != own:
            text = f"the folder {escape_line('/'.join(own))} of this text"
            raise Refusal(422, f"{escape_line(name)} is not in {text}: begin another text for it.")
        folder = self._folder_for(described.folder, folders[len(own) :])
        stem, ending = os.path.splitext(f"{folder}/{_safe(file, bool(described.folder))}")
        path = _free(stem, ending, self._taken | self._names_of_folders())
        self._taken.add(path.lower())
        self._given[path] = name
        whole = f"{self._folder}/{path}"
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        return whole

    def _folder_for(self, root: str, folders: list[str]) -> str:
        """The path below `root` for a client's nested `folders`; folders whose safe names are equal stay apart."""
        path = root or _LOOSE
        for depth, part in enumerate(folders[: _MAX_DEPTH - 1], 1):
            given = "/".join(folders[:depth])
            if given not in self._folders:
                others = self._taken | self._names_of_folders()
                self._folders[given] = _free(f"{path}/{_safe(part, bool(root))}", "", others)
            path = self._folders[given]
        return path

    def _names_of_folders(self) -> set[str]:
        """In lower case, as _taken."""
        return {path.lower() for path in self._folders.values()}

    def give_up(self, path: str) -> None:
        """Free a path that no file was written to."""
        self._taken.discard(path.removeprefix(f"{self._folder}/").lower())

    def paths(self) -> list[str]:
        """What to train on: the files and folders that were dropped, or the folder that holds them. Errors: Refusal."""
        described = self._described()
        whole = f"{self._folder}/{described.folder or _LOOSE}"
        if described.folder:
            return [whole]
        dropped = [
            f"{whole}/{name}"
            for name in sorted(studio_paths.names_in(whole))
            if not name.startswith(".") and _has_file(f"{whole}/{name}")
        ]
        if not dropped:
            raise Refusal(422, "there is no text yet: drop a file, or paste one.")
        return dropped if len(dropped) <= _MAX_NAMED else [whole]

    def renamed(self, label: str) -> str:
        """A sentence on the names that were changed and are labels; "" without such names.

        `label`: the value of -label.
        """
        if label not in labels.FROM_PATH:
            return ""
        part = labels.FROM_PATH[label]
        paths = [(_parts(given), kept.split("/")) for kept, given in self._given.items()]
        names = dict.fromkeys(
            (given[part], kept[part]) for given, kept in paths if len(kept) > 1 and len(given) >= -part
        )
        changed = [f"{escape_line(given)} is {kept}" for given, kept in names if kept != given]
        if not changed:
            return ""
        return f"names were changed to be safe and distinct, and labels follow the new names: {join_words(changed)}."

    def without_folder(self, sentence: str) -> str:
        """A sentence about the text, with the names of its files as the client has them."""

        def named(found: re.Match[str]) -> str:
            path = found[1].rstrip(".")
            return escape_line(self._given.get(path, path.removeprefix(f"{_LOOSE}/"))) + found[1][len(path) :]

        return re.sub(rf"{re.escape(self._folder)}/([\w./-]+)", named, sentence)


def gone() -> Refusal:
    """The refusal of a text that is not on the disk."""
    return Refusal(404, "this text is not here any more: drop it again.")


def files_of(text_id: str) -> list[str]:
    """The paths of a text's folder and description; [] if they were removed."""
    return [path for path in (_folder_of(text_id), _description_of(text_id)) if os.path.lexists(path)]


def _folder_of(text_id: str) -> str:
    return f"{studio_paths.TEXTS}/{text_id}"


def _description_of(text_id: str) -> str:
    return f"{studio_paths.TEXTS}/{text_id}.json"


def _parts(name: str) -> list[str]:
    """The parts of a client's path, without those that lead elsewhere."""
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def _free(stem: str, ending: str, taken: Collection[str]) -> str:
    """The path of stem and ending, with a number between them if it is among `taken`, in lower case."""
    return next(path for path in numbered(stem, ending) if path.lower() not in taken)


def _has_file(path: str) -> bool:
    """Whether a path is a file, or a folder with a file that is not hidden."""
    if not os.path.isdir(path):
        return True
    return any(not name.startswith(".") for _, _, names in os.walk(path) for name in names)


def safe_file_name(name: str) -> str:
    """As safe_name, with the ending of a name that is too long.

    Example:
        >>> safe_file_name("a b.t7"), len(safe_file_name(f"{'x' * 300}.html"))
        ('a_b.t7', 85)
    """
    stem, ending = os.path.splitext(name.strip())
    if not _ENDING.fullmatch(ending):
        return safe_name(name)
    return safe_name(stem) + ending


def _safe(part: str, may_be_hidden: bool) -> str:
    """A part of a path as a safe name. A hidden file of a dropped folder stays hidden, so that it is left out."""
    return f".{safe_name(part)}" if may_be_hidden and part.startswith(".") else safe_file_name(part)
