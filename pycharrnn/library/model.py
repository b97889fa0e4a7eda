"""A trained model as an object: it generates, scores and shows its hidden units."""

from __future__ import annotations

import contextlib
import reprlib
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, cast, overload

import numpy as np

from compat.charrnn import Checkpoint
from compat.vocabulary import characters_by_id
from pycharrnn.analysis import activations, classify, copied, text_scores
from pycharrnn.analysis.options import CopiedOptions, WhichOptions
from pycharrnn.checkpoints import checkpoint_facts, formats, paths
from pycharrnn.common import cores, path_argument
from pycharrnn.common.errors import UserError, in_words_of_a_program
from pycharrnn.library import adapting, arguments, generation, item_generation, notebook
from pycharrnn.library.characters import decode, encode, utf8
from pycharrnn.library.current_weights import CurrentWeights
from pycharrnn.library.generated import bytes_pieces_of, pieces_of, text_of
from pycharrnn.library.generation import Prime
from pycharrnn.library.keywords import options_of, switch
from pycharrnn.page import saving
from pycharrnn.sampling import learning
from pycharrnn.sampling.copy_limits import KeptPassages
from pycharrnn.sampling.model_text import ModelText
from pycharrnn.sampling.options import DEFAULT_ITEMS, SampleOptions
from pycharrnn.sampling.primetext import line_start
from pycharrnn.text import items, labels

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt
    import torch
    from typing_extensions import Unpack

    from compat.t7_objects import T7Encoding
    from pycharrnn.analysis.activations import Reading
    from pycharrnn.analysis.copied import Passage
    from pycharrnn.analysis.scoring import Score
    from pycharrnn.engine.model import CharRNN
    from pycharrnn.library.adapting import AdaptKeywords
    from pycharrnn.library.generated import BytesPiece, GeneratedText, Piece
    from pycharrnn.library.generation import SampleKeywords
    from pycharrnn.library.item_generation import Item, ItemKeywords
    from pycharrnn.sampling.copy_limits import CopyLimits

    Text = str | bytes
    AnyText = TypeVar("AnyText", bound=Text)
    Texts = list[AnyText] | tuple[AnyText, ...]


