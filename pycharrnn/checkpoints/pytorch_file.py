"""Checkpoints as .pt files: torch.save of the state_dict that CharRNN.to_torch() loads.

"_extra_state" is the JSON text of checkpoints.metadata. torch.load(weights_only=True) executes no code of a pickle, but
it unpacks compressed entries, and older versions allocate the sizes in the pickle. So the zip archive and its pickle
are checked first. PyTorch then reads a copy of the files that it needs: in an archive with two directories it may find
others than zipfile, and versions before 2.6 run an archive that has constants.pkl, as a program of torch.jit
(CVE-2025-32434).
"""

from __future__ import annotations

import io
import os
import pickletools
import re
import struct
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from compat import file_magic
from compat.atomic_write import atomic_write
from compat.charrnn import Checkpoint
from compat.graph_expressions import CheckpointError, DamagedCheckpointError
from compat.t7_content import file_content
from pycharrnn.checkpoints import metadata, torch_names
from pycharrnn.common import extras
from pycharrnn.common.display import escape_line

if TYPE_CHECKING:
    from compat.t7_objects import Array
    from pycharrnn.checkpoints.formats import WriteOptions

HEADER = "_extra_state"  # the state_dict's name for the value of torch.nn.Module.get_extra_state
_MOST_ENTRIES = 100_000  # of a zip archive; zipfile keeps a kilobyte for each
_MOST_OPCODES = 1_000_000  # of a pickle; PyTorch keeps some hundred bytes for each of some kinds
_STORAGES = {"torch HalfStorage": 2, "torch FloatStorage": 4, "torch DoubleStorage": 8}  # bytes of an element
_GLOBALS = {*_STORAGES, "torch._utils _rebuild_tensor_v2", "collections OrderedDict"}
# Opcodes that make a class or an object of one, that store the value pushed last, and that push it again.
_MAKES = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "PERSID", "EXT1", "EXT2", "EXT4"}
_REMEMBERS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_RECALLS = {"GET", "BINGET", "LONG_BINGET"}
_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "LONG4")
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}  # opcode -> how many of the values pushed last it takes
_PACKED = re.compile(rb"PK\x03\x04.{4}[^\0].{21}[^/]*/data\.pkl", re.DOTALL)  # whose HEADER can't be seen
_HOLDS_MORE = "it holds more than the state_dict of a model: write that alone by torch.save"
_Pushed = tuple[str, Any]  # (opcode, its argument)
_NOTHING: _Pushed = ("", None)


