"""Sample from a model.onnx that `pycharrnn convert` has made, with onnxruntime and NumPy alone:

python onnx_sample.py model.onnx "The " 500 0.7

For a model with labels (-label) the prompt begins with a label and a tab, which are read again before each further
item.
"""

import argparse
import json
import signal
import sys

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("prompt", nargs="?", default="The ")
parser.add_argument("length", type=int, nargs="?", default=200)
parser.add_argument("temperature", type=float, nargs="?", default=0.7)
args = parser.parse_args()
if not args.temperature > 0:  # NaN too
    parser.error("the temperature must be above 0")
for name in {"SIGINT", "SIGPIPE"} & set(dir(signal)):  # end without a traceback on Ctrl-C and a closed pipe
    signal.signal(getattr(signal, name), signal.SIG_DFL)

try:
    import numpy as np
    import onnxruntime
except ImportError as e:
    sys.exit(f"onnx_sample.py: {e}; install both packages with: pip install numpy onnxruntime")

try:
    session = onnxruntime.InferenceSession(args.model, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    vocab = [bytes(character) for character in json.loads(facts["vocab"])]
    lines = json.loads(facts["pycharrnn"])["opt"].get("labels", "").split("\n")  # of a label each, after its number
    labels = [line.partition("\t")[2] for line in lines if line]
    end = {"line": b"\n", "blank": b"\x1e", "file": b"\x1e"}.get(facts.get("items"))  # of an item, in a model of items
except Exception as e:  # onnxruntime's errors have no other common base class
    sys.exit(f"onnx_sample.py: {args.model} is not a .onnx file that `convert` has written without -type: {e}")
if labels and not args.prompt.startswith(tuple(f"{label}\t" for label in labels)):
    sys.exit(f"onnx_sample.py: begin the prompt with a label and a tab, for example with {labels[0] + chr(9)!r}")
states = {i.name: np.zeros((i.shape[0], 1, i.shape[2]), np.float32) for i in session.get_inputs()[1:]}
random = np.random.default_rng()


def read(character: bytes) -> np.ndarray:
    """The log-probabilities of what follows, after one more character."""
    if character == end:  # an item begins: without what was read before
        states.update({name: np.zeros_like(state) for name, state in states.items()})
    log_probs, *after = session.run(None, {"indices": [[vocab.index(character)]], **states})
    states.update(zip(states, after, strict=True))
    return np.asarray(log_probs[0, 0], float)


is_utf8 = facts["encoding"] == "utf8"
given: list[bytes] = []
for letter in args.prompt:
    encoded = letter.encode(errors="surrogateescape")  # a byte that is not UTF-8 as it is
    given += [encoded] if is_utf8 else [bytes([byte]) for byte in encoded]
    if not set(given) <= set(vocab):
        sys.exit(f"onnx_sample.py: the model has no character for {letter!r}")
label = given[: given.index(b"\t") + 1] if labels else []

sys.stdout.buffer.write(args.prompt.encode(errors="surrogateescape"))
log_probs = read(end) if end else np.zeros(len(vocab))
for character in given:
    log_probs = read(character)
for _ in range(args.length):
    scaled = np.exp((log_probs - log_probs.max()) / args.temperature)
    drawn = vocab[random.choice(len(vocab), p=scaled / scaled.sum())]
    for character in [drawn, *(label if drawn == end else [])]:
        sys.stdout.buffer.write(character)
        log_probs = read(character)
sys.stdout.buffer.write(b"\n")
