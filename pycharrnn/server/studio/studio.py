"""What `pycharrnn studio` knows and does, between the paths of its API and the modules that each do one thing."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pycharrnn._version import __version__
from pycharrnn.common import extras
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import PrintLine
from pycharrnn.server import security
from pycharrnn.server.registry import FILE_GONE, NoSuchModel, Registry
from pycharrnn.server.studio import (
    model_files,
    run_command,
    run_record,
    run_views,
    studio_paths,
    trash,
    uploaded_text,
)
from pycharrnn.server.studio.run_progress import ProgressReader
from pycharrnn.server.studio.run_queue import RunQueue, free_name, no_such_run
from pycharrnn.server.studio.run_record import RunRecord
from pycharrnn.server.studio.run_schemas import (
    Brought,
    Command,
    Deleted,
    FilesToDelete,
    NewRun,
    Run,
    RunDetail,
    RunList,
    StudioFacts,
    StudioLimits,
    Undone,
)
from pycharrnn.server.studio.studio_paths import Refusal
from pycharrnn.server.studio.text_reading import TextReader
from pycharrnn.server.studio.text_schemas import Estimates, ReadText, TextFacts
from pycharrnn.server.studio.uploads import Texts
from pycharrnn.server.waiting import repeat
from pycharrnn.text import corpus
from pycharrnn.text.corpus import MAX_NAME, safe_name

_WATCH_SECONDS = 0.5
_HOUR, _DAY = 3600.0, 86_400.0  # seconds
_LEARN_ENDINGS = [".txt", ".md", ".html", ".htm"]  # for a file dialog; any plain text is read

_Result = TypeVar("_Result")


class Studio:
    """The texts, runs and models of the current folder. Its methods are called from one event loop.

    Args:
        models: of cv/ and models/. note: prints a line on stderr. environment: of trainings.
    """

    def __init__(self, models: Registry, note: PrintLine, environment: Mapping[str, str]) -> None:
        self._models, self._note, self._folder = models, note, os.getcwd()
        self._texts, self._progress = Texts(), ProgressReader()
        self._queue, self._reader = RunQueue(note, environment), TextReader(self._texts, environment)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="studio")  # all that changes runs
        self._one_conversion_at_a_time = asyncio.Lock()  # each takes memory
        used = run_record.texts_in_use()
        for text_id in used or {record.text for record in self._queue.records.values()}:
            self._texts.use(text_id)
        if used is not None:  # else any text may be that of a run
            self._texts.remove_all_but(used)
        model_files.clean()

    async def beside(self) -> None:
        """Follow the folders of models, watch the trainings, and clear up, until this task is cancelled."""

        async def watch() -> None:
            await self._call(self._queue.watch)

        async def clear() -> None:
            """Remove uploaded texts whose user has left without a training."""
            await self._call(self._texts.remove_abandoned, _DAY)

        await asyncio.gather(
            self._models.follow_folders(),
            repeat(watch, _WATCH_SECONDS, "look after the trainings", self._note),
            repeat(clear, _HOUR, "remove abandoned texts", self._note),
        )

    async def _call(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """A result of the thread that changes runs."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: function(*arguments))

    def facts(self) -> StudioFacts:
        can_train = extras.has_pytorch()
        limit = security.MAX_UPLOAD
        return StudioFacts(
            folder=self._folder,
            version=__version__,
            can_train=can_train,
            why_not="" if can_train else "learning needs PyTorch, which is not installed: pip install torch",
            limits=StudioLimits(file_bytes=limit, files=uploaded_text.MAX_FILES, model_bytes=limit),
            free_bytes=shutil.disk_usage(".").free,
            learn_endings=_LEARN_ENDINGS,
            bring_endings=model_files.ENDINGS,
            send_formats=model_files.FORMATS,
        )

    # -- texts ---------------------------------------------------------------------------------------------------------

    @property
    def texts(self) -> Texts:
        return self._texts

    async def read(self, text_id: str, asked: ReadText) -> TextFacts:
        """Errors: Refusal; UserError."""
        found = await self._reader.read(text_id, asked)
        found.name = await self._call(self._free_name, found.name)
        return found

    async def estimates(self, text_id: str, asked: ReadText, has_left: Callable[[], Awaitable[bool]]) -> Estimates:
        """As TextReader.estimates."""
        return await self._reader.estimates(text_id, asked, has_left)

    # -- runs ----------------------------------------------------------------------------------------------------------

    async def command(self, asked: NewRun) -> Command:
        """The command that `start` would run. Errors: Refusal; UserError."""
        words, _, _ = await self._call(self._words, asked, self._start_from(asked.init_from))
        return Command(command=run_command.as_typed(words), folder=self._folder)

    async def start(self, asked: NewRun) -> Run:
        """Put a new run into the queue. Errors: Refusal; UserError."""
        if not extras.has_pytorch():
            raise Refusal(422, self.facts().why_not)
        record = await self._call(self._add, asked, self._start_from(asked.init_from))
        return await self._view(record)

    def _start_from(self, model_id: str) -> str:
        return self._path_of(model_id) if model_id else ""

    def _words(self, asked: NewRun, init_from: str) -> tuple[list[str], str, list[str]]:
        """The words of a new run, its name, and the paths of its text. Errors: Refusal; UserError."""
        if (size := len(asked.name.encode())) > MAX_NAME:
            limit = f"it has {size} bytes, and {MAX_NAME} are allowed; a letter such as \u00e9 takes 2"
            raise Refusal(422, f"{flag('savefile')} is too long: {limit}.")
        text = self._texts.of(asked.text)
        paths = text.paths()
        name = self._free_name(asked.name if asked.name.strip() else corpus.name_of(paths))
        try:
            return run_command.start_words(paths, name, asked, init_from), name, paths
        except UserError as e:
            raise Refusal(422, text.without_folder(e.message)) from None

    def _add(self, asked: NewRun, init_from: str) -> RunRecord:
        words, name, paths = self._words(asked, init_from)
        files = trash.facts_of(paths)
        record = RunRecord(
            id=studio_paths.new_id("r"),
            name=name,
            text=asked.text,
            text_name=os.path.basename(paths[0]),
            bytes=files.bytes,
            choice=asked.choice,
            words=tuple(words),
            created=time.time(),
            resume_flags=tuple(run_command.resume_flags(asked)),
        )
        record = self._queue.add(record)
        self._texts.use(asked.text)
        return record

    def _free_name(self, wanted: str) -> str:
        """`wanted` as the name of a new run, which run_record requires to be safe: of at most MAX_NAME bytes, too."""
        taken = {record.name for record in self._queue.records.values()} | trash.names_of_runs()
        name = free_name(safe_name(wanted), taken)
        is_short = len(name.encode()) <= MAX_NAME
        return name if is_short else free_name(safe_name(wanted, MAX_NAME - len("_9999")), taken)

    async def stop(self, run_id: str, at_once: bool) -> Run:
        return await self._view(await self._call(self._queue.stop, run_id, at_once))

    async def go_on(self, run_id: str, minutes: float | None) -> Run:
        return await self._view(await self._call(self._queue.go_on, run_id, minutes))

    async def reorder(self, run_ids: list[str]) -> list[str]:
        return await self._call(self._queue.reorder, run_ids)

    async def runs(self) -> RunList:
        paths = self._models.paths()

        def views() -> RunList:
            records = sorted(self._queue.records.values(), key=lambda record: record.created, reverse=True)
            checkpoints = run_views.Checkpoints(paths)
            return RunList(runs=[self._view_of(record, checkpoints) for record in records], queue=self._queue.waiting)

        return await self._call(views)

    async def run(self, run_id: str) -> RunDetail:
        paths = self._models.paths()

        def view() -> RunDetail:
            record = self._queue.record(run_id)
            run = self._view_of(record, run_views.Checkpoints(paths))
            return run_views.detail(record, self._progress, run)

        return await self._call(view)

    async def _view(self, record: RunRecord) -> Run:
        paths = self._models.paths()
        current = self._queue.records.get  # the queue may have begun the run meanwhile
        return await self._call(lambda: self._view_of(current(record.id, record), run_views.Checkpoints(paths)))

    def _view_of(self, record: RunRecord, checkpoints: run_views.Checkpoints) -> Run:
        place = self._queue.waiting.index(record.id) + 1 if record.id in self._queue.waiting else None
        return run_views.view(
            record, self._progress.progress(record), place, record.id in self._queue.held, checkpoints
        )

    # -- models --------------------------------------------------------------------------------------------------------

    def _path_of(self, model_id: str) -> str:
        """Errors: Refusal."""
        try:
            return self._models.path(model_id)
        except NoSuchModel as e:
            raise Refusal(404, str(e)) from None

    async def bring(self, path: str) -> Brought:
        """Take the models of a received file. Errors: UserError; OSError; Refusal."""
        async with self._one_conversion_at_a_time:
            made = await asyncio.to_thread(model_files.bring, path)
            await self._models.scan_again()
        wanted = {os.path.normpath(target) for target in made}
        ids = [model_id for model_id, found in self._models.paths().items() if os.path.normpath(found) in wanted]
        count = "one model is" if len(made) == 1 else f"{len(made)} models are"
        return Brought(models=ids, sentence=f"{count} here to play with: {', '.join(sorted(made))}.")

    async def send(self, model_id: str, name: str, title: str = "", about: str = "") -> str:
        """Write a model in another format. Returns: the path, in a folder of its own. Errors: Refusal; UserError.

        title, about: of a page.
        """
        path = self._path_of(model_id)
        try:
            async with self._one_conversion_at_a_time:
                return await asyncio.to_thread(model_files.convert, path, name, title, about)
        except OSError as e:
            raise studio_paths.refusal_of(e, "can't write the file to send") from e
        except UserError:
            if os.path.exists(path):
                raise
            raise Refusal(404, FILE_GONE) from None  # a training has removed its older checkpoint, for example

    # -- the trash -----------------------------------------------------------------------------------------------------

    async def files_of_run(self, run_id: str) -> FilesToDelete:
        return await self._call(lambda: trash.facts_of(self._deleted_with(self._queue.record(run_id))))

    def _deleted_with(self, record: RunRecord) -> list[str]:
        """The files that go with a run: not its text in data/, which other models may need."""
        log, others = run_command.log_of(record.name), self._queue.records.values()
        paths = run_record.checkpoints_of(record) + [path for path in (log, record.folder) if os.path.lexists(path)]
        if not any(other.text == record.text and other.id != record.id for other in others):
            paths += uploaded_text.files_of(record.text)
        return paths

    async def delete_run(self, run_id: str) -> Deleted:
        """Errors: Refusal."""

        def delete() -> Deleted:
            record = self._queue.record(run_id)
            if record.is_active:
                raise Refusal(409, f"the run {record.name} trains: stop it first.")
            paths = self._deleted_with(record)
            deleted = trash.delete(paths, record.name, "run", run_id) if paths else None
            self._queue.remove(run_id)
            self._progress.forget(run_id)
            if deleted is None:  # the user has removed all of its files
                raise no_such_run()
            return deleted

        deleted = await self._call(delete)
        await self._models.scan_again()
        return deleted

    async def files_of_model(self, model_id: str) -> FilesToDelete:
        path = self._path_of(model_id)
        return await self._call(lambda: trash.facts_of(model_files.names_of_file(path)))

    async def delete_model(self, model_id: str) -> Deleted:
        """Errors: Refusal."""
        path = self._path_of(model_id)

        def delete() -> Deleted:
            owner = next((record for record in self._queue.records.values() if record.owns(path)), None)
            if owner and owner.is_active:
                raise Refusal(409, f"the run {owner.name}, whose model this is, trains: stop it first.")
            return trash.delete(model_files.names_of_file(path), model_id, "model")

        deleted = await self._call(delete)
        await self._models.scan_again()
        return deleted

    async def undo(self, trash_id: str) -> Undone:
        """Errors: Refusal."""

        def undo() -> Undone:
            files, run_id = trash.undo(trash_id)
            if run_id:
                self._queue.restore(run_id)
            return Undone(files=files, run=run_id or None)

        undone = await self._call(undo)
        await self._models.scan_again()
        return undone
