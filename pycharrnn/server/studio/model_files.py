"""Models that are brought as files, and sent as files of another format: by the functions of `convert`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil

from pycharrnn.checkpoints import checkpoint, checkpoint_facts, folder_files, formats, html_file
from pycharrnn.common import memory
from pycharrnn.common.errors import UserError
from pycharrnn.common.numbered_names import numbered
from pycharrnn.page import saving
from pycharrnn.server.studio import run_record, studio_paths
from pycharrnn.server.studio.run_schemas import SendFormat
from pycharrnn.server.studio.studio_paths import INCOMING, MODELS, OUTGOING, Refusal
from pycharrnn.server.studio.uploaded_text import safe_file_name
from pycharrnn.text import file_kinds
from pycharrnn.text.corpus import safe_name

_PAGE_FIRST = sorted(formats.FORMATS, key=lambda f: f is not formats.HTML)  # since anyone can open a page
FORMATS = [SendFormat(format=f.name, what=f.what) for f in _PAGE_FIRST]
ENDINGS = [ending for f in formats.FORMATS if f.read for ending in f.endings]


def incoming_path(name: str) -> str:
    """A path for a file that is received, in a folder of its own. Errors: OSError."""
    folder = f"{INCOMING}/{studio_paths.new_id('i')}"
    os.makedirs(folder)
    return f"{folder}/{safe_file_name(name)}"


def bring(path: str) -> list[str]:
    """Check a received file, and put its models into models/. Returns: their paths. Errors: UserError; OSError.

    Of a model that is there by another name of its run, the path is that one's, and nothing is added.
    Nothing in the file is executed. A file of a format that counts in folders stays as it is; others become .t7.
    """
    shown = os.path.basename(path)
    kind = file_kinds.kind_of(path, shown)
    if kind not in (None, file_kinds.HTML, file_kinds.PAGE, file_kinds.JSON):
        way_out = f"to learn from it, {kind.way_out}, and give that to Learn"
        raise UserError(f"{shown} is {kind.name}, not a checkpoint: {way_out}.")
    try:
        return _put_into_models(path)
    except UserError as e:
        raise UserError(e.message.replace(path, shown)) from None
    except OSError:
        raise
    except Exception as e:  # a reader's own fault, or memory
        raise UserError(memory.ran_out(e) or f"can't read {shown} as a checkpoint ({type(e).__name__}).") from e


def _put_into_models(path: str) -> list[str]:
    """As `bring`; of a file that can't be read nothing is left there. Errors: any."""
    made, found = list[str](), list[str]()
    try:
        for model, name in _models_in(path):
            loaded = checkpoint.load(model)
            stem, ending = os.path.splitext(name)
            ending = ending.lower()
            if model == path and (ending in formats.IN_FOLDERS or formats.of(path) is None):
                target = _free(stem, ending if ending in formats.IN_FOLDERS else ".t7")
                os.replace(path, target)
            else:
                target = _free(stem, ".t7")
                checkpoint.convert(loaded, target)
            made.append(target)
            if same := _by_another_name(target):
                os.unlink(made.pop())
            found.append(same or target)
    except BaseException:
        for target in made:
            os.unlink(target)
        raise
    return list(dict.fromkeys(found))


def _models_in(path: str) -> list[tuple[str, str]]:
    """(path for `load`, name of a file) of each model in a file. Errors: UserError."""
    name = os.path.basename(path)
    if not formats.HTML.is_of(name):
        return [(path, name)]
    with checkpoint.reading(path):
        names = html_file.names(path)
    if len(names) <= 1:
        return [(path, name)]
    return [(f"{path}#{model}", f"{safe_name(model)}.t7") for model in names]


def _free(stem: str, ending: str) -> str:
    """A path in models/ that no file has, in any format, and that makes no file there a copy of another one."""

    def is_free(stem: str) -> bool:
        path = f"{stem}{ending}"
        names = [*(stem + e for e in formats.IN_FOLDERS), f"{path}{folder_files.COPY}"]
        names += [path.removesuffix(folder_files.COPY)] if path.endswith(folder_files.COPY) else []
        return not any(map(os.path.lexists, names))

    return next(filter(is_free, numbered(f"{MODELS}/{stem}"))) + ending


def _by_another_name(path: str) -> str:
    """Another name in models/ of the model at `path`, as lm_a_best.t7 of lm_a_latest.t7; "" without one.

    Lists of models have only one name of a checkpoint of a run.
    """
    paths = [f"{MODELS}/{name}" for name in sorted(studio_paths.names_in(MODELS))]
    for name, others in folder_files.each_once(paths).items():
        if path in (name, *others):
            return next((other for other in (name, *others) if other != path), "")
    return ""


def convert(path: str, name: str, title: str = "", about: str = "") -> str:
    """Write the model at `path` as another file, in a folder of its own. Returns: its path. Errors: UserError; OSError.

    Args:
        name: of a format in FORMATS. title, about: of a page; without a title it is that of the model's run.
    """
    if all(name != known.format for known in FORMATS):
        raise Refusal(422, f"format: there is no format {name[:20]!r}.")
    formats.check_options(f".{name}", formats.WriteOptions(title=title, about=about))
    folder = f"{OUTGOING}/{studio_paths.new_id('o')}"
    os.makedirs(folder)
    target = f"{folder}/{safe_name(os.path.splitext(os.path.basename(path))[0])}.{name}"
    try:
        loaded = checkpoint.load(path)
        if formats.HTML.is_of(target) and not title.strip():
            title = _title(path, checkpoint_facts.text_name(loaded))
        saving.save(target, loaded, path, formats.WriteOptions(title=title, about=about))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return target


def _title(path: str, text_name: str) -> str:
    """The heading of a page: the name of the model's run. "" = `text_name`: for other models, and poems_2 of poems."""
    name = run_record.owner_of(path)
    return "" if re.fullmatch(rf"{re.escape(text_name)}_\d+", name) else name


def clean() -> None:
    """Remove what requests of an earlier server left."""
    for folder, kind in ((INCOMING, "i"), (OUTGOING, "o")):
        for name in studio_paths.names_in(folder):
            if studio_paths.is_id(name, kind):  # others may be a user's own files
                shutil.rmtree(f"{folder}/{name}", ignore_errors=True)


def names_of_file(path: str) -> list[str]:
    """A checkpoint and its second names, such as lm_poems_best.t7, under which it would still be offered."""
    folder = os.path.dirname(path)
    names = [path]
    for name in sorted(filter(folder_files.may_be_checkpoint, studio_paths.names_in(folder))):
        other = f"{folder}/{name}"
        with contextlib.suppress(OSError):
            if os.path.normpath(other) != os.path.normpath(path) and os.path.samefile(other, path):
                names.append(other)
    return names
