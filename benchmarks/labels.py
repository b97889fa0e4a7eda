"""Labels of items: one model with labels beside one model for each list, and `which` beside a classifier of PyTorch's.

    python benchmarks/labels.py FOLDER [-recipe quick] [-classifier CHECKOUT] [-examples 100000] [-o FILE.json]

FOLDER has a list for each label, an item a line, as data/names of https://github.com/spro/practical-pytorch, 18 lists
of names by language. CHECKOUT is one of that repository: its char-rnn-classification/model.py is the classifier of
PyTorch's tutorial, trained here as the tutorial says: 128 units, 100,000 names (-examples) one at a time, each of a
language drawn first, plain gradient descent with rate 0.005; names become ASCII letters.

A seventh of the distinct items, drawn by a seed, are the test; each is in it once for each of its labels, and in no
training. Losses are nats per character of an item after its label, ends included. Accuracy is the share of the test's
items, and the mean of the labels' shares. Processor seconds are those of training and, beside them, of labelling.
"""

from __future__ import annotations

import importlib.util
import json
import math
import random
import statistics
import string
import tempfile
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import arguments
import lists
import torch

SEED = 123
TEST_PARTS = 7
UNITS, EXAMPLES, RATE = 128, 100_000, 0.005  # of the tutorial
LETTERS = string.ascii_letters + " .,;'-"
Lists = dict[str, list[str]]  # label -> items


