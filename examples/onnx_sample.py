"""Sample from a model.onnx that `pycharrnn convert` has made, with onnxruntime and NumPy alone:

python onnx_sample.py model.onnx "The " 500 0.7
"""

import json
import signal
import sys

if __name__ == "__main__":  # Ctrl-C and a closed pipe end the program without a traceback
    for name in {"SIGINT", "SIGPIPE"} & set(dir(signal)):
        signal.signal(getattr(signal, name), signal.SIG_DFL)

import numpy as np
import onnxruntime

model, beginning, length, temperature = (*sys.argv[1:], *("model.onnx", "The ", "200", "0.7")[len(sys.argv) - 1 :])
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
facts = session.get_modelmeta().custom_metadata_map
vocab = [bytes(character) for character in json.loads(facts["vocab"])]
states = {i.name: np.zeros((i.shape[0], 1, i.shape[2]), np.float32) for i in session.get_inputs()[1:]}
random = np.random.default_rng()


def read(character: bytes) -> np.ndarray:
    """The log-probabilities of what follows, after one more character."""
    log_probs, *after = session.run(None, {"indices": [[vocab.index(character)]], **states})
    states.update(zip(states, after, strict=True))
    return np.asarray(log_probs[0, 0], float)


sys.stdout.buffer.write(beginning.encode())
log_probs = np.zeros(len(vocab))
if facts["encoding"] == "utf8":
    given = [character.encode() for character in beginning]
else:
    given = [bytes([byte]) for byte in beginning.encode()]
for character in given:
    log_probs = read(character)
for _ in range(int(length)):
    scaled = np.exp((log_probs - log_probs.max()) / float(temperature))
    character = vocab[random.choice(len(vocab), p=scaled / scaled.sum())]
    sys.stdout.buffer.write(character)
    log_probs = read(character)
