"""Groups the checkpoints of a folder into runs, for every command that takes a folder.

A file name is no proof of its run: a training with the name of an earlier one leaves the earlier checkpoints beside its
own, and copies and conversions have names of their own. The newest checkpoint of a run records the losses of all its
validations, and from them follow the names of its other checkpoints.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from compat import lua_format
from compat.charrnn import Checkpoint
from pycharrnn.checkpoints.checkpoint_facts import validation_loss
from pycharrnn.checkpoints.folder_files import ONE_TIME, File
from pycharrnn.common import losses

_FIRST_LOSSES = 16  # training losses that tell runs of one name apart


@dataclass(frozen=True)
class RunIdentity:
    """The fields of a checkpoint that identify its run and its place in it.

    Attributes:
        run: the first part of the run's file names, lm_lstm; "" if not recorded.
        network: model, sizes and vocabulary, which stay the same in a run.
        first_losses: of the first iterations. val_losses: iteration -> validation loss. loss: at this checkpoint.
    """

    run: str
    i: int
    epoch: float
    loss: float | None
    first_losses: tuple[float, ...]
    val_losses: dict[int, float]
    network: tuple[object, ...] = ()

    @cached_property
    def validations(self) -> frozenset[tuple[str, str]]:
        """(epoch, loss) of the run's validations, as file names have them; empty if the epochs are unknown."""
        if not (per_epoch := iterations_per_epoch(self.i, self.epoch)):
            return frozenset()
        return frozenset(_as_named(i / per_epoch, loss) for i, loss in self.val_losses.items())

    def continues(self, other: RunIdentity) -> bool:
        """Whether `other` can be an earlier state of the same run, or the same one."""
        common = min(len(self.first_losses), len(other.first_losses))
        return (
            other.i <= self.i
            and self.network == other.network
            and _equal(self.first_losses[:common], other.first_losses[:common])
            and other.val_losses.keys() <= self.val_losses.keys()
            and _equal([self.val_losses[i] for i in other.val_losses], list(other.val_losses.values()))
        )


def iterations_per_epoch(i: int, epoch: float) -> int:
    """Of a run that had trained `epoch` epochs at iteration `i`; 0 if unknown."""
    per_epoch = i / epoch if epoch > 0 else 0.0
    return round(per_epoch) if math.isfinite(per_epoch) else 0


def identity_of(loaded: Checkpoint) -> RunIdentity:
    """What tells the run of a checkpoint from others."""
    savefile, of_torch_rnn = loaded.opt.get("savefile"), loaded.opt.get("checkpoint_name")
    run = f"lm_{savefile}" if isinstance(savefile, str) else ""
    if isinstance(of_torch_rnn, str):
        run = os.path.basename(of_torch_rnn)
    first = tuple(loaded.train_losses[:_FIRST_LOSSES])
    n = loaded.network
    network = (n.model, n.rnn_size, n.num_layers, frozenset(loaded.vocab))
    return RunIdentity(run, loaded.i, loaded.epoch, validation_loss(loaded), first, dict(loaded.val_losses), network)


def continues(later: Checkpoint, earlier: Checkpoint) -> bool:
    """Whether `earlier` can be a state of the run of `later`, before it or the same one, by all of their losses."""
    common = min(len(later.train_losses), len(earlier.train_losses))
    same_losses = np.array_equal(later.train_losses[:common], earlier.train_losses[:common], equal_nan=True)
    return same_losses and identity_of(later).continues(identity_of(earlier))


Read = Callable[[str], RunIdentity | None]  # the identity of a file; None for a file that can't be read


class OtherRun(NamedTuple):
    """The best one of `files` checkpoints of another run, or of several runs, all named `name`: lm_lstm.

    `next_best`: the paths of the other checkpoints of the run, the best first, for the case that `path` is damaged.
    """

    path: str
    name: str
    files: int = 1
    next_best: tuple[str, ...] = ()


