"""What samples copy from the training text, with and without -max_copy, and whether a limit costs quality.

    python benchmarks/originality.py MODEL OTHER [MODEL OTHER ...] [-max_copy 24] [-speed 1]

For each pair of checkpoints, 100,000 characters of MODEL at five temperatures: the longest passage that is in the whole
training text, the share of its 8-, 16- and 24-grams there, and bits per character under OTHER, another model of that
text. Samples have 5,000 characters each; of a model of items, as many items as make 100,000. The last row is the
validation text, which a person wrote. -speed 1 prints the ratio of characters per second with a limit and without one,
both measured in turns on one thread. Run it where the training texts are, on an idle machine for -speed 1.
"""

from __future__ import annotations

import argparse
import statistics
import time

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
N_GRAMS = (8, 16, 24)


def texts_of(loaded: Checkpoint, temperature: float, limits: CopyLimits | None, count: int = CHARACTERS) -> list[bytes]:
    """Samples of `count` characters together."""
    end, characters = loaded.network.end_id, characters_by_id(loaded.vocab)
    model = inference.on_cpu(loaded.network)
    if end is not None:
        opt, found = SampleOptions(items=count, temperature=temperature, length=200), list[bytes]()
        drawn = items.draw(lambda streams: model.fresh(1, streams), loaded.vocab, end, [], opt, copies=limits)
        while sum(map(len, found)) < count:
            found.append(b"".join(characters[k] for k in next(drawn).token_ids.tolist()))
        return found
    opt, B = SampleOptions(length=LENGTH, temperature=temperature), count // LENGTH
    texts, primes = [b""] * B, [[b"\n"]] * B
    for chunk in sampler.sample_streams(model.fresh(1, B), primes, loaded.vocab, opt, range(B), copies=limits):
        if not chunk.given:
            texts[chunk.stream] += b"".join(chunk.characters)
    return texts


def row(found: Comparison, loaded: Checkpoint, other: Checkpoint, texts: list[bytes]) -> str:
    """Longest passage, shares of n-grams, bits per character under another model."""
    ends = b"" if loaded.network.end_id is None else characters_by_id(loaded.vocab)[loaded.network.end_id]
    scores = list(scoring.scores(other, [ends + text + ends for text in texts], len(texts)))
    bits = sum(one.bits[1:][one.known[1:]].sum() for one in scores) / sum(one.known[1:].sum() for one in scores)
    shares = [share for n in N_GRAMS if (share := found.share(n)) is not None]
    cells = [f"{found.lengths.max()}", *(f"{100 * share:.1f} %" for share in shares), *[""] * (3 - len(shares))]
    return " | ".join([*cells, f"{bits:.3f}"])


def table(path: str, other_path: str, max_copy: int) -> None:
    loaded, other = checkpoint.load(path), checkpoint.load(other_path)
    text = b"".join(copied.text_of_model(path, loaded).pieces())
    print(f"\n{path}; bits under {other_path}\n")
    print(
        "| temperature | -max_copy | longest | " + " | ".join(f"{n}-grams" for n in N_GRAMS) + " | bits per character |"
    )
    print("| ---" * 7 + " |")
    for temperature in TEMPERATURES:
        for N in (0, max_copy):
            limits = copy_limits.for_options(path, loaded, N)
            texts = texts_of(loaded, temperature, limits)
            found = copies.compare(texts, [[text]])
            early = f" ({len(limits.ended)} end early)" if limits and limits.ended else ""
            print(f"| {temperature} | {N or '-'} | {row(found, loaded, other, texts)} |{early}", flush=True)
    validation = copied.novelty_of_model(path, loaded, b"x").validation
    end = None if loaded.network.end_id is None else b"\n"
    lines = validation.sample.split(end) if end else [validation.sample]
    print(f"| a person | - | {row(validation, loaded, other, [line for line in lines if line])} |", flush=True)


def speed(path: str, max_copy: int, repeats: int = 7) -> None:
    """The ratio of characters per second with a limit and without one."""
    loaded = checkpoint.load(path)
    limits = copy_limits.for_options(path, loaded, max_copy)
    model = inference.on_cpu(loaded.network)
    for streams in (1, 64):
        opt = SampleOptions(length=64_000 // streams)
        ratios = []
        for _ in range(repeats):
            seconds = []
            for of_turn in (None, limits):
                start, primes = time.thread_time(), [[b"\n"]] * streams
                predictor = model.fresh(1, streams)
                drawn = sampler.sample_streams(predictor, primes, loaded.vocab, opt, range(streams), copies=of_turn)
                count = sum(len(chunk.characters) for chunk in drawn)
                seconds.append((time.thread_time() - start) / count)
            ratios.append(seconds[0] / seconds[1])
        print(f"{path}, {streams} streams: -max_copy {max_copy} draws {statistics.median(ratios):.2f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+")
    parser.add_argument("-max_copy", type=int, default=24)
    parser.add_argument("-speed", type=int, default=0)
    args = parser.parse_args()
    np.seterr(all="ignore")
    for path, other in zip(args.models[::2], args.models[1::2], strict=True):
        if args.speed:
            speed(path, args.max_copy)
        else:
            table(path, other, args.max_copy)


if __name__ == "__main__":
    main()
