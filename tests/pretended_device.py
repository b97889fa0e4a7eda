"""A GPU that is none: tensors that say they are on one, while the CPU computes their numbers.

    with pretended_gpu() as gpu:  # one of CUDA's; or pretended_gpu("cuda", count=2), pretended_gpu("mps")
        CliRunner().invoke(cli, ["train", ..., "-gpuid", "0"])

In the context PyTorch finds such a GPU, `-gpuid 0` chooses it, and so does device="cuda:0" or "mps" wherever a tensor
is made or moved. What is computed there is a `PretendedTensor`, whose `held` is the CPU's tensor, with all its digits.
As on a real GPU it is an error

- to compute with tensors of two devices at once (numbers, tensors of no dimension, are on any; `copy_` and `to` move),
- to look at a GPU's tensor from NumPy,
- to draw on one device with the generator of another,
- on MPS: to make a tensor of double precision there or on the way, to take its storage apart, to write to a part of a
  tensor that is not contiguous other than by copying, which older PyTorch versions lost there without a word, and to
  call what these versions lacked there,
- while a CUDA graph is recorded: to wait for a result, or to copy from memory that is not pinned.

A recorded graph computes nothing until it is replayed; a replay repeats its calls on the same tensors. Calls that a
real GPU's libraries would do at once (nn.LSTM on cuDNN) are one call here as well, which the CPU computes, with its
autograd. What this cannot show: how a GPU rounds, how fast it is, and what happens while the CPU goes on.

It is for the thread that enters the context, and for this process; torch.autograd.Function.apply takes a pretended
tensor for a constant.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode

from pycharrnn.engine import device as engine_device

MEMORY = 80 * 2**30  # bytes that a pretended GPU says it has
_OF_THE_DEVICE = {"device", "is_cuda", "is_mps", "is_cpu", "get_device"}  # what the tensor itself is asked for
_MOVES = {"to", "cpu", "cuda", "copy_", "_foreach_copy_", "__setitem__"}
_HOST_READS = {"tolist", "item", "cpu", "__float__", "__int__", "__bool__", "__index__", "__repr__", "__format__"}
_AUGMENTED = {"__iadd__", "__isub__", "__imul__", "__itruediv__"}
_COPIES = {"copy_", "_foreach_copy_", "__setitem__", "fill_", "zero_"}
_NOT_ON_MPS = {"untyped_storage", "storage", "_typed_storage", "set_", "aminmax", "index_copy_"}
_NOT_ON_MPS |= {"_foreach_copy_", "_foreach_mul_"}
_PACKED = {"lstm", "gru", "rnn_tanh"}  # whose batch_sizes are on the CPU
_SETTINGS = {"requires_grad_", "__set__"}  # change nothing that a tensor holds


class PretendedTensor(torch.Tensor):
    """A tensor on a pretended device. `held`: the CPU's tensor that has its numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor, device: torch.device) -> PretendedTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), dtype=held.dtype, device=device
        )
        made.held = held
        return made

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f"{func} of a tensor of a GPU that is no longer pretended")

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f"{func} of a pretended GPU's tensor, from where no Python is asked")


class PretendedGenerator(torch.Generator):
    """A generator of random numbers that says it is a GPU's."""


class PretendedGraph:
    """A CUDA graph: the calls that were recorded, and how often they have been repeated on the same tensors."""

    def __init__(self) -> None:
        self.replays = 0
        self.calls: list[
            tuple[Callable[..., Any], Any, Any, Any]
        ] = []  # what to call, and a new tensor to fill with what it gives

    def replay(self) -> None:
        """Do what has been recorded."""
        self.replays += 1
        for function, args, kwargs, result in self.calls:
            new = function(*args, **kwargs)
            if result is not None:
                for to, value in zip(_tensors(result), _tensors(new), strict=True):
                    to.copy_(value)