@dataclass(frozen=True)
class FolderRun:
    """A run in a folder.

    Attributes:
        files: its checkpoints, the lowest validation loss first; those without one come last.
        newest: the one with the losses of the whole run. trained: when it was written, in nanoseconds.
        others: the folder's other runs.
        is_first_by_name: whether it comes before another by its name alone, since both were written at about one time.
    """

    files: tuple[File, ...]
    newest: File
    trained: int
    others: tuple[OtherRun, ...]
    is_first_by_name: bool = False


def last_trained_first(files: Sequence[File], read: Read) -> Iterator[FolderRun]:
    """The runs of a folder's files, those of one time by name.

    Reads the files whose names do not tell their run, and of each run the newest.
    """
    found: list[tuple[FolderRun, _Group]] = []
    groups = _groups(files, read)

    def next_run() -> FolderRun:
        of_one_time = [one for one in found if found[0][0].trained - one[0].trained < ONE_TIME]
        first = min(of_one_time, key=lambda one: one[0].files[0].path)
        found.remove(first)
        run, own = first
        others = tuple(group.as_other for group in groups if group is not own)
        return replace(run, others=others, is_first_by_name=len(of_one_time) > 1)

    for group in list(groups):
        # A run was trained no later than its last file was written.
        while found and found[0][0].trained - group.last_modified >= ONE_TIME:
            yield next_run()
        own = [group] if group.is_run else _split(group, read)
        place = groups.index(group)
        groups[place : place + 1] = own  # none, if no file of it can be read
        runs = [(_run(one), one) for one in own]
        found = sorted([*found, *runs], key=lambda one: one[0].trained, reverse=True)
    while found:
        yield next_run()


@dataclass(frozen=True)
class _Member:
    file: File
    identity: RunIdentity | None  # None for a file whose name has its loss

    @property
    def progress(self) -> tuple[float, int]:
        """A sort key: the epoch, with the digits of file names, and the iteration or 0."""
        if self.identity is None:
            return self.file.epoch, 0
        return (round(self.identity.epoch, 2) if math.isfinite(self.identity.epoch) else 0.0), self.identity.i


@dataclass(frozen=True, eq=False)
class _Group:
    """Files of one name of a run.

    Attributes:
        members: of a run, the first is the newest.
        is_run: whether they are one run; else their names can't tell, and `_split` reads the newest of each run.
    """

    name: str
    members: list[_Member]
    is_run: bool = False

    @property
    def last_modified(self) -> int:
        return max(member.file.modified for member in self.members)

    @cached_property
    def files(self) -> tuple[File, ...]:
        """The best first."""
        return _best_first(self.members)

    @cached_property
    def as_other(self) -> OtherRun:
        # A run is named by its file alone: other runs may have its name.
        best, *others = (file.path for file in self.files)
        return OtherRun(best, self.name, 1 if self.is_run else len(self.files), tuple(others))


def _groups(files: Sequence[File], read: Read) -> list[_Group]:
    """The readable files by the names of their runs, the group of the newest file first.

    A file that training did not name is a copy or a conversion if another's name has its epoch and loss: it joins that
    file. Else its identity tells its run: the name that it records, often the default lm_lstm, is no proof.
    """
    members: dict[str, list[_Member]] = {}
    known_by_record: set[str] = set()
    names: dict[tuple[str, str], list[str]] = {}
    for file in files:
        if file.loss is not None:
            names.setdefault(_named(file), []).append(file.run)
    for file in files:
        name, identity = file.run, None
        if file.loss is None:
            identity = read(file.path)
            if identity is None:
                continue
            if not name:
                loss = math.nan if identity.loss is None else identity.loss
                originals = names.get(_as_named(identity.epoch, loss), [])
                is_renamed = originals and identity.run not in originals
                name = originals[0] if is_renamed else identity.run or os.path.basename(file.path)
                if not originals:
                    known_by_record.add(name)
            file = replace(file, loss=identity.loss)
        members.setdefault(name, []).append(_Member(file, identity))
    groups: list[_Group] = []
    for name, own in members.items():
        group = _Group(name, own)
        groups += _split(group, read) if name in known_by_record else [group]
    return sorted(groups, key=lambda group: group.last_modified, reverse=True)