def save(path: str | os.PathLike[str], checkpoint: Checkpoint, options: WriteOptions) -> None:
    """Write a checkpoint as PyTorch does. Errors: OSError."""
    extras.require_pytorch("a .pt file")
    import torch

    weights = torch_names.to_torch(checkpoint.network.model, checkpoint.network.weights)
    native = {name: np.array(w, w.dtype.newbyteorder("="), order="C") for name, w in weights.items()}
    state: dict[str, Any] = {name: torch.from_numpy(w) for name, w in native.items()}
    content = io.BytesIO()  # torch.save into a file raises RuntimeError, not OSError, where the disk is full
    torch.save({HEADER: metadata.text_of(checkpoint), **state}, content)
    with atomic_write(path) as f:
        f.write(content.getbuffer())


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a file of `save`, or torch.save of CharRNN.to_torch().state_dict(). Errors: OSError; CheckpointError."""
    content = bytes(file_content(path))
    if content.startswith(b"\x80") and HEADER.encode() in content:
        raise CheckpointError("it is in the format of PyTorch before 1.6: write it again with a later torch.save")
    may_be_ours = HEADER.encode() in content or _PACKED.match(content)
    if not content.startswith(b"PK\3\4") or not may_be_ours:
        raise CheckpointError(f"it is {file_magic.name_of(content) or 'not a file of torch.save'}")
    try:
        archive = _checked_copy(content)
    except CheckpointError:  # a ValueError too
        raise
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError, struct.error) as e:
        raise DamagedCheckpointError(f"it is a broken file of torch.save ({escape_line(str(e), 80)})") from None
    size = len(content)
    del content  # the copy is as large
    extras.require_pytorch("a .pt file")
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles of other versions
            state = torch.load(archive, map_location="cpu", weights_only=True, mmap=False)
    except Exception as e:  # versions of PyTorch differ in their errors for a forbidden or broken pickle
        raise CheckpointError(f"PyTorch does not read it ({escape_line(str(e).partition('.')[0], 80)})") from None
    if not isinstance(state, dict) or not isinstance(state.get(HEADER), str):
        raise CheckpointError(f"it has no {HEADER!r} with the words of pycharrnn, as what its convert writes has")
    try:
        text = state[HEADER].encode()
    except UnicodeEncodeError:
        raise CheckpointError(f"its {HEADER!r} is not text") from None
    checkpoint, shapes = metadata.from_text(text, size)
    found = {name: _array(name, tensor) for name, tensor in state.items() if name != HEADER}
    model = checkpoint.network.model
    claimed = {torch_names.of(model, name): shape for name, shape in shapes.items()}
    metadata.require_shapes(checkpoint, claimed, {name: w.shape for name, w in found.items()})
    if sum(w.nbytes for w in found.values()) > size:
        raise CheckpointError("its tensors claim more numbers than it holds")
    return metadata.with_weights(checkpoint, shapes, torch_names.from_torch(model, shapes, found))


def _array(name: object, tensor: Any) -> Array:
    """A contiguous tensor of the file. Errors: CheckpointError for any other value."""
    import torch

    if (
        type(tensor) is not torch.Tensor
        or tensor.layout != torch.strided
        or tensor.dtype not in (torch.float16, torch.float32, torch.float64)
        or not tensor.is_contiguous()
    ):
        raise CheckpointError(f"its {escape_line(str(name), 40)} is not a contiguous tensor of real numbers")
    array: Array = tensor.detach().numpy()
    return array


def _checked_copy(content: bytes) -> io.BytesIO:
    """Copy the files that PyTorch needs from an archive of torch.save into a new archive, in memory.

    Errors: CheckpointError for an archive that torch.save does not write; zipfile's for a broken one.
    """
    if content.count(b"PK\1\2") > _MOST_ENTRIES:
        raise CheckpointError(f"it is a zip archive of more than {_MOST_ENTRIES} files")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise CheckpointError("it is a packed zip archive, which torch.save does not write: save it with that")
        if sum(entry.file_size for entry in entries) > len(content):
            raise CheckpointError("it is a zip archive of files that claim more than it holds")
        sizes = {entry.filename.lower(): entry.file_size for entry in entries}
        folders = {entry.filename.partition("/")[0] for entry in entries}
        if len(sizes) < len(entries) or len(folders) != 1:
            raise CheckpointError("it is a zip archive with names that torch.save does not give")
        (folder,) = folders
        name = f"{folder}/data.pkl"
        if name not in archive.namelist():
            raise CheckpointError("it is a zip archive without what torch.save writes into it")
        needed = {"data.pkl", "version", "byteorder"}
        for key, size in _storages(archive.read(name), len(content)):
            if sizes.get(f"{folder}/data/{key}".lower()) != size:
                raise CheckpointError("its tensors claim other numbers than it holds")
            needed.add(f"data/{key}")
        copied = io.BytesIO()
        with zipfile.ZipFile(copied, "w") as copy:
            for entry in entries:
                _, _, part = entry.filename.partition("/")
                if part in needed:
                    copy.writestr(f"archive/{part}", archive.read(entry))
    copied.seek(0)
    return copied


def _storages(pickle: bytes, file_size: int) -> list[tuple[str, int]]:
    """(name, bytes) of all storages that a pickle in a file of `file_size` bytes claims; makes none of them.

    Errors: CheckpointError for a pickle of anything but tensors as torch.save writes them; ValueError for a broken one.
    """
    memo: dict[Any, _Pushed] = {}  # the stored classes and texts
    pushed: list[_Pushed] = []
    found = []
    for count, (opcode, argument, _) in enumerate(pickletools.genops(pickle)):
        if count == _MOST_OPCODES:
            raise CheckpointError("its pickle is longer than any model's")
        if opcode.name in _REMEMBERS:
            memo[len(memo) if argument is None else argument] = pushed[-1] if pushed else _NOTHING
            continue
        if opcode.name in _MAKES and (opcode.name != "GLOBAL" or argument not in _GLOBALS):
            asked = escape_line(str(argument or opcode.name), 60)
            raise CheckpointError(f"its pickle asks for {asked}, which no weights need")
        if opcode.name == "BINPERSID":
            found.append(_storage(pushed[-7:]))
        recalled = memo.get(argument, _NOTHING) if opcode.name in _RECALLS else _NOTHING
        if isinstance(argument, int) and not 0 <= argument <= file_size:
            raise CheckpointError(_HOLDS_MORE)
        if recalled[0] == "TUPLE" or _may_nest(opcode.name, pushed):
            raise CheckpointError(_HOLDS_MORE)
        pushed.append(recalled if recalled[0] in ("GLOBAL", "BINUNICODE") else (opcode.name, argument))
    return found


def _may_nest(opcode: str, pushed: list[_Pushed]) -> bool:
    """Whether an opcode may put a tuple into a tuple, other than into the arguments of a call.

    A key of a dict may be a tuple, and Python's hash of deeply nested ones overflows the stack. A state_dict has no
    tuples but the sizes of tensors.
    """
    if pushed and pushed[-1][0] == "TUPLE":
        return opcode not in ("BINPERSID", "REDUCE")
    return opcode in _TUPLES and any(name not in _NUMBERS for name, _ in pushed[-_TUPLES[opcode] :])


def _storage(pushed: list[_Pushed]) -> tuple[str, int]:
    """(name, bytes) of a storage from the values that torch.save pushes: ("storage", class, name, place, count)."""
    opcodes, arguments = [name for name, _ in pushed], [argument for _, argument in pushed]
    as_saved = ["MARK", "BINUNICODE", "GLOBAL", "BINUNICODE", "BINUNICODE"]
    if opcodes[:5] != as_saved or opcodes[5:] not in ([number, "TUPLE"] for number in _NUMBERS):
        raise CheckpointError("its pickle names its tensors in another way than torch.save")
    if arguments[2] not in _STORAGES or not arguments[3].isdecimal():
        raise CheckpointError(f"it has tensors of {escape_line(arguments[2], 60)}, which are not weights")
    return arguments[3], arguments[5] * _STORAGES[arguments[2]]
