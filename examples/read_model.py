"""Compute a model's output from its .json file in plain Python: python read_model.py model.json "The " 40

Prints the five most probable characters after the prompt, and the prompt continued by the most probable ones. A model
of items (pycharrnn train FILE -items line) ends an item by a character of its own, after which another one begins. For
a model with labels (-label) the prompt begins with a label and a tab, which are read again before each further item.
"""

import argparse
import json
import os
import signal
import sys
from math import exp, tanh
from operator import add, mul

for name in {"SIGINT", "SIGPIPE"} & set(dir(signal)):  # end without a traceback on Ctrl-C and a closed pipe
    signal.signal(getattr(signal, name), signal.SIG_DFL)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("file")
parser.add_argument("prompt", type=os.fsencode)
parser.add_argument("length", type=int)
args = parser.parse_args()
prompt = args.prompt or parser.error("the prompt must have a character")
try:
    with open(args.file, encoding="utf-8") as f:
        model = json.load(f)
    H, weights, vocab = model["rnn_size"], model["weights"], [bytes(character) for character in model["vocab"]]
    end = {"line": b"\n", "blank": b"\x1e", "file": b"\x1e"}.get(model["opt"].get("items"))
    end_id = vocab.index(end) if end in vocab else -1  # of the end of an item; -1: a model of a text
    lines = model["opt"].get("labels", "").split("\n")  # of a label each, after its number of items
    labels = [line.partition("\t")[2] for line in lines if line]
except OSError as e:
    sys.exit(f"read_model.py: {e}")
except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
    sys.exit(f"read_model.py: {args.file} is not a .json file that `pycharrnn convert` has written")
if labels and not any(prompt.startswith(os.fsencode(f"{label}\t")) for label in labels):
    sys.exit(f"read_model.py: begin the prompt with a label and a tab, for example with {labels[0] + chr(9)!r}")
states: dict[int, tuple[list[float], list[float]]] = {}  # layer -> h and, for an lstm, c


def linear(name: str, x: list[float]) -> list[float]:
    return [sum(map(mul, row, x), b) for row, b in zip(weights[f"{name}.weight"], weights[f"{name}.bias"], strict=True)]


def sums(part: str, layer: int, x: list[float], h: list[float]) -> list[float]:
    return list(map(add, linear(f"{part}i2h_{layer}", x), linear(f"{part}h2h_{layer}", h)))


def sigmoid(values: list[float]) -> list[float]:
    return [(1 + tanh(value / 2)) / 2 for value in values]  # 1 / (1 + exp(-value)), which can overflow


def step(layer: int, x: list[float], h: list[float], c: list[float]) -> tuple[list[float], list[float]]:
    """The layer's next h and c."""
    if model["model"] == "gru":
        z, r = sigmoid(sums("update_", layer, x, h)), sigmoid(sums("reset_", layer, x, h))
        g = map(tanh, sums("candidate_", layer, x, list(map(mul, r, h))))
        return [zk * gk + (1 - zk) * hk for zk, gk, hk in zip(z, g, h, strict=True)], c
    a = sums("", layer, x, h)
    if model["model"] == "rnn":
        return list(map(tanh, a)), c
    i, f, o, g = sigmoid(a[:H]), sigmoid(a[H : 2 * H]), sigmoid(a[2 * H : 3 * H]), map(tanh, a[3 * H :])
    c = list(map(add, map(mul, f, c), map(mul, i, g)))
    return list(map(mul, o, map(tanh, c))), c


def read(token_id: int) -> list[float]:
    """The probabilities of the characters that may follow, after one more character."""
    if token_id == end_id or not states:  # an item begins: without what was read before
        states.update({layer: ([0.0] * H, [0.0] * H) for layer in range(1, model["num_layers"] + 1)})
    x = [float(k == token_id) for k in range(len(vocab))]  # one-hot
    for layer, state in states.items():
        x, _ = states[layer] = step(layer, x, *state)
    scores = linear("decoder", x)
    highest = max(scores)
    exps = [exp(score - highest) for score in scores]
    total = sum(exps)
    return [value / total for value in exps]


text, probs, given = b"", read(end_id) if end_id >= 0 else [], list[int]()
while len(text) < len(prompt):
    token_id = next((k for k, character in enumerate(vocab) if prompt.startswith(character, len(text))), -1)
    if token_id < 0:
        start = max(k for k in range(len(text) + 1) if k == 0 or prompt[k] & 0xC0 != 0x80)  # of the UTF-8 character
        sys.exit(f"read_model.py: the model has no character for {prompt[start:].decode(errors='replace')[0]!r}")
    text, probs, given = text + vocab[token_id], read(token_id), [*given, token_id]
label_ids = given[: given.index(vocab.index(b"\t")) + 1] if labels else []
for k in sorted(range(len(vocab)), key=lambda k: -probs[k])[:5]:
    print(f"{probs[k]:.6f}  {json.dumps(vocab[k].decode(errors='replace'), ensure_ascii=False)}")
for _ in range(args.length):
    likeliest = probs.index(max(probs))
    for token_id in [likeliest, *(label_ids if likeliest == end_id else [])]:
        text, probs = text + vocab[token_id], read(token_id)
print(text.decode(errors="replace"))
