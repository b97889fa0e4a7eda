"""A trained model as an object: it generates, scores and shows what its units do, with PyTorch or without."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np

from compat.vocabulary import characters_by_id
from pycharrnn.analysis import activations, scoring
from pycharrnn.checkpoints import checkpoint, paths
from pycharrnn.common.errors import UserError
from pycharrnn.library import arguments, generation, notebook
from pycharrnn.library.characters import decode, known_characters, utf8
from pycharrnn.library.current_weights import CurrentWeights
from pycharrnn.library.generated import bytes_pieces_of, pieces_of, text_of
from pycharrnn.sampling.options import SampleOptions

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt
    import torch
    from typing_extensions import Unpack

    from compat.charrnn import Checkpoint
    from compat.t7_objects import Encoding
    from pycharrnn.analysis.activations import Reading
    from pycharrnn.analysis.scoring import Score
    from pycharrnn.engine.model import CharRNN
    from pycharrnn.library.generated import BytesPiece, GeneratedText, Piece
    from pycharrnn.library.generation import Drawing

    Text = str | bytes
    Texts = list[str] | list[bytes] | list[Text] | tuple[Text, ...]


def load(
    path: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Model:
    """The model in a checkpoint that `pycharrnn sample` reads, or in the best one of a folder, by its validation loss.

    On the CPU PyTorch is not loaded until `module` is used, or the model called.

    Args:
        dtype: of the module's parameters; by default torch.float32. What is generated on the CPU doesn't go by it.
        device: where the module is, and all that the model computes; by default the CPU.

    Errors: UserError.

    Example:
        >>> model = pycharrnn.load("cv")
        >>> print(model.generate("The ", length=200, temperature=0.5, seed=7))
    """
    arguments.check_dtype(dtype)
    arguments.check_device(device)
    notes: list[str] = []
    found, loaded = paths.load_best(arguments.path(path), notes.append)
    return Model(loaded, found, notes=notes, dtype=dtype, device=device)


class Model:
    """A trained model; `pycharrnn.load` makes one.

    On the CPU texts and scores are computed in double precision, and are to the last byte what the command line prints.
    On another device they are computed there, in the module's precision.

    Attributes:
        path: of the checkpoint; "" for none.
        notes: what `load` has found in a folder: why it chose this checkpoint, and what it couldn't read.
        vocab: character, as bytes -> number from 1, as Lua counts.
        opt: the options of the training.
        model: "lstm", "gru" or "rnn".
        rnn_size, num_layers, vocab_size, dropout: as CharRNN has them.
        val_loss: of the validation split, in nats per character; None where it isn't known.
        epoch, iteration: how long it was trained.
        train_losses: of iterations 1, 2, ...; val_losses: iteration -> validation loss; in nats per character.
    """

    def __init__(
        self,
        loaded: Checkpoint,
        path: str = "",
        *,
        notes: Iterable[str] = (),
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        network = loaded.network
        self.path, self.notes, self.vocab, self.opt = path, tuple(notes), loaded.vocab, loaded.opt
        self.model, self.rnn_size, self.num_layers = network.model, network.rnn_size, network.num_layers
        self.vocab_size, self.dropout = network.vocab_size, network.dropout
        self.val_loss, self.epoch, self.iteration = paths.validation_loss(loaded), loaded.epoch, loaded.i
        self.train_losses, self.val_losses = loaded.train_losses.tolist(), loaded.val_losses
        self._weights = CurrentWeights(loaded, dtype, device)

    # -- text ----------------------------------------------------------------------------------------------------------

    @overload
    def generate(
        self, beginning: Text = "", *, as_bytes: Literal[False] = False, **options: Unpack[Drawing]
    ) -> GeneratedText: ...
    @overload
    def generate(self, beginning: Text = "", *, as_bytes: Literal[True], **options: Unpack[Drawing]) -> bytes: ...
    @overload
    def generate(
        self, beginning: Texts, *, as_bytes: Literal[False] = False, **options: Unpack[Drawing]
    ) -> list[GeneratedText]: ...
    @overload
    def generate(self, beginning: Texts, *, as_bytes: Literal[True], **options: Unpack[Drawing]) -> list[bytes]: ...
    def generate(
        self,
        beginning: Text | Texts = "",
        *,
        length: int | None = SampleOptions.length,
        temperature: float | tuple[float, float] | str = SampleOptions.temperature,
        seed: int | None = None,
        topk: int = SampleOptions.topk,
        topp: float = SampleOptions.topp,
        stop: Text = SampleOptions.stop,
        sample: int = SampleOptions.sample,
        hide_prime: bool = bool(SampleOptions.hide_prime),
        ignore_bad_primetext: bool = bool(SampleOptions.ignore_bad_primetext),
        as_bytes: bool = False,
    ) -> GeneratedText | bytes | list[GeneratedText] | list[bytes]:
        """The beginning and what the model makes up after it, as `pycharrnn sample` prints them.

        Args:
            beginning: what the text begins with; of a list, each of which begins a text of its own, all are drawn side
                by side, with the seeds seed, seed + 1, ..., and each is what it would be alone.
            length: number of characters to draw; None or 0 = until `stop`.
            temperature: above 0; or (A, B) or "A:B", from A at the first character to B at the last one.
            seed: the same one gives the same text; None = another text each time. The text knows it: `text.seed`.
            topk: draw only from the so many likeliest characters. 0 = from all.
            topp: draw only from the likeliest characters that together have this probability. 1 = from all.
            stop: the text ends once this has been drawn.
            sample: 0 = take the likeliest character each time, without drawing.
            hide_prime: leave the beginning out of the text.
            ignore_bad_primetext: leave out of the beginning what the model has never seen.
            as_bytes: give the very bytes. A str has U+FFFD where they are no UTF-8.

        Errors: UserError for a value that can't be used, a character that the model has never seen, or a model that
            predicts NaN; TypeError for an argument of another type.
        """
        opt = generation.options_for(
            "generate",
            length=length,
            temperature=temperature,
            seed=seed,
            topk=topk,
            topp=topp,
            stop=stop,
            sample=sample,
            hide_prime=hide_prime,
            ignore_bad_primetext=ignore_bad_primetext,
        )
        single = isinstance(beginning, (str, bytes))
        if not single and not isinstance(beginning, (list, tuple)):
            raise TypeError(f"beginning must be a str, bytes or a list of them, not {reprlib.repr(beginning)}")
        beginnings = cast("Texts", [beginning] if single else beginning)
        primes = [self._characters(one, "beginning", opt.ignore_bad_primetext) for one in beginnings]
        texts = generation.draw_batch(self._weights.predictor, self.vocab, opt, primes)
        found: list[Any]
        if as_bytes:
            found = [b"".join(character for character, _, _ in text) for text in texts]
        else:
            found = [text_of(text, opt.seed + k) for k, text in enumerate(texts)]
        return found[0] if single else found

    @overload
    def stream(
        self, beginning: Text = "", *, as_bytes: Literal[False] = False, **options: Unpack[Drawing]
    ) -> Iterator[Piece]: ...
    @overload
    def stream(
        self, beginning: Text = "", *, as_bytes: Literal[True], **options: Unpack[Drawing]
    ) -> Iterator[BytesPiece]: ...
    def stream(
        self, beginning: Text = "", *, as_bytes: bool = False, **options: Unpack[Drawing]
    ) -> Iterator[Piece] | Iterator[BytesPiece]:
        """The same text as `generate` gives, piece by piece, each as soon as it is drawn.

        A piece is a str of a whole UTF-8 character (with as_bytes, the bytes of a character of the vocabulary) that
        knows its `probability`, whether it was `given`, and with `candidates()` what might have come in its place.

        Args:
            beginning, as_bytes, options: as the arguments of `generate` with these names; but a `length` of None or 0
                without a `stop` goes on for ever.

        Errors: as those of `generate`.
        """
        opt = generation.options_for("stream", **options)
        prime = self._characters(beginning, "beginning", opt.ignore_bad_primetext)
        drawn = generation.draw(self._weights.predictor(), self.vocab, opt, prime)
        characters = characters_by_id(self.vocab)
        return bytes_pieces_of(drawn, characters) if as_bytes else pieces_of(drawn, characters)

    def encode(self, text: Text) -> npt.NDArray[np.int64]:
        """The numbers of a text's characters in the vocabulary, from 0, (T,): model(model.encode(text)[:, None]).

        Errors: UserError for a character that the model has never seen; TypeError for what is no text.
        """
        return np.array([self.vocab[character] - 1 for character in self._characters(text, "text")], np.int64)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of characters with these numbers, from 0: a list, an array or a tensor of one dimension.

        What is no UTF-8 is U+FFFD.

        Errors: IndexError for a number that the vocabulary lacks.
        """
        return decode(numbers, self.vocab)

    def score(self, text: Text) -> Score:
        """How much each character of a text surprises the model: `bits_per_character`, `bits`, `unknown`.

        What the model has never seen is left out. Errors: TypeError for what is no text.
        """
        with np.errstate(all="ignore"):  # of a model whose training failed
            return scoring.score_by(
                lambda steps: self._weights.predictor(1, steps),
                self._weights.checkpoint(),
                utf8(text, "text"),
            )

    def activations(self, text: Text, *, ignore_bad_primetext: bool = False) -> Reading:
        """What the hidden units hold after each character of a text: `characters` (T) and `values` (T, L, H).

        They are tanh(c) of an lstm, else h, computed on the CPU.

        Args:
            ignore_bad_primetext: leave out what the model has never seen.

        Errors: UserError for an empty text, or a character that the model has never seen; TypeError for no text.
        """
        characters = self._characters(text, "text", ignore_bad_primetext)
        if not characters:
            raise UserError("the text is empty: give one of at least a character.")
        with np.errstate(all="ignore"):
            return activations.record(self._weights.checkpoint(), b"".join(characters))

    def _characters(self, text: Text, name: str, ignore_bad: bool | int = 0) -> list[bytes]:
        """A text as characters of the vocabulary. Errors: as those of characters.known_characters and utf8."""
        return known_characters(utf8(text, name), self.vocab, name, ignore_bad)

    # -- PyTorch -------------------------------------------------------------------------------------------------------

    @property
    def module(self) -> CharRNN:
        """The model as a torch.nn.Module, made when it is first asked for, in evaluation mode.

        Where it is trained on, the model generates, scores and saves with its new weights.
        """
        found: CharRNN = self._weights.module
        return found

    def __call__(
        self, x: torch.Tensor | npt.NDArray[np.integer[Any]], state: Iterable[torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Log-probabilities (T, B, V) of the next characters in nats, and the state after them.

        Args, errors: as CharRNN.forward's; x may be an array as well.
        """
        found: tuple[torch.Tensor, list[torch.Tensor]] = self.module(arguments.tensor(x, self.device), state)
        return found

    @property
    def device(self) -> str:
        """PyTorch's name of where the model computes."""
        return self._weights.device

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        dtype: str = "",
        encoding: Encoding = "binary",
        long_size: int = 8,
        half: bool = False,
    ) -> None:
        """Write a file in the format of the path's ending, as `pycharrnn convert` does: .t7, .html, .onnx, .pt, ...

        Args:
            dtype: of a .t7 or .onnx file, "float64" or "float32"; "" = float64, for .onnx float32 where that is exact.
            encoding, long_size: of a .t7 file: "binary" or "ascii"; bytes of an integer, 8 or 4.
            half: whether a page, .html, has its weights in 16 bits: it is smaller, but draws another text.

        Errors: OSError; UserError for another ending.
        """
        loaded, target = self._weights.checkpoint(), arguments.path(path)
        if target.endswith(".html"):
            from pycharrnn.page import single_file

            name = self.path or target
            single_file.write(target, [(name, single_file.model_of(name, loaded, half))], half)
        else:
            checkpoint.convert(loaded, target, dtype, encoding, long_size)

    def __repr__(self) -> str:
        return f"<Model {self.path}: {', '.join(f'{name} {value}' for name, value in self._facts().items())}>"

    def _repr_html_(self) -> str:
        """A small table, for a notebook."""
        return notebook.table({"file": self.path, **self._facts(), "notes": "; ".join(self.notes)})

    def _facts(self) -> dict[str, str]:
        """What a line tells of the model."""
        facts = {"model": f"{self.model}, {self.num_layers} x {self.rnn_size}", "characters": f"{self.vocab_size}"}
        if self.epoch:
            facts["epoch"] = f"{self.epoch:.2f}"
        if self.val_loss is not None:
            facts["validation loss"] = f"{self.val_loss:.4f}"
        return facts
