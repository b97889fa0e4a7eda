// Forward passes of char-rnn's lstm, gru and rnn in double precision, one character at a time, as
// sampling/numpy_predictor.py computes them.

import { CELLS } from "./cells.js";
import { Matrix } from "./matrix.js";
import { readWeights } from "./weights.js";

// payload: a model as checkpoints/payload.py encodes it. Returns: see prepareWeights.
export async function prepare(payload) {
  return prepareWeights(payload, await readWeights(payload));
}

// A model's weights in the layout that products read. Any number of networks can share them.
// payload: the model's kind and sizes. weights: {name: tensor}.
export function prepareWeights(payload, weights) {
  const { model, rnn_size: H, num_layers: layers, vocab_size: V } = payload;
  const Cell = CELLS[model];
  const prepared = { V, endId: payload.end_id ?? -1, layers: [], inputRows: null };
  for (let layer = 1; layer <= layers; layer++) {
    const joined = (linears, part) => concatenate(linears.map((linear) => weights[`${linear}_${layer}.${part}`]));
    const bias = joined(Cell.inputLinears, "bias");
    joined(Cell.recurrentLinears, "bias").forEach((b, k) => (bias[k] += b));
    const inputWeight = joined(Cell.inputLinears, "weight");
    if (layer === 1) prepared.inputRows = transposePlusBias(inputWeight, bias, V);
    const input = layer === 1 ? null : new Matrix(inputWeight, Cell.numGates * H, H);
    const h2h = Cell.recurrentMatrix(joined(Cell.recurrentLinears, "weight"), H);
    prepared.layers.push({ Cell, H, bias, input, h2h });
  }
  prepared.decoder = new Matrix(weights["decoder.weight"], V, H);
  prepared.decoderBias = weights["decoder.bias"];
  return prepared;
}

// One stream and its hidden state, initially zeros. Before the end character of a model of items is read, it becomes
// zeros again.
export class Network {
  #prepared;
  #cells;
  #logProbs;

  constructor(prepared) {
    this.#prepared = prepared;
    this.#cells = prepared.layers.map(({ Cell, H, h2h }) => new Cell(H, h2h));
    this.#logProbs = new Float64Array(prepared.V);
  }

  // Reads a character by its token id. Returns the log-probabilities of the next one in nats, valid until the next
  // step.
  step(id) {
    const { endId, layers, inputRows, decoder, decoderBias } = this.#prepared;
    if (id === endId) for (const cell of this.#cells) cell.reset();
    let below = null;
    for (let k = 0; k < layers.length; k++) {
      const cell = this.#cells[k];
      const { gates } = cell;
      if (below) affine(layers[k].input, below, layers[k].bias, gates);
      else for (let j = 0; j < gates.length; j++) gates[j] = inputRows[id * gates.length + j];
      cell.step();
      below = cell.h;
    }
    affine(decoder, below, decoderBias, this.#logProbs);
    logSoftmax(this.#logProbs);
    return this.#logProbs;
  }

  // A unit's activation after the last character, in [-1, 1]: tanh(c) of an lstm, else h. Layer and unit count from 1.
  activation(layer, unit) {
    return this.#cells[layer - 1].activations[unit - 1];
  }
}

// out = matrix * x + bias.
function affine(matrix, x, bias, out) {
  out.fill(0);
  matrix.addmv(x, out);
  for (let k = 0; k < out.length; k++) out[k] += bias[k];
}

// In place.
function logSoftmax(logits) {
  let [max, sum] = [-Infinity, 0];
  for (let k = 0; k < logits.length; k++) if (logits[k] > max) max = logits[k];
  for (let k = 0; k < logits.length; k++) sum += Math.exp(logits[k] - max);
  const logSum = max + Math.log(sum);
  for (let k = 0; k < logits.length; k++) logits[k] -= logSum;
}

function concatenate(arrays) {
  const out = new Float64Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let start = 0;
  for (const array of arrays) {
    out.set(array, start);
    start += array.length;
  }
  return out;
}

// The transpose of a weight (rows, V), plus the bias in each of its V rows: the first layer's input is one-hot.
function transposePlusBias(weight, bias, V) {
  const rows = bias.length;
  const out = new Float64Array(V * rows);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < V; k++) out[k * rows + row] = weight[row * V + k] + bias[row];
  }
  return out;
}