class PretendedGPU(TorchFunctionMode):
    """Lets each function of PyTorch's work on pretended tensors as on those that they hold.

    Attributes:
        device: where its tensors say they are.
        graph: that is being recorded. graphs: all that have been.
        calls: the names of the functions that have been called on it.
    """

    def __init__(self, kind: str, count: int):
        super().__init__()
        self.kind, self.count, self.device = kind, count, torch.device("mps" if kind == "mps" else "cuda:0")
        self.graph: PretendedGraph | None = None
        self.graphs: list[PretendedGraph] = []
        self.calls: set[str] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = func.__self__.__name__ if func.__name__ == "__get__" else func.__name__
        given = _tensors((args, kwargs))
        ours = [t for t in given if isinstance(t, PretendedTensor)]
        if ours and name in _OF_THE_DEVICE:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        target = self._target(name, args, kwargs, self.device if ours else torch.device("cpu"))
        if not ours and target.type != self.kind:
            return func(*args, **kwargs)
        self.calls.add(name)
        self._check(name, func, given, ours, args, kwargs)
        wrappers = {id(t.held): t for t in ours}
        args, kwargs = _mapped(_held, args), _mapped(_held, kwargs)
        result = self._called(name, func, args, kwargs, len(given) > len(ours))
        if target.type != self.kind:
            return _mapped(torch.clone, result)
        return _mapped(lambda t: self._wrapped(t, wrappers), result)

    def _target(self, name: str, args: Any, kwargs: Any, default: torch.device) -> torch.device:
        """Where the result is to be; what says so is replaced by the CPU."""
        places = [value for value in args[1:] if isinstance(value, (str, torch.device))] if name == "to" else []
        if name == "to" and len(args) > 1 and isinstance(args[1], torch.Tensor):
            places = [self.device if isinstance(args[1], PretendedTensor) else args[1].device]
        place = kwargs.get("device") or (places[0] if places else None)
        if name in ("cpu", "cuda"):
            place = name
        if place is None:
            return default
        if "device" in kwargs:
            kwargs["device"] = "cpu"
        return self._whole(torch.device(place))

    def _whole(self, place: torch.device) -> torch.device:
        return self.device if place.type == self.kind else place

    def _check(self, name: str, func: Any, given: list, ours: list, args: Any, kwargs: Any) -> None:
        """Errors: those of a real GPU."""
        if name in ("numpy", "__array__"):
            raise TypeError(f"can't convert {self.device} device type tensor to numpy.")
        if name in _PACKED:
            given = [t for t in given if not (_on_cpu(t) and t.dtype == torch.int64)]
        if name not in _MOVES and ours and any(_on_cpu(t) and t.dim() for t in given):
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {self.device} and cpu!"
                f" ({name})"
            )
        generator = kwargs.get("generator")
        if generator is not None and not isinstance(generator, PretendedGenerator):
            raise RuntimeError(f"Expected a '{self.kind}' device type for generator but found 'cpu'")
        if self.kind == "mps":
            if name in _NOT_ON_MPS:
                raise NotImplementedError(f"{name} is not there for MPS in every version")
            types = [*(_held(t).dtype for t in given), *(a for a in (*args, *kwargs.values()) if a is torch.float64)]
            if torch.float64 in types:
                raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support it.")
            for written in _written(name, args, kwargs):
                if not _held(written).is_contiguous() and name not in _COPIES:
                    raise RuntimeError(f"{name} writes to a part of a tensor that is not contiguous, on MPS")
        if self.graph is not None:
            unpinned = any(_on_cpu(t) and not hasattr(t, "pinned") for t in given)
            if name in _HOST_READS or (name in _MOVES and unpinned):
                raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({name})")

    def _called(self, name: str, func: Any, args: Any, kwargs: Any, moved: bool) -> Any:
        """The result on the CPU; while a graph is recorded nothing is written, and new tensors hold no numbers."""
        if name == "cuda":
            func, args, kwargs = torch.Tensor.to, args[:1], {"copy": True}
        if name == "to":
            args = tuple("cpu" if isinstance(a, (str, torch.device)) else a for a in args)
            kwargs["copy"] = kwargs.get("copy", False) or moved
        if self.graph is None:
            return func(*args, **kwargs)
        written = _written(name, args, kwargs)
        result = written[0] if written else func(*args, **kwargs)
        if written or (_tensors(result) and not _is_view(result, args, kwargs)):
            self.graph.calls.append((func, args, kwargs, None if written else result))
        return result

    def _wrapped(self, value: Any, wrappers: dict[int, PretendedTensor]) -> Any:
        if not isinstance(value, torch.Tensor) or isinstance(value, PretendedTensor):
            return value
        if id(value) in wrappers:
            return wrappers[id(value)]
        if self.kind == "mps" and value.dtype == torch.float64:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        return PretendedTensor(value, self.device)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, PretendedTensor) else value