def _split(group: _Group, read: Read) -> list[_Group]:
    """The runs among files of one name."""
    left = sorted(group.members, key=lambda member: (member.progress, member.file.modified), reverse=True)
    split: list[tuple[list[_Member], RunIdentity]] = []  # the members of each run, the newest first, and its identity
    while left:
        newest = left.pop(0)
        if identity := newest.identity or read(newest.file.path):
            belongs = [_is_of_run(member, newest, identity, read) for member in left]
            split.append(([newest, *itertools.compress(left, belongs)], identity))
            left = [member for member, is_own in zip(left, belongs, strict=True) if not is_own]
    for (longer, _), (other, identity) in itertools.combinations(split, 2):
        _give_back(longer, other, identity, read)
    return [_Group(group.name, members, is_run=True) for members, _ in split]


def _give_back(longer: list[_Member], other: list[_Member], identity: RunIdentity, read: Read) -> None:
    """Move the files that `other`, a run with this identity, wrote after the training of `longer` to it.

    A run that was resumed from a checkpoint of another has the validations before it in common with it. If the other
    one is then trained again, it writes these files anew.
    """
    if len(longer) == 1:  # its newest file stays: of a thousand models there are half a million such pairs
        return
    ended, other_ended = _trained(longer), _trained(other)
    for member in longer[1:]:
        is_later = ended + ONE_TIME <= member.file.modified <= other_ended
        is_copy = _same_progress(member, longer[0])  # of the newest, which is written later, too
        if is_later and not is_copy and _is_of_run(member, other[0], identity, read):
            longer.remove(member)
            other.append(member)


def _run(group: _Group) -> FolderRun:
    """The run of a group, without the others."""
    return FolderRun(group.files, group.members[0].file, _trained(group.members), ())


def _trained(members: Sequence[_Member]) -> int:
    """When the newest file of a run, the first of its members, was written, in nanoseconds."""
    return min(member.file.modified for member in members if _same_progress(member, members[0]))


def _is_of_run(member: _Member, newest: _Member, identity: RunIdentity, read: Read) -> bool:
    """Whether a file is of the run whose newest file, of the same name, has this identity.

    A file is read if its name can't tell, since the run records no validations or others than its names have.
    """
    if member.identity is not None:
        return identity.continues(member.identity)
    if newest.identity is None:
        names_are_known = _named(newest.file) in identity.validations  # else they have another form than training's
    else:
        names_are_known = bool(identity.validations) or bool(identity.first_losses and not identity.val_losses)
    if _named(member.file) in identity.validations or names_are_known:
        return _named(member.file) in identity.validations
    other = read(member.file.path)
    return other is None or identity.continues(other)


def _same_progress(member: _Member, newest: _Member) -> bool:
    """Whether a file of a run is of the iteration of its newest one: copies and conversions are written later."""
    (epoch, i), (last_epoch, last_i) = member.progress, newest.progress
    return epoch == last_epoch and i in (0, last_i)  # 0 if only its name is known


def _best_first(members: Sequence[_Member]) -> tuple[File, ...]:
    """Sort by loss, rounded as in file names; among equal losses the file named best, then the newest one."""

    def rank(file: File) -> tuple[int, float, bool, int]:
        loss = None if file.loss is None else round(file.loss, 4)
        return *losses.sort_key(loss), not file.is_best, -file.modified

    return tuple(sorted((member.file for member in members), key=rank))


def _named(file: File) -> tuple[str, str]:
    return _as_named(file.epoch, math.nan if file.loss is None else file.loss)


def _as_named(epoch: float, loss: float) -> tuple[str, str]:
    """Epoch and loss as file names have them."""
    return lua_format.fixed(epoch, 2), lua_format.fixed(loss, 4)


def _equal(these: Sequence[float], those: Sequence[float]) -> bool:
    """Whether losses are the same, NaN included."""
    return len(these) == len(those) and all(
        a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(these, those, strict=True)
    )
