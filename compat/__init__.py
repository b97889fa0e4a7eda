"""Reads and writes what Lua char-rnn uses: .t7 files, checkpoints, Torch7's random numbers, LuaJIT's number formats.

    >>> import compat
    >>> table = compat.load_t7("data.t7")
    >>> compat.save_t7("copy.t7", table)

Entry points beside the names below: `charrnn`, `torchrnn`, `lua_random`, `vocabulary`, `atomic_write`.
May import neither torch nor pycharrnn: the package works on bytes and NumPy arrays.
"""

from compat.graph_expressions import CheckpointError
from compat.t7_objects import LuaFunction, Storage, T7Error, Table, Tensor, TorchObject
from compat.t7_reader import load_t7
from compat.t7_writer import save_t7
from compat.tensor_file import TensorFile

__all__ = [
    "CheckpointError",
    "LuaFunction",
    "Storage",
    "T7Error",
    "Table",
    "Tensor",
    "TensorFile",
    "TorchObject",
    "load_t7",
    "save_t7",
]