def _on_cpu(tensor: torch.Tensor) -> bool:
    return not isinstance(tensor, PretendedTensor)


def _mapped(function: Callable[[torch.Tensor], Any], value: Any) -> Any:
    """A value with what the function makes of each tensor in it."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, dict):
        return {key: _mapped(function, part) for key, part in value.items()}
    if isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
        return type(value)([_mapped(function, part) for part in value])
    return value


def _tensors(value: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    _mapped(found.append, value)
    return found


def _written(name: str, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """The tensors that a call writes to."""
    for keyword in ("out", "grad_input"):
        if kwargs.get(keyword) is not None:
            return _tensors(kwargs[keyword])
    in_place = (name.endswith("_") and not name.endswith("__")) or name in _AUGMENTED or name == "__setitem__"
    return _tensors(args[0]) if in_place and name not in _SETTINGS and args else []


def _is_view(result: Any, args: Any, kwargs: Any) -> bool:
    """Whether a result shares the memory of an argument, so that a replay need not make it again."""
    theirs = {t.untyped_storage().data_ptr() for t in _tensors((args, kwargs))}
    return all(t.untyped_storage().data_ptr() in theirs for t in _tensors(result))


@contextlib.contextmanager
def pretended_gpu(kind: str = "cuda", count: int = 1) -> Iterator[PretendedGPU]:
    """A context in which PyTorch has GPUs, see above.

    Args:
        kind: "cuda" or "mps".
        count: how many of CUDA's there are; all tensors are on the first, or on the one that `gpu.device` is set to.
    """
    gpu = PretendedGPU(kind, count)
    real_generator = torch.Generator

    def generator(device: Any = "cpu") -> torch.Generator:
        return PretendedGenerator() if torch.device(device).type == kind else real_generator(device)

    @contextlib.contextmanager
    def recording(graph: PretendedGraph, stream: Any, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local" and torch.device(stream) == gpu.device
        gpu.graph = graph
        gpu.graphs.append(graph)
        try:
            yield
        finally:
            gpu.graph = None

    def set_device(index: int) -> None:
        gpu.device = torch.device("cuda", index)

    properties = SimpleNamespace(total_memory=MEMORY, name="a pretended GPU")
    cuda = {
        "is_available": lambda: kind == "cuda",
        "device_count": lambda: count if kind == "cuda" else 0,
        "set_device": set_device,
        "current_device": lambda: gpu.device.index,
        "synchronize": lambda device=None: None,
        "current_stream": lambda device=None: None,
        "set_stream": lambda stream: None,
        "is_current_stream_capturing": lambda: gpu.graph is not None,
        "get_device_properties": lambda device=None: properties,
        "get_device_name": lambda device=None: properties.name,
        "CUDAGraph": PretendedGraph,
        "Stream": lambda device: device,
        "graph": recording,
    }
    with contextlib.ExitStack() as stack:
        for name, value in cuda.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        stack.enter_context(mock.patch.object(torch.backends.mps, "is_available", lambda: kind == "mps"))
        stack.enter_context(mock.patch.object(torch.backends.cudnn, "is_acceptable", lambda tensor: False))
        stack.enter_context(mock.patch.object(torch, "Generator", generator))
        stack.enter_context(mock.patch.object(torch.Tensor, "pin_memory", _pin_memory))
        stack.enter_context(mock.patch.object(engine_device, "_might_have_gpu", lambda: True))
        stack.enter_context(gpu)
        yield gpu


def _pin_memory(tensor: torch.Tensor) -> torch.Tensor:
    pinned = tensor.clone()
    pinned.pinned = True
    return pinned
