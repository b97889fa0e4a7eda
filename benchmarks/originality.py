"""What samples copy from the training text, with and without -max_copy, and whether a limit costs quality.

    python benchmarks/originality.py [TEXT ...] [-lists LIST ...] [-recipes quick,best] [-models FOLDER] [-speed 1]

Trains a model of each text and each recipe, and one of each list with -items line. Prints for five temperatures, of
100,000 characters without a limit and with one: the longest passage that is in the whole training text, the share of
n-grams there, and bits per character under another model of the text, of -recipe quick -seed 7. Texts have -max_copy
24, and 16- and 24-grams; lists -max_copy 6, and 4- and 6-grams. Samples have 5,000 characters each; of a model of
items, as many items as make 100,000. The last row of a text is its validation text, which a person wrote.

FOLDER keeps the models: those that are there are not trained again. -speed 1 prints instead the ratio of characters per
second with a limit and without one, both measured in turns on one thread of an idle machine.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import arguments
import numpy as np

from compat.charrnn import Checkpoint
from compat.vocabulary import characters_by_id
from pycharrnn.analysis import copied, scoring
from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine import copies
from pycharrnn.engine.copies import Comparison
from pycharrnn.sampling import copy_limits, inference, items, sampler
from pycharrnn.sampling.copy_limits import CopyLimits
from pycharrnn.sampling.options import SampleOptions

CHARACTERS, LENGTH = 100_000, 5_000
TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)
MAX_COPY, MAX_COPY_OF_ITEMS = 24, 6


def trained(text: Path, recipe: str, seed: int, more: list[str]) -> str:
    """The best checkpoint of a training on `text`, a file in the current folder; trained now unless it is there.

    `recipe`: the value of -recipe, other flags after it.
    """
    folder = Path(f"{text.stem}-{recipe.replace(' ', '_')}-{seed}")
    if not folder.exists():
        part = f"{folder}.part"
        shutil.rmtree(part, ignore_errors=True)
        command = ["train", text.name, *more, "-recipe", *recipe.split(), "-seed", str(seed), "-checkpoint_dir", part]
        subprocess.run(
            [sys.executable, "-m", "pycharrnn", *command, "-gpuid", "-1", "-show", "0"], check=True, capture_output=True
        )
        os.rename(part, folder)
    (best,) = folder.glob("*_best.t7")
    return str(best)


def texts_of(loaded: Checkpoint, temperature: float, limits: CopyLimits | None) -> tuple[list[bytes], int]:
    """Samples of CHARACTERS characters together, or more; of a list an item each. And how many ended early."""
    end, characters = loaded.network.end_id, characters_by_id(loaded.vocab)
    model = inference.on_cpu(loaded.network)
    if end is not None:
        opt, found = SampleOptions(items=CHARACTERS, temperature=temperature, length=200), list[bytes]()
        of_list = items.ItemModel(lambda streams: model.fresh(streams=streams), loaded.vocab, end, copies=limits)
        drawn = items.draw(of_list, opt)
        while sum(map(len, found)) < CHARACTERS:
            found.append(b"".join(characters[k] for k in next(drawn).token_ids.tolist()))
        return found, 0
    opt, B = SampleOptions(length=LENGTH, temperature=temperature), CHARACTERS // LENGTH
    texts, primes, num_early = [b""] * B, [[b"\n"]] * B, 0
    for chunk in sampler.sample_streams(model.fresh(streams=B), primes, loaded.vocab, opt, range(B), copies=limits):
        if not chunk.given:
            texts[chunk.stream] += b"".join(chunk.characters)
        num_early += chunk.ended_early
    return texts, num_early


def cells(found: Comparison, loaded: Checkpoint, other: Checkpoint, texts: list[bytes], N: int) -> list[str]:
    """Longest passage, shares of the 2N/3-grams and N-grams, bits per character under another model."""
    ends = b"" if loaded.network.end_id is None else characters_by_id(loaded.vocab)[loaded.network.end_id]
    scores = list(scoring.scores(other, [ends + text + ends for text in texts], [""] * len(texts)))
    bits = sum(one.bits[1:][one.known[1:]].sum() for one in scores) / sum(one.known[1:].sum() for one in scores)
    shares = ["" if (share := found.share(n)) is None else f"{100 * share:.1f} %" for n in n_grams(N)]
    return [f"{found.lengths.max()}", *shares, f"{bits:.3f}"]


def n_grams(N: int) -> tuple[int, int]:
    return 2 * N // 3, N


def table(name: str, models: dict[str, str], other_path: str, N: int) -> None:
    """Print the rows of one text. `models`: recipe -> checkpoint."""
    other = checkpoint.load(other_path)
    heads = ["longest", *(f"{n}-grams" for n in n_grams(N)), "bits"]
    print(f"\n| -max_copy {N} | {' | '.join(f'{head} | limited' for head in heads)} |\n{'| --- ' * 9}|")
    for recipe, path in models.items():
        loaded = checkpoint.load(path)
        text = b"".join(copied.text_of_model(path, loaded).pieces())
        for temperature in TEMPERATURES:
            columns, early = [], ""
            for of_row in (0, N):
                limits = copy_limits.for_options(path, loaded, of_row)
                texts, num_early = texts_of(loaded, temperature, limits)
                columns.append(cells(copies.compare(texts, [[text]]), loaded, other, texts, N))
                early = f" {num_early} end early" if num_early else ""
            both = " | ".join(f"{one} | {limited}" for one, limited in zip(*columns, strict=True))
            print(f"| {name}, {recipe}, temperature {temperature} | {both} |{early}", flush=True)
    validation = copied.novelty_of_model(path, loaded, b"x", threads=1).validation
    end = None if loaded.network.end_id is None else b"\n"
    lines = validation.sample.split(end) if end else [validation.sample]
    person = cells(validation, loaded, other, [line for line in lines if line], N)
    print(f"| {name}, validation text | {' | | '.join(person)} | |", flush=True)


def speed(path: str, max_copy: int, repeats: int = 7, characters: int = 64_000) -> None:
    """The ratio of characters per second with a limit and without one."""
    loaded = checkpoint.load(path)
    limits = copy_limits.for_options(path, loaded, max_copy)
    model = inference.on_cpu(loaded.network)
    for streams in (1, 64):
        opt = SampleOptions(length=characters // streams)
        ratios = []
        for _ in range(repeats):
            seconds = []
            for of_turn in (None, limits):
                start, primes = time.thread_time(), [[b"\n"]] * streams
                predictor = model.fresh(streams=streams)
                drawn = sampler.sample_streams(predictor, primes, loaded.vocab, opt, range(streams), copies=of_turn)
                count = sum(len(chunk.characters) for chunk in drawn)
                seconds.append((time.thread_time() - start) / count)
            ratios.append(seconds[0] / seconds[1])
        print(f"{path}, {streams} streams: -max_copy {max_copy} draws {statistics.median(ratios):.2f} times as fast")


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("texts", nargs="*", type=arguments.file, metavar="TEXT")
    parser.add_argument("-lists", nargs="*", type=arguments.file, default=[], metavar="LIST")
    parser.add_argument("-recipes", default="quick,best", help='of texts; with other flags: "quick,best -max_epochs 2"')
    parser.add_argument("-list_recipes", default="quick,best")
    parser.add_argument("-models", type=Path, default=Path("originality"), help="folder of the models")
    parser.add_argument("-speed", type=int, default=0)
    args = parser.parse_args()
    if not args.texts and not args.lists:
        parser.error("give a text, or a list with -lists")
    np.seterr(all="ignore")
    files = [(file, MAX_COPY, args.recipes, []) for file in args.texts]
    files += [(file, MAX_COPY_OF_ITEMS, args.list_recipes, ["-items", "line"]) for file in args.lists]
    args.models.mkdir(parents=True, exist_ok=True)
    sources = [file.resolve() for file, *_ in files]
    os.chdir(args.models)  # checkpoints record the text relative to it
    for source, (_, N, recipes, more) in zip(sources, files, strict=True):
        name = source.parent.name if source.name == "input.txt" else source.stem
        text = Path(f"{name}.txt")
        if not text.exists():
            shutil.copy(source, text)
        models = {recipe: trained(text, recipe, 123, more) for recipe in recipes.split(",")}
        if args.speed:
            for path in models.values():
                speed(path, N)
        else:
            table(name, models, trained(text, "quick", 7, more), N)


if __name__ == "__main__":
    main()