def split(items: Lists) -> tuple[Lists, Lists]:
    """The items of training and test."""
    names = sorted({name for of_label in items.values() for name in of_label})
    random.Random(SEED).shuffle(names)
    held_out = set(names[: len(names) // TEST_PARTS])
    train = {label: [name for name in found if name not in held_out] for label, found in items.items()}
    return train, {label: sorted(held_out.intersection(found)) for label, found in items.items()}


def in_seconds(work: Callable[[], object]) -> float:
    """Processor seconds of some commands."""
    before = lists.processor_seconds()
    work()
    return lists.processor_seconds() - before


def write(folder: str, part: str, items: Lists) -> list[str]:
    """Write lists as files, a folder for each part; returns their paths in `folder`."""
    Path(folder, part).mkdir()
    for label, names in items.items():
        Path(folder, part, f"{label}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return [f"{part}/{label}.txt" for label in items]


def losses(folder: str, model: str, files: list[str]) -> dict[str, float]:
    """Nats per character of each file's items, ends included."""
    found = {}
    for file in files:
        scores = lists.pycharrnn(folder, "score", model, file, "-lines", "1", "-gpuid", "-1")
        names = Path(folder, file).read_text(encoding="utf-8").splitlines()
        bits = sum(float(line.split("\t")[0]) for line in scores.splitlines())
        found[Path(file).stem] = bits * math.log(2) / lists.characters(names)
    return found


def accuracy(truth: list[str], answers: list[str]) -> tuple[float, float]:
    """The share of items with the right label, and the mean of that share over labels."""
    right = [one == other for one, other in zip(truth, answers, strict=True)]
    each = [statistics.mean(r for r, label in zip(right, truth, strict=True) if label == one) for one in set(truth)]
    return statistics.mean(right), statistics.mean(each)


def with_labels(train: Lists, test: Lists, recipe: str) -> tuple[dict[str, float], list[dict]]:
    """The losses of one model of all lists; and of each prior, how well `which` finds the labels."""
    truth = [label for label, names in test.items() for _ in names]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = write(folder, "test", test)
        words = [*write(folder, "train", train), "-items", "line", "-label", "file", "-savefile", "lists"]
        seconds = in_seconds(lambda: training(folder, words, recipe))
        found = losses(folder, "cv", files)
        for prior in ("equal", "counts"):
            answers = list[str]()
            command = ["which", "cv", *files, "-top", "1", "-prior", prior]
            labelling = in_seconds(lambda c=command, a=answers: a.extend(labels_of(lists.pycharrnn(folder, *c))))
            right, mean = accuracy(truth, answers)
            what = f"which -prior {prior}, -recipe {recipe}"
            rows.append({"what": what, "s": seconds, "labelling s": labelling, "accuracy": right, "of labels": mean})
    return found, rows


def training(folder: str, words: list[str], recipe: str) -> None:
    lists.pycharrnn(folder, "train", *words, "-recipe", recipe, "-gpuid", "-1", "-show", "0")


def labels_of(output: str) -> list[str]:
    return [line.split("\t")[1] for line in output.splitlines()]


def without_labels(train: Lists, test: Lists, recipe: str) -> tuple[dict[str, float], float]:
    """The loss of a model of each list, and the processor seconds of all trainings."""
    found, seconds = {}, 0.0
    for label in train:
        with tempfile.TemporaryDirectory() as folder:
            files = write(folder, "test", {label: test[label]})
            words = [*write(folder, "train", {label: train[label]}), "-items", "line"]
            seconds += in_seconds(lambda w=words, f=folder: training(f, w, recipe))
            found |= losses(folder, "cv", files)
    return found, seconds


def _model_file(checkout: str) -> Path:
    return Path(checkout, "char-rnn-classification", "model.py")


def classifier(checkout: str, train: Lists, test: Lists, examples: int) -> dict:
    """How well the tutorial's classifier finds the labels."""
    spec = importlib.util.spec_from_file_location("model", _model_file(checkout))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(SEED)
    draw, labels = random.Random(SEED), list(train)
    rnn = module.RNN(len(LETTERS), UNITS, len(labels))
    optimizer = torch.optim.SGD(rnn.parameters(), lr=RATE)
    seconds = []
    truth, answers = [], []

    def read(name: str) -> torch.Tensor:
        hidden = rnn.initHidden()
        for letter in one_hot(name):
            output, hidden = rnn(letter, hidden)
        return output

    start = time.process_time()
    for _ in range(examples):
        k = draw.randrange(len(labels))
        name = draw.choice(train[labels[k]])
        optimizer.zero_grad()
        torch.nn.functional.nll_loss(read(name), torch.tensor([k])).backward()
        optimizer.step()
    seconds.append(time.process_time() - start)
    with torch.no_grad():
        for label, names in test.items():
            truth += [label] * len(names)
            answers += [labels[int(read(name).argmax())] for name in names]
    seconds.append(time.process_time() - start - seconds[0])
    right, mean = accuracy(truth, answers)
    row = {"what": "the tutorial's classifier", "s": seconds[0], "labelling s": seconds[1]}
    return {**row, "accuracy": right, "of labels": mean}


def one_hot(name: str) -> torch.Tensor:
    """(letters, 1, len(LETTERS)) of a name without accents, its other characters left out."""
    plain = [c for c in unicodedata.normalize("NFD", name) if c in LETTERS]
    return torch.nn.functional.one_hot(torch.tensor([[LETTERS.index(c)] for c in plain]), len(LETTERS)).float()


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-recipe", default="quick")
    parser.add_argument("-classifier", help="a checkout of practical-pytorch")
    parser.add_argument("-examples", type=int, default=EXAMPLES, help="names that the classifier is trained on")
    parser.add_argument("-each", type=int, default=1, help="0: no model for each list")
    parser.add_argument("-o", default="", help="the figures as JSON")
    args = parser.parse_args()
    files = sorted(args.folder.glob("*.txt"))
    if not files:
        parser.error(f"there is no list (.txt) in {args.folder}")
    if args.classifier and not _model_file(args.classifier).is_file():
        parser.error(f"there is no {_model_file(args.classifier)}")
    items = {file.stem: file.read_text(encoding="utf-8").split("\n") for file in files}
    train, test = split({label: [name.strip() for name in names if name.strip()] for label, names in items.items()})
    one, rows = with_labels(train, test, args.recipe)
    figures: dict[str, object] = {"one model": one}
    each = dict[str, float]()
    if args.each:
        each, seconds = without_labels(train, test, args.recipe)
        figures |= {"a model each": each, "a model each, processor s": seconds}
        print(f"a model each, -recipe {args.recipe}: {seconds:.1f} s of a processor")
    if args.classifier:
        rows.append(classifier(args.classifier, train, test, args.examples))
    print("| label | items | of test | one model | a model each |\n| --- | --- | --- | --- | --- |")
    for label, loss in one.items():
        alone = f"{each[label]:.3f}" if each else ""
        print(f"| {label} | {len(train[label])} | {len(test[label])} | {loss:.3f} | {alone} |")
    print("\n| what | training, s | labelling, s | right | mean of labels |\n| --- | --- | --- | --- | --- |")
    for row in rows:
        shares = f"{100 * row['accuracy']:.1f} % | {100 * row['of labels']:.1f} %"
        print(f"| {row['what']} | {row['s']:.1f} | {row['labelling s']:.1f} | {shares} |")
    if args.o:
        Path(args.o).write_text(json.dumps({**figures, "which": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