def load(
    path: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Model:
    """Load a checkpoint; of a folder the one with the lowest validation loss of the run that trained last.

    On the CPU, PyTorch is imported only for `module` and calls of the model.

    Args:
        path: a checkpoint in any format that `pycharrnn convert` reads, or a folder of checkpoints.
        dtype: of the module's parameters; default torch.float32. Text generated on the CPU does not depend on it.
        device: of the module and all computations; default the CPU.

    Errors: UserError for a path without a readable checkpoint, or a device that this machine lacks; ValueError for an
        unknown device; TypeError.

    Example:
        >>> model = pycharrnn.load("cv")
        >>> print(model.generate("The ", length=200, temperature=0.5, seed=7))
    """
    arguments.check_dtype(dtype)
    arguments.check_device(device)
    notes: list[str] = []
    with in_words_of_a_program():
        found, loaded = paths.load_best(path_argument.path(path), notes.append, progress=0)
    return Model(loaded, found, notes=notes, dtype=dtype, device=device)


class Model:
    """A trained model; `pycharrnn.load` returns one.

    On the CPU, texts and scores are computed in double precision, except while the model learns, and equal those of the
    command line to the last byte. Other devices compute in the module's precision. Texts may be str or bytes; bytes are
    taken as they are, in the encoding of the model, which is UTF-8 for a text that pycharrnn.train has read.

    Attributes:
        path: of the checkpoint; "" without one.
        notes: messages of `load`: its choice in a folder, files that it could not read, weights that are no numbers.
        vocab: character as bytes -> token id + 1, as Lua counts.
        opt: the recorded training options.
        model: "lstm", "gru" or "rnn".
        rnn_size, num_layers, vocab_size, dropout: as in CharRNN.
        val_loss: validation loss in nats per character; None if unknown.
        epoch, iteration: progress of the training.
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
        if not isinstance(loaded, Checkpoint):
            raise TypeError(f"Model takes a loaded checkpoint, not {reprlib.repr(loaded)}: use pycharrnn.load")
        network = loaded.network
        self.path, self.notes, self.vocab, self.opt = path, tuple(notes), loaded.vocab, loaded.opt
        self.model, self.rnn_size, self.num_layers = network.model, network.rnn_size, network.num_layers
        self.vocab_size, self.dropout = network.vocab_size, network.dropout
        self.val_loss, self.epoch, self.iteration = checkpoint_facts.validation_loss(loaded), loaded.epoch, loaded.i
        self.train_losses, self.val_losses = loaded.train_losses.tolist(), loaded.val_losses
        self._weights = CurrentWeights(loaded, dtype, device)
        self._line_start, self._has_items = line_start(loaded), network.end_id is not None
        self._kept_passages = KeptPassages(0)

    # -- text ----------------------------------------------------------------------------------------------------------

    @overload
    def generate(
        self, primetext: Text = "", *, as_bytes: Literal[False] = False, **options: Unpack[SampleKeywords]
    ) -> GeneratedText: ...
    @overload
    def generate(
        self, primetext: Text = "", *, as_bytes: Literal[True], **options: Unpack[SampleKeywords]
    ) -> bytes: ...
    @overload
    def generate(
        self, primetext: Texts[AnyText], *, as_bytes: Literal[False] = False, **options: Unpack[SampleKeywords]
    ) -> list[GeneratedText]: ...
    @overload
    def generate(
        self, primetext: Texts[AnyText], *, as_bytes: Literal[True], **options: Unpack[SampleKeywords]
    ) -> list[bytes]: ...
    @overload
    def generate(
        self, primetext: Text = "", *, as_bytes: bool, **options: Unpack[SampleKeywords]
    ) -> GeneratedText | bytes: ...
    @overload
    def generate(
        self, primetext: Texts[AnyText], *, as_bytes: bool, **options: Unpack[SampleKeywords]
    ) -> list[GeneratedText] | list[bytes]: ...
    def generate(
        self,
        primetext: Text | Texts[AnyText] = "",
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
        max_copy: int = SampleOptions.max_copy,
        text: str | os.PathLike[str] | None = None,
        text_encoding: str = SampleOptions.text_encoding,
        as_bytes: bool = False,
        **unknown: NoReturn,  # an error, which names the option that was probably meant
    ) -> GeneratedText | bytes | list[GeneratedText] | list[bytes]:
        """Sample a text after a prompt, as `pycharrnn sample` does.

        Args:
            primetext: a prompt, or a list of prompts. Those of a list are sampled in a batch with the seeds seed,
                seed + 1, ..., and each result is what it would be alone. In a model of items it begins an item; with
                labels, with a label and a tab, and the text ends with that item. Without a prompt, a model of
                `pycharrnn.train(text)` begins a line; a model of `data_dir` or of a Lua program begins with a character
                at random, as in char-rnn.
            length: number of characters to sample; None or 0 = until `stop`. Use `stream` for a text that does not fit
                in memory.
            temperature: above 0; or (A, B) or "A:B", from A at the first character to B at the last.
            seed: determines the text; None = a random one, which `text.seed` keeps.
            topk: sample only from the K most probable characters. 0 = all.
            topp: sample only from the most probable characters that sum to at least this probability. 1 = all.
            stop: end after sampling this text.
            sample: 0 = take the most probable character instead of sampling.
            hide_prime: leave the prompt out of the result.
            ignore_bad_primetext: leave out characters of the prompt that the vocabulary lacks.
            max_copy: sample no passage of more characters than this that is in the training text. 0 = no limit. A
                text ends where no other character is left; its `ended_early` is then True.
            text: file, or folder of texts, for max_copy; None = the training text, as the checkpoint records it.
            text_encoding: of the file `text`, for a model of `pycharrnn.train(text)`: a text encoding of Python, or
                "bytes". "" = detect it. Other models read the bytes.
            as_bytes: return bytes. A str has U+FFFD for invalid UTF-8.

        Errors: UserError for a value that is not allowed, a character that the vocabulary lacks, a model that predicts
            NaN, a length that does not fit in memory, a text without max_copy, or, with max_copy, a missing text;
            TypeError.
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
            max_copy=max_copy,
            text=text,
            text_encoding=text_encoding,
            **unknown,
        )
        as_bytes = switch("as_bytes", as_bytes)
        single = isinstance(primetext, (str, bytes))
        if not single and not isinstance(primetext, (list, tuple)):
            is_number = isinstance(primetext, int) and not isinstance(primetext, bool)
            hint = f": write length={primetext!r} for a number of characters" if is_number else ""
            raise TypeError(f"primetext must be a str, bytes or a list of them, not {reprlib.repr(primetext)}{hint}")
        prompts = cast("list[Text]", [primetext] if single else primetext)
        primes = [self._prime(prompt, opt.ignore_bad_primetext) for prompt in prompts]
        opt = self._of_one_item(opt, primes)
        copies = self._copy_limits(opt)
        texts, ended_early = generation.sample_batch(self._weights.predictor, self.vocab, opt, primes, copies)
        found: list[Any]
        if as_bytes:
            found = [b"".join(character for character, _, _ in text) for text in texts]
        else:
            found = [text_of(text, opt.seed + k) for k, text in enumerate(texts)]
            for generated, is_early in zip(found, ended_early, strict=True):
                generated.ended_early = is_early
        return found[0] if single else found

    @overload
    def stream(
        self, primetext: Text = "", *, as_bytes: Literal[False] = False, **options: Unpack[SampleKeywords]
    ) -> Iterator[Piece]: ...
    @overload
    def stream(
        self, primetext: Text = "", *, as_bytes: Literal[True], **options: Unpack[SampleKeywords]
    ) -> Iterator[BytesPiece]: ...
    @overload
    def stream(
        self, primetext: Text = "", *, as_bytes: bool, **options: Unpack[SampleKeywords]
    ) -> Iterator[Piece] | Iterator[BytesPiece]: ...
    def stream(
        self, primetext: Text = "", *, as_bytes: bool = False, **options: Unpack[SampleKeywords]
    ) -> Iterator[Piece] | Iterator[BytesPiece]:
        """Sample the text of `generate` piece by piece.

        A piece is a UTF-8 character (with as_bytes, a character of the vocabulary) with its `probability`, whether it
        was `given`, and its `candidates()`.

        Args:
            primetext, as_bytes, options: as for `generate`; with a `length` of None or 0 and no `stop` it never ends.

        Errors: as for `generate`.
        """
        opt, as_bytes = generation.options_for("stream", **options), switch("as_bytes", as_bytes)
        prime = self._prime(primetext, opt.ignore_bad_primetext)
        opt = self._of_one_item(opt, [prime])
        copies = self._copy_limits(opt)
        sampled = generation.sample_text(self._weights.predictor(), self.vocab, opt, prime, copies)
        characters = characters_by_id(self.vocab)
        return bytes_pieces_of(sampled, characters) if as_bytes else pieces_of(sampled, characters)

    def items(
        self, count: int = DEFAULT_ITEMS, *, primetext: Text = "", **options: Unpack[ItemKeywords]
    ) -> Iterator[Item]:
        """Draw items from a model of items, as `pycharrnn sample` does.

        Args:
            count: how many to yield. Fewer are yielded if 1,000 in a row were left out. With topk=1 or sample=0, where
                all items of a label are equal, one item left out ends the drawing.
            primetext: the beginning of every item.
            label: of the items, for a model with labels; "" = labels as often as in training.
            new: leave out items that are in the training text, and empty ones. unique: leave out those that were drawn
                before.
            least, most: leave out items of fewer or more characters. 0 = none.
            text: file of items to compare with for `new`; None = the training text, as the checkpoint records it.
            text_encoding: of the file `text`, as for `generate`.
            length: most characters to draw for an item.
            seed: of the first item; each item has the next one. None = a random one, which `item.seed` keeps.
            threads: 0 = OMP_NUM_THREADS, or one for each core.
            max_copy: for passages within an item; the end of an item may always follow.
            temperature, topk, topp, sample, hide_prime, ignore_bad_primetext: as for `generate`.

        Yields: strings with `probability`, `bits`, `known`, `seed`, and the attributes of GeneratedText.

        Errors: as for `generate`; UserError for a model of a text, or, with `new`, for a missing text.
        """
        opt = item_generation.options_for(count, **options)
        prime = self._characters(primetext, "primetext", opt.ignore_bad_primetext)
        of_model = self._name, self._weights.checkpoint(), self._weights.predictor
        return item_generation.draw_items(*of_model, opt, prime, self._copy_limits(opt))

    def encode(self, text: Text) -> npt.NDArray[np.int64]:
        """Token ids of a text, from 0, (T,). Errors: UserError for an unknown character; TypeError."""
        return encode(utf8(text, "text"), self.vocab, "text").token_ids

    def decode(self, token_ids: Iterable[int] | npt.NDArray[np.integer[Any]] | torch.Tensor) -> str:
        """The text of T token ids, with U+FFFD for invalid UTF-8. Errors: TypeError; IndexError for an unknown id."""
        return decode(token_ids, self.vocab)

    def score(self, text: Text, *, adapt: bool = False, **options: Unpack[AdaptKeywords]) -> Score:
        """Surprise of a text: `bits_per_character`, `bits`, and `unknown` for what was left out.

        `bits_per_character` divides by the number of code points, as the command `score` does, and `bits_per_token` by
        that of the model's characters, which are bytes for most models. Both are NaN, and `bits` are 0, for a text
        without a character of the vocabulary, for which the command prints "no score".

        A model of items reads each item of the text by itself, as `score -lines 1` does. The bits of its end are those
        of the character after it in the text, or follow the text's where there is none. A label has 0 bits.

        Args:
            text: for a model of items one item or several; with labels, each item after its label and a tab.
            adapt: the score of a copy of the model that learns from the text, each part once it has been predicted.
                Compare it only with other scores of adapt=True. On the CPU.
            options: adapt_rate, adapt_length, adapt_pull, as for `learn`.

        Errors: TypeError; UserError for an empty text, or a value that is not allowed.
        """
        how, content = adapting.to_score(adapt, **options), utf8(text, "text")
        if not content:
            raise _empty()
        with in_words_of_a_program(), np.errstate(all="ignore"):  # of a model whose training failed
            loaded = self._weights.checkpoint()
            if how:
                return text_scores.adapted_score(loaded, content, how)
            return text_scores.score_by(lambda steps: self._weights.predictor(1, steps), loaded, content)

    def copied(
        self,
        sample: Text,
        *,
        least: int = CopiedOptions.least,
        text: str | os.PathLike[str] | None = None,
        text_encoding: str = CopiedOptions.text_encoding,
        threads: int = 0,
    ) -> list[Passage]:
        """The passages of a sample that are in the training text, letter for letter, the longest first; each once.

        Args:
            least: number of characters that a passage must have at least.
            text: path of the text to compare with; None = the training text that the checkpoint records.
            text_encoding: of the file `text`: a text encoding of Python, or "bytes". "" = detect it.
            threads: 0 = OMP_NUM_THREADS, or one for each core.

        Errors: TypeError; UserError for a text that is missing, or has changed since the training.

        Example:
            >>> for passage in model.copied(model.generate(length=5000)):
            ...     print(passage.length, passage.text_line, passage)
        """
        file = "" if text is None else text
        options = {"least": least, "text": file, "text_encoding": text_encoding, "threads": threads}
        opt = options_of(CopiedOptions, options, "copied", tuple(options))
        if opt.text_encoding and not opt.text:
            raise UserError("text_encoding is for the file text: leave it out.")
        with in_words_of_a_program(), contextlib.ExitStack() as until_read:
            loaded, content = self._weights.checkpoint(), utf8(sample, "sample")
            if opt.text:
                training_text = copied.text_of_file(opt.text, content, until_read, text_encoding=opt.text_encoding)
            else:
                training_text = copied.text_of_model(self._name, loaded)
            threads = opt.threads or cores.default_threads()
            known = loaded.labels
            found = copied.compare(content, training_text, known, progress=0, threads=threads)
            return copied.passages(found, training_text, opt.least)

    def learn(self, text: Text, **options: Unpack[AdaptKeywords]) -> Model:
        """A copy of this model that has read a text once, and learnt from it; this model and its file stay as they are.

        It suits texts from some hundred characters on; `pycharrnn.train(text, init_from=...)` reads a text many times.
        Characters that the vocabulary lacks are left out. On the CPU, in float32. A model of items reads each item of
        the text by itself, with its end, as for `score`; it reads labels, but does not learn to predict them.

        Args:
            adapt_rate: learning rate; 0, the default, is 0.16 divided by the number of units of all layers.
            adapt_length: number of characters to read before each step of learning; 20 by default.
            adapt_pull: after each step, the weights return this fraction of the way to this model's; 0.001 by default.

        Errors: TypeError; UserError for a value that is not allowed, or an item that is too long or lacks its label.

        Example:
            >>> mine = model.learn("Dear Anna, ...")
            >>> mine.save("mine.t7")
        """
        how = adapting.to_learn(**options)
        loaded = self._weights.checkpoint()
        with in_words_of_a_program():
            itemized = text_scores.ItemizedText(loaded, utf8(text, "text"))
        characters = encode(itemized.content, self.vocab, "text", True).characters
        given = itemized.given_mask(characters) if itemized.given_mask else None
        learnt = learning.learnt(loaded, characters, how, given=given, progress=0)
        return Model(learnt, dtype=self._weights.dtype, device=self.device)

    @property
    def labels(self) -> dict[str, int]:
        """Label -> the number of its items in training; {} for a model without labels."""
        found = self._weights.checkpoint().labels
        return {label.decode("utf-8", "surrogateescape"): count for label, count in found.items()}

    def which(self, item: Text, *, prior: str = "equal") -> list[tuple[str, float]]:
        """The labels of an item with their probabilities, by Bayes' rule, the most probable first.

        Args:
            item: one item, without its label; one of the model's labels and a tab before it are left out, and so are
                characters that the vocabulary lacks.
            prior: probability of a label before the item is read: "equal", or "counts", in proportion to its items in
                training.

        Errors: UserError for a model without labels, another prior, or several items; TypeError.
        """
        with in_words_of_a_program(), np.errstate(all="ignore"):
            options_of(WhichOptions, {"prior": prior}, "which", ["item", "prior"])
            loaded = self._weights.checkpoint()
            classifier = classify.Classifier(self._name, loaded, self._weights.predictor, prior)
            given = list(items.of_text(utf8(item, "item"), loaded.items))
            if len(given) > 1:
                raise UserError(f"item has {len(given)} items: call which for each of them.")
            one = labels.split_known(given[0] if given else b"", classifier.labels)[1]
            (found,) = classifier.classify([one])
        return [(label.decode("utf-8", "surrogateescape"), prob) for label, prob in found.labels]

    def activations(self, text: Text, *, ignore_bad_primetext: bool = False) -> Reading:
        """Hidden units after each character of a text, tanh(c) of an lstm, else h, computed on the CPU.

        Returns: `characters` (T) and `values` (T, L, H). `ignore_bad_primetext` leaves out unknown characters.

        Errors: UserError for an empty text or a character that the vocabulary lacks; TypeError.
        """
        characters = self._characters(text, "text", switch("ignore_bad_primetext", ignore_bad_primetext))
        if not characters:
            raise _empty()
        with np.errstate(all="ignore"):
            return activations.record(self._weights.checkpoint(), b"".join(characters))

    @property
    def _name(self) -> str:
        """For messages."""
        return self.path or "the model"

    def _copy_limits(self, opt: SampleOptions) -> CopyLimits | None:
        """What max_copy forbids. Errors: OSError; UserError."""
        if not opt.max_copy:
            return None
        with in_words_of_a_program():
            text = ModelText(self._name, self._weights.checkpoint(), opt.text_encoding)
            return self._kept_passages.limits(text, opt.max_copy, opt.text)

    def _prime(self, primetext: Text, ignore_bad: bool | int) -> Prime:
        """What to read for a prompt: after the start of an item, or without one after that of a line."""
        characters = self._characters(primetext, "primetext", ignore_bad)
        before = self._line_start if self._has_items or not characters else []
        return Prime([*before, *characters], len(before))

    def _of_one_item(self, opt: SampleOptions, primes: Iterable[Prime]) -> SampleOptions:
        return generation.of_one_item(self.path or "this", self.vocab, self.opt, opt, primes)

    def _characters(self, text: Text, name: str, ignore_bad: bool | int | None = None) -> list[bytes]:
        return encode(utf8(text, name), self.vocab, name, ignore_bad).characters

    # -- PyTorch -------------------------------------------------------------------------------------------------------

    @property
    def module(self) -> CharRNN:
        """The model as a torch.nn.Module in evaluation mode. The model always uses its current weights."""
        found: CharRNN = self._weights.module
        return found

    def __call__(
        self, x: torch.Tensor | npt.NDArray[np.integer[Any]], state: Iterable[torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Log-probabilities (T, B, V) of the next characters in nats, and the final hidden state.

        Args, errors: as CharRNN.forward; x may also be an array.
        """
        found: tuple[torch.Tensor, list[torch.Tensor]] = self.module(arguments.tensor(x, self.device), state)
        return found

    @property
    def device(self) -> str:
        """The device that computes, as PyTorch names it."""
        return self._weights.device

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        dtype: str = formats.DEFAULT.dtype,
        encoding: T7Encoding = formats.DEFAULT.encoding,
        long_size: int = formats.DEFAULT.long_size,
        half: bool = False,
        weights: str = formats.DEFAULT.weights,
    ) -> None:
        """Write a file in the format of the path's ending, as `pycharrnn convert` does: .t7, .html, .onnx, .pt, .c, ...

        An existing file is replaced.

        Args:
            dtype: of a .t7 or .onnx file, "float64" or "float32"; "" = float64, for .onnx float32 where that is exact.
            encoding, long_size: of a .t7 file: "binary" or "ascii"; bytes of an integer, 8 or 4.
            half: round the weights of an .html file to 16 bits. It is smaller but samples other texts.
            weights: of a .c file, "double", "float" or "int8"; "" = the first that takes at most 4 MB.

        Errors: OSError; UserError for another ending or value, a missing folder, or an option that the format does not
            use.
        """
        loaded, target, half = self._weights.checkpoint(), path_argument.path(path), switch("half", half)
        options = formats.WriteOptions(dtype, encoding, long_size, weights, half)
        with in_words_of_a_program():
            formats.check_options(target, options)
            saving.save(target, loaded, self.path or target, options)

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self._facts().items())
        return f"<Model {self.path}: {facts}>" if self.path else f"<Model: {facts}>"

    def _repr_html_(self) -> str:
        file = {"file": self.path} if self.path else {}
        return notebook.table({**file, **self._facts(), "notes": "; ".join(self.notes)})

    def _facts(self) -> dict[str, str]:
        facts = {"model": f"{self.model}, {self.num_layers} x {self.rnn_size}", "characters": f"{self.vocab_size}"}
        now = self._weights.checkpoint()
        if now.items:
            facts["items"] = now.items
        if now.epoch:
            facts["epoch"] = f"{now.epoch:.2f}"
        if (val_loss := checkpoint_facts.validation_loss(now)) is not None:
            facts["validation loss"] = f"{val_loss:.4f}"
        return facts


def _empty() -> UserError:
    return UserError("the text is empty: give at least one character.")
