"""Streams of characters that the C kernel reads and draws, each with a hidden state of its own. Needs no PyTorch.

C believes every address, size and number: all are made here, or checked here. Python's other threads go on meanwhile.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pycharrnn.engine import indices
from pycharrnn.engine.kernel_structures import CELL_NUMBERS, Drawing, Reading

if TYPE_CHECKING:
    import numpy.typing as npt

    from pycharrnn.engine.kernel_network import PackedNetwork


class SamplingParams(NamedTuple):
    """How to choose among the predicted characters, for each of M streams.

    Attributes:
        temperatures: of N steps, float64 (N, M), positive.
        random_numbers: float64 (N, M), in [0, 1).
        largest: whether to take the likeliest instead of drawing, bool (M,).
        topk: how many of the likeliest to draw from, 0 for all, int64 (M,).
        topp: draw from the fewest of the likeliest that have this probability together, float64 (M,).
        pauses: after which characters to stop, bool (V,), or None.
    """

    temperatures: npt.NDArray[np.float64]
    random_numbers: npt.NDArray[np.float64]
    largest: npt.NDArray[np.bool_]
    topk: npt.NDArray[np.int64]
    topp: npt.NDArray[np.float64]
    pauses: npt.NDArray[np.bool_] | None = None


class SampleRequest(NamedTuple):
    """What else is asked of M streams that draw.

    Attributes:
        candidates: how many of the likeliest characters to name with each one drawn, int64 (M,).
        units: whose activations to tell, int64 (M,): number of the layer * H + that of the unit, from 0; -1 for none.
    """

    candidates: npt.NDArray[np.int64]
    units: npt.NDArray[np.int64]


class SampleOutput(NamedTuple):
    """Up to N steps of M streams.

    Attributes:
        indices: the characters, int64 (N, M).
        chances: their probabilities, float64 (N, M).
        probabilities: those of all characters, float64 (N, M, V), if they were asked for.
        failed: whether the step after these can't be drawn, since its probabilities are no numbers.
        likeliest: where asked for, the likeliest characters in place of each, of equally likely ones the first in the
            vocabulary, int64 (N, M, K). K is the largest number that was asked for; a stream's row is as long as it
            asked for, and what follows in it means nothing.
        likeliest_chances: the probabilities of these, float64 (N, M, K).
        activations: of the units that were asked for, after each character but the last, which has not been read,
            float64 (N, M).
    """

    indices: npt.NDArray[np.int64]
    chances: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64] | None
    failed: bool
    likeliest: npt.NDArray[np.int64] | None = None
    likeliest_chances: npt.NDArray[np.float64] | None = None
    activations: npt.NDArray[np.float64] | None = None


class Streams:
    """B streams of one network, their hidden states zeros at first.

    Args:
        streams: B.
        steps: characters that `read` takes at once, T.

    Attributes:
        c, h: the states, float64 (B, L, H); c is empty but for an lstm.

    Errors: ValueError for streams or steps below 1.
    """

    def __init__(self, network: PackedNetwork, streams: int, steps: int) -> None:
        if streams < 1 or steps < 1:
            raise ValueError(f"streams and steps must be at least 1, not {streams} and {steps}")
        s = network.structure
        self.network = network
        self._shape = steps, streams
        self.h = np.zeros((streams, s.layers, s.H))
        self.c = np.zeros_like(self.h) if s.cell == CELL_NUMBERS["lstm"] else self.h[:0]
        self._activations = np.zeros((s.layers, steps, streams, s.H))
        self._all = np.arange(streams, dtype=np.int64)  # C reads it; the default has 32 bits on Windows before NumPy 2
        self._space = np.empty(network.room(steps, streams).space)

    @property
    def activations(self) -> npt.NDArray[np.float64]:
        """tanh(c) of an lstm, else h, after each character of the last `read`, (L, T, B, H).

        After all streams have drawn, these are those after the last characters that they have read.
        """
        activations: npt.NDArray[np.float64] = self._activations.copy()
        return activations

    def read(self, characters: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """Read T characters (T, B) in each stream: log-probabilities of the next after each one, in nats, (T, B, V).

        Errors: TypeError, ValueError, IndexError for what are no characters, or another number of them.
        """
        V = self.network.structure.V
        characters = indices.check_indices("the characters", characters, self._shape, V)
        log_probs = np.empty((*self._shape, V))
        self.network.library.charrnn_read(ctypes.byref(self._reading(self._all, characters, log_probs)))
        return log_probs

    def log_likelihoods(
        self,
        streams: npt.NDArray[np.integer[Any]],
        characters: npt.NDArray[np.integer[Any]],
        following: npt.NDArray[np.integer[Any]],
    ) -> npt.NDArray[np.float64]:
        """Read any number of characters in some streams: log-probabilities of those that follow alone, in nats, (N, M).

        These are the very numbers that `read` gives. Several threads may do this at once, each with streams of its own.
        The activations stay what they were.

        Args:
            streams: which, M of them, each once.
            characters: (N, M).
            following: what comes after each, (N, M).

        Errors: TypeError, ValueError, IndexError for arrays of another type, shape or content.
        """
        V, shape = self.network.structure.V, (len(characters), len(streams))
        which = self._each_once(streams)
        characters = indices.check_indices("the characters", characters, shape, V)
        following = indices.check_indices("the characters that follow", following, shape, V)
        found, space = np.empty(shape), np.empty(self.network.room(*shape).space)
        reading = self._reading(which, characters, found)
        reading.T, reading.following, reading.activations = len(characters), following.ctypes.data, None
        reading.space = space.ctypes.data
        self.network.library.charrnn_read(ctypes.byref(reading))
        return found

    def forget(self, stream: int) -> None:
        """Make the hidden state of a stream zeros."""
        self.h[stream] = 0
        if self.c.size:
            self.c[stream] = 0

    def draw(
        self,
        streams: npt.NDArray[np.integer[Any]],
        last: npt.NDArray[np.integer[Any]],
        scores: npt.NDArray[np.float64] | None,
        choice: SamplingParams,
        with_probabilities: bool,
        asked: SampleRequest | None = None,
    ) -> SampleOutput:
        """Draw characters in some streams, up to a pause; all but those drawn last are read. For streams of one step.

        Args:
            streams: which, M of them, each once.
            last: the character that each has drawn and not read, (M,).
            scores: draw the first ones from these, (M, V), without reading `last`; None: from what follows it.
            asked: of all streams together only, since activations are those of the last characters that all have read.

        Errors: TypeError, ValueError, IndexError for arrays of another type, shape or content.
        """
        steps, _ = self._shape
        M, N, V = len(streams), len(choice.temperatures), self.network.structure.V
        which = self._each_once(streams)
        if steps != 1:
            raise ValueError("drawing takes one step at a time")
        now = indices.check_indices("the last characters", last, (M,), V).copy()
        scores_now = np.empty((M, V)) if scores is None else np.array(scores, np.float64, order="C")
        _address("scores", scores_now, np.float64, (M, V))
        reading = self._reading(which, now, scores_now)
        largest = np.asarray(choice.largest).astype(np.int64)
        found, chances = np.empty((N, M), np.int64), np.empty((N, M))
        room, heap = np.empty(2 * V), np.empty(V, np.int64)
        probabilities = np.empty((N, M, V)) if with_probabilities else None
        if asked and not len(asked.candidates) == M == self._shape[1]:
            raise ValueError("candidates and activations are told of all streams together")
        told = _Told(asked, N, self.network) if asked else None
        drawing = Drawing(
            ctypes.addressof(reading),
            N,
            scores is None,
            now.ctypes.data,
            _address("temperatures", choice.temperatures, np.float64, (N, M)),
            _address("random_numbers", choice.random_numbers, np.float64, (N, M)),
            _address("largest", largest, np.int64, (M,)),
            _address("topk", choice.topk, np.int64, (M,)),
            _address("topp", choice.topp, np.float64, (M,)),
            None if choice.pauses is None else _address("pauses", choice.pauses, np.bool_, (V,)),
            found.ctypes.data,
            chances.ctypes.data,
            None if probabilities is None else probabilities.ctypes.data,
            *(told.fields if told else (None, 0, None, None, None, None)),
            room.ctypes.data,
            heap.ctypes.data,
        )
        self.network.library.charrnn_draw(ctypes.byref(drawing))
        n = drawing.drawn
        chosen = SampleOutput(
            found[:n], chances[:n], None if probabilities is None else probabilities[:n], bool(drawing.failed)
        )
        return told.added_to(chosen) if told else chosen

    def _each_once(self, streams: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """The numbers of some streams, checked, (M,). Errors: TypeError, ValueError, IndexError."""
        which = indices.check_indices("the streams", streams, (len(streams),), self._shape[1])
        if len(set(which.tolist())) < len(which):
            raise ValueError("each stream can be taken once")
        return which

    def _reading(
        self,
        streams: npt.NDArray[np.int64],
        characters: npt.NDArray[np.int64],
        log_probs: npt.NDArray[np.float64],
    ) -> Reading:
        """struct reading of some streams; its arrays must live as long as it is used."""
        return Reading(
            ctypes.addressof(self.network.structure),
            self._shape[0],
            len(streams),
            streams.ctypes.data,
            characters.ctypes.data,
            None,
            self.c.ctypes.data if self.c.size else None,
            self.h.ctypes.data,
            log_probs.ctypes.data,
            self._activations.ctypes.data if len(streams) == self._shape[1] else None,
            self._space.ctypes.data,
        )


class _Told:
    """Room for what is asked of M streams over N steps.

    Attributes:
        fields: those of struct drawing, in their order.

    Errors: TypeError, ValueError, IndexError for what can't be asked.
    """

    def __init__(self, asked: SampleRequest, N: int, network: PackedNetwork) -> None:
        M, s = len(asked.candidates), network.structure
        candidates = indices.check_indices("the candidates", asked.candidates, (M,), s.V + 1)
        places = indices.check_indices("the units", asked.units + 1, (M,), s.layers * s.H + 1) - 1
        most = int(candidates.max())
        self._asked = candidates, places  # which must live as long as their addresses are used
        self._likeliest, self._chances = np.empty((N, M, most), np.int64), np.empty((N, M, most))
        self._activations = np.empty((N, M))
        self.fields = (
            candidates.ctypes.data,
            most,
            self._likeliest.ctypes.data,
            self._chances.ctypes.data,
            places.ctypes.data,
            self._activations.ctypes.data,
        )

    def added_to(self, chosen: SampleOutput) -> SampleOutput:
        """What was chosen, with what has been told of it."""
        n = len(chosen.indices)
        likeliest, chances, activations = self._likeliest[:n], self._chances[:n], self._activations[:n]
        return chosen._replace(likeliest=likeliest, likeliest_chances=chances, activations=activations)


def _address(name: str, array: npt.NDArray[np.generic], dtype: type[np.generic], shape: tuple[int, ...]) -> int:
    """Where an array's elements lie in memory, one after the other.

    Errors: TypeError, ValueError unless it is of this type and shape, and in one piece.
    """
    if array.dtype != dtype:
        raise TypeError(f"{name} must be of {np.dtype(dtype)}, not {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, not {array.shape}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must lie in one piece")
    return array.ctypes.data
