"""Streams of characters that the C kernel reads and samples, each with a hidden state of its own. Needs no PyTorch.

C checks nothing: this module makes or checks all addresses, sizes and token ids. Calls release the GIL.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pycharrnn.engine import indices
from pycharrnn.engine.kernel_arrays import address
from pycharrnn.engine.kernel_passages import KernelLimit
from pycharrnn.engine.kernel_structures import ReadingStruct, SamplingStruct

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from pycharrnn.engine.kernel_network import PackedNetwork
    from pycharrnn.engine.passage_index import CopyLimit


class SamplingParams(NamedTuple):
    """How M streams choose their next characters over N steps."""

    temperatures: npt.NDArray[np.float64]  # (N, M), positive
    random_numbers: npt.NDArray[np.float64]  # (N, M), in [0, 1)
    greedy: npt.NDArray[np.bool_]  # (M,): whether to take the most probable character instead of sampling
    topk: npt.NDArray[np.int64]  # (M,): sample from the K most probable characters; 0: from all
    topp: npt.NDArray[np.float64]  # (M,): sample from the fewest most probable characters whose sum reaches this
    pause_after: npt.NDArray[np.bool_] | None = None  # (V,): characters after which to return
    limits: Sequence[CopyLimit | None] | None = None  # (M,): of streams that must not copy; they read what is sampled


class SampleRequest(NamedTuple):
    """Further output of M streams beside the sampled characters."""

    num_candidates: npt.NDArray[np.int64]  # (M,): number of top candidates to return at each step
    units: npt.NDArray[np.int64]  # (M,): unit whose activations to return, layer * H + unit, both from 0; -1: none


class SampleOutput(NamedTuple):
    """Up to N steps of M streams; optional fields are None unless requested.

    Attributes:
        token_ids, token_probs: (N, M), the sampled characters and their probabilities. probs: (N, M, V), those of all.
            In the last step a token id is -1 where params.limits leaves no character.
        failed: whether the probabilities of the step after these are NaN or infinite.
        top_candidates, top_probs: (N, M, K), the most probable characters of each step, of equal ones the first in the
            vocabulary, and their probabilities. K is the largest number requested; a stream that requested fewer has
            garbage in the rest of its row.
        activations: (N, M), of the requested units after each character but the last, which has not been read.
    """

    token_ids: npt.NDArray[np.int64]
    token_probs: npt.NDArray[np.float64]
    probs: npt.NDArray[np.float64] | None
    failed: bool
    top_candidates: npt.NDArray[np.int64] | None = None
    top_probs: npt.NDArray[np.float64] | None = None
    activations: npt.NDArray[np.float64] | None = None


class Streams:
    """B = `streams` streams of one network, with zero hidden states at first. `read` takes T = `steps` characters each.

    Attributes:
        c, h: the states, float64 (B, L, H); c is empty except for an lstm.

    Errors: ValueError for streams or steps below 1. All methods raise TypeError, ValueError or IndexError for arrays of
        another type, shape or content.
    """

    def __init__(self, network: PackedNetwork, streams: int, steps: int) -> None:
        if streams < 1 or steps < 1:
            raise ValueError(f"streams and steps must be at least 1, not {streams} and {steps}")
        s = network.structure
        self.network = network
        self._shape = steps, streams
        self.h = np.zeros((streams, s.layers, s.H))
        self.c = np.zeros_like(self.h) if "c" in network.cell.states else self.h[:0]
        self._activations = np.zeros((s.layers, steps, streams, s.H))
        self._all = np.arange(streams, dtype=np.int64)  # C reads it; the default has 32 bits on Windows before NumPy 2
        self._workspace = np.empty(network.reading_sizes(steps, streams).workspace)

    @property
    def activations(self) -> npt.NDArray[np.float64]:
        """(L, T, B, H): tanh(c) of an lstm, else h, after the characters that `read` or a full `sample` read last."""
        activations: npt.NDArray[np.float64] = self._activations.copy()
        return activations

    def read(self, characters: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """Read T token ids (T, B) in each stream: log-probabilities of the next characters in nats, (T, B, V)."""
        V = self.network.structure.V
        characters = indices.check_indices("the characters", characters, self._shape, V)
        log_probs = np.empty((*self._shape, V))
        self.network.library.charrnn_read(ctypes.byref(self._reading(self._all, characters, log_probs)))
        return log_probs

    def log_likelihoods(
        self,
        streams: npt.NDArray[np.integer[Any]],
        characters: npt.NDArray[np.integer[Any]],
        targets: npt.NDArray[np.integer[Any]],
    ) -> npt.NDArray[np.float64]:
        """Read N characters in each of M streams: log-probabilities of `targets` in nats, (N, M), the same as `read`'s.

        Several threads may call this at once, each for other streams. `activations` stays unchanged.

        Args:
            streams: (M,), each once. characters: (N, M). targets: (N, M), the character after each.
        """
        V, shape = self.network.structure.V, (len(characters), len(streams))
        which = self._each_once(streams)
        characters = indices.check_indices("the characters", characters, shape, V)
        targets = indices.check_indices("the characters that follow", targets, shape, V)
        found, workspace = np.empty(shape), np.empty(self.network.reading_sizes(*shape).workspace)
        reading = self._reading(which, characters, found)
        reading.T, reading.targets, reading.activations = len(characters), targets.ctypes.data, None
        reading.workspace = workspace.ctypes.data
        self.network.library.charrnn_read(ctypes.byref(reading))
        return found

    def reset_state(self, stream: int) -> None:
        """Set the hidden state of a stream to zero."""
        self.h[stream] = 0
        if self.c.size:
            self.c[stream] = 0

    def sample(
        self,
        streams: npt.NDArray[np.integer[Any]],
        last_ids: npt.NDArray[np.integer[Any]],
        log_probs: npt.NDArray[np.float64] | None,
        params: SamplingParams,
        with_probs: bool,
        request: SampleRequest | None = None,
    ) -> SampleOutput:
        """Sample characters in some streams until a pause, and read all but the last. Needs `steps` = 1.

        Args:
            streams: (M,), each once. last_ids: (M,), the last character of each stream, sampled but not read.
            log_probs: (M, V), sample the first characters from these without reading `last_ids`; None: read it first.
            request: only for all streams together, since activations are those of the last step of all streams.
        """
        steps, _ = self._shape
        M, N, V = len(streams), len(params.temperatures), self.network.structure.V
        which = self._each_once(streams)
        if steps != 1:
            raise ValueError("sampling takes one step at a time")
        now = indices.check_indices("the last characters", last_ids, (M,), V).copy()
        log_probs_now = np.empty((M, V)) if log_probs is None else np.array(log_probs, np.float64, order="C")
        address("log_probs", log_probs_now, np.float64, (M, V))
        reading = self._reading(which, now, log_probs_now)
        greedy = np.asarray(params.greedy).astype(np.int64)
        found, token_probs = np.empty((N, M), np.int64), np.empty((N, M))
        workspace, heap = np.empty(2 * V), np.empty(V, np.int64)
        probs = np.empty((N, M, V)) if with_probs else None
        if request and not len(request.num_candidates) == M == self._shape[1]:
            raise ValueError("candidates and activations need a request for all streams")
        buffers = _RequestBuffers(request, N, self.network) if request else None
        limits = None if params.limits is None else _pointers(params.limits, M, V)
        sampling = SamplingStruct(
            reading=ctypes.addressof(reading),
            steps=N,
            must_read=log_probs is None,
            last_ids=now.ctypes.data,
            temperatures=address("temperatures", params.temperatures, np.float64, (N, M)),
            random=address("random_numbers", params.random_numbers, np.float64, (N, M)),
            greedy=address("greedy", greedy, np.int64, (M,)),
            topk=address("topk", params.topk, np.int64, (M,)),
            topp=address("topp", params.topp, np.float64, (M,)),
            token_ids=found.ctypes.data,
            token_probs=token_probs.ctypes.data,
            workspace=workspace.ctypes.data,
            heap=heap.ctypes.data,
            **(buffers.fields if buffers else {}),
        )
        if params.pause_after is not None:
            sampling.pause_after = address("pause_after", params.pause_after, np.bool_, (V,))
        if limits is not None:
            sampling.limits = ctypes.addressof(limits)
        if probs is not None:
            sampling.probs = probs.ctypes.data
        self.network.library.charrnn_sample(ctypes.byref(sampling))
        n = sampling.sampled
        output = SampleOutput(found[:n], token_probs[:n], None if probs is None else probs[:n], bool(sampling.failed))
        return buffers.add_to(output) if buffers else output

    def _each_once(self, streams: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        which = indices.check_indices("the streams", streams, (len(streams),), self._shape[1])
        if len(set(which.tolist())) < len(which):
            raise ValueError("each stream can be taken once")
        return which

    def _reading(
        self,
        streams: npt.NDArray[np.int64],
        characters: npt.NDArray[np.int64],
        log_probs: npt.NDArray[np.float64],
    ) -> ReadingStruct:
        """struct reading of some streams, valid as long as its arrays live."""
        return ReadingStruct(
            network=ctypes.addressof(self.network.structure),
            T=self._shape[0],
            B=len(streams),
            streams=streams.ctypes.data,
            characters=characters.ctypes.data,
            c=self.c.ctypes.data if self.c.size else None,
            h=self.h.ctypes.data,
            log_probs=log_probs.ctypes.data,
            activations=self._activations.ctypes.data if len(streams) == self._shape[1] else None,
            workspace=self._workspace.ctypes.data,
        )


class _RequestBuffers:
    """Output arrays for a request of M streams over N steps; `fields`: those of struct sampling."""

    def __init__(self, request: SampleRequest, N: int, network: PackedNetwork) -> None:
        M, s = len(request.num_candidates), network.structure
        num_candidates = indices.check_indices("the candidates", request.num_candidates, (M,), s.V + 1)
        unit_ids = indices.check_indices("the units", request.units + 1, (M,), s.layers * s.H + 1) - 1
        K = int(num_candidates.max())
        self._request = num_candidates, unit_ids  # kept alive, since C uses their addresses
        self._top_candidates, self._top_probs = np.empty((N, M, K), np.int64), np.empty((N, M, K))
        self._activations = np.empty((N, M))
        self.fields = {
            "num_candidates": num_candidates.ctypes.data,
            "max_candidates": K,
            "top_candidates": self._top_candidates.ctypes.data,
            "top_probs": self._top_probs.ctypes.data,
            "units": unit_ids.ctypes.data,
            "activations": self._activations.ctypes.data,
        }

    def add_to(self, output: SampleOutput) -> SampleOutput:
        n = len(output.token_ids)
        top_candidates, top_probs, activations = self._top_candidates[:n], self._top_probs[:n], self._activations[:n]
        return output._replace(top_candidates=top_candidates, top_probs=top_probs, activations=activations)


def _pointers(limits: Sequence[CopyLimit | None], M: int, V: int) -> ctypes.Array[ctypes.c_void_p]:
    """The addresses of M limits, null for None. Errors: TypeError, ValueError."""
    if len(limits) != M:
        raise ValueError(f"there are {len(limits)} limits for {M} streams")
    found = (ctypes.c_void_p * M)()
    for m, limit in enumerate(limits):
        if limit is None:
            continue
        if not isinstance(limit, KernelLimit):
            raise TypeError("a limit must be of the kernel")
        if limit.passages.rules.vocab_size != V:
            raise ValueError(f"a limit is for {limit.passages.rules.vocab_size} characters, not {V}")
        found[m] = ctypes.addressof(limit.structure)
    return found
