// A network that learns from a text while it reads it: engine/adapt.py, in the C kernel's order of operations, so that
// the weights are the same to the last bit. In float32.

import { CELLS } from "./learning_cells.js";
import { addOuter, addProduct, addTransposed, exp, fma, logSoftmax } from "./float32.js";
import { GATES_PER_LINEAR } from "./weights.js";

const { fround, sqrt } = Math;
const ALPHA = fround(0.99);
const REST = fround(1 - 0.99);
const EPSILON = fround(1e-4);

const RATE_OF_UNITS = 0.16; // divided by the number of units: a rate of 0

export class Learner {
  length;
  #model;
  #tensors = {}; // name -> {weight, gradient, meanSquare, trained}
  #layers = []; // from the lowest: cells
  #decoder;
  #rate;
  #pull;
  #endId;

  // payload: the model's kind and sizes. weights: {name: tensor}, as readWeights returns them; they stay as they are.
  // how: {adapt_rate, adapt_length, adapt_pull}, whose defaults are those of AdaptOptions.
  constructor({ model, rnn_size: H, num_layers: layers, vocab_size: V, end_id: endId }, weights, how = {}) {
    const { adapt_rate: rate = 0, adapt_length: length = 20, adapt_pull: pull = 0.001 } = how;
    [this.#model, this.#endId, this.length] = [model, endId ?? -1, length];
    [this.#rate, this.#pull] = [fround(-(rate || RATE_OF_UNITS / (H * layers))), fround(pull)];
    for (const [name, values] of Object.entries(weights)) {
      const trained = Float32Array.from(values);
      const [gradient, meanSquare] = [new Float32Array(trained.length), new Float32Array(trained.length)];
      this.#tensors[name] = { weight: trained.slice(), gradient, meanSquare, trained };
    }
    const Cell = CELLS[model];
    for (let layer = 1; layer <= layers; layer++) {
      const count = GATES_PER_LINEAR[model];
      const gates = (linears) => linears.flatMap((linear) => this.#gates(`${linear}_${layer}`, H, count));
      this.#layers.push(new Cell(H, layer === 1 ? V : 0, gates(Cell.inputLinears), gates(Cell.recurrentLinears)));
    }
    [this.#decoder] = this.#gates("decoder", V, 1);
  }

  // The gates of a Linear module: {weight, bias, dWeight, dBias}, `rows` rows each.
  #gates(linear, rows, count) {
    const [w, b] = [this.#tensors[`${linear}.weight`], this.#tensors[`${linear}.bias`]];
    const columns = w.weight.length / (rows * count);
    return Array.from({ length: count }, (_, g) => {
      const [of, ofBias] = [[g * rows * columns, (g + 1) * rows * columns], [g * rows, (g + 1) * rows]];
      return {
        weight: w.weight.subarray(...of),
        bias: b.weight.subarray(...ofBias),
        dWeight: w.gradient.subarray(...of),
        dBias: b.gradient.subarray(...ofBias),
      };
    });
  }

  // Reads a segment of at most `length` token ids and learns from it. Returns the log-probabilities of `targets`, which
  // follow them, in nats; 0 for one below 0, which is not learnt.
  read(ids, targets) {
    const begins = ids.map((id) => id === this.#endId);
    let below = null;
    for (const cell of this.#layers) below = cell.forward(ids, begins, below);
    const decoder = this.#decoder;
    const rows = below.map((h) => {
      const logits = decoder.bias.slice();
      addProduct(decoder.weight, h, logits);
      logSoftmax(logits);
      return logits;
    });
    const found = rows.map((logProbs, t) => (targets[t] < 0 ? 0 : logProbs[targets[t]]));
    this.#backward(rows, below, targets);
    this.#update();
    return found;
  }

  // Reads a text, segment by segment. receive: called with the log-probabilities of each. Yields {progress}, up to 1.
  *readAll(ids, targets, receive) {
    for (let start = 0; start < targets.length; start += this.length) {
      const end = Math.min(start + this.length, targets.length);
      receive(this.read(ids.slice(start, end), targets.slice(start, end)));
      yield { progress: end / targets.length };
    }
  }

  #backward(rows, below, targets) {
    const decoder = this.#decoder;
    decoder.dWeight.fill(0);
    decoder.dBias.fill(0);
    let dh = rows.map((d, t) => {
      if (targets[t] < 0) {
        d.fill(0);
      } else {
        for (let v = 0; v < d.length; v++) d[v] = exp(d[v]);
        d[targets[t]] -= 1;
        for (let v = 0; v < d.length; v++) d[v] /= rows.length;
      }
      addOuter(decoder, d, below[t]);
      const dx = new Float32Array(below[t].length);
      addTransposed(decoder.weight, d, dx);
      return dx;
    });
    for (const cell of [...this.#layers].reverse()) dh = cell.backward(dh);
  }

  #update() {
    const [rate, pull] = [this.#rate, this.#pull];
    for (const { weight, gradient, meanSquare, trained } of Object.values(this.#tensors)) {
      for (let k = 0; k < weight.length; k++) {
        const g = gradient[k];
        const m = fma(meanSquare[k], ALPHA, fround(fround(REST * g) * g));
        const step = g === 0 ? 0 : fround(g / fround(fround(sqrt(m)) + EPSILON));
        const w = fma(rate, step, weight[k]);
        meanSquare[k] = m;
        weight[k] = fma(pull, fround(trained[k] - w), w);
      }
    }
  }

  // {name: tensor}: copies of the present weights, in double precision, as readWeights returns them.
  weights() {
    const tensors = Object.entries(this.#tensors);
    return Object.fromEntries(tensors.map(([name, { weight }]) => [name, Float64Array.from(weight)]));
  }
}
