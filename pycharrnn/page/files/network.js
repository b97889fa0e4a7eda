// char-rnn's lstm, gru and rnn, one character at a time, in double precision: NumpyPredictor of sampling/inference.py.

import { CELLS } from "./cells.js";
import { Matrix } from "./matrix.js";
import { pairwiseSum } from "./sums.js";
import { readWeights } from "./weights.js";

// The weights of a model, laid out for the products that read them; any number of networks can share them.
// payload: a model as checkpoints/payload.py encodes it.
export async function prepare(payload) {
  const { model, rnn_size: H, num_layers: layers, vocab_size: V } = payload;
  const weights = await readWeights(payload);
  const Cell = CELLS[model];
  const prepared = { V, layers: [], byCharacter: null };
  for (let layer = 1; layer <= layers; layer++) {
    const packed = (linears, part) => joined(linears.map((linear) => weights[`${linear}_${layer}.${part}`]));
    const bias = packed(Cell.inputLinears, "bias");
    packed(Cell.recurrentLinears, "bias").forEach((b, k) => (bias[k] += b));
    const inputWeight = packed(Cell.inputLinears, "weight");
    if (layer === 1) prepared.byCharacter = columnsPlus(bias, inputWeight, V);
    const input = layer === 1 ? null : new Matrix(inputWeight, Cell.blocks * H, H);
    prepared.layers.push({ Cell, H, bias, input, h2h: Cell.recurrent(packed(Cell.recurrentLinears, "weight"), H) });
  }
  prepared.decoder = new Matrix(weights["decoder.weight"], V, H);
  prepared.decoderBias = weights["decoder.bias"];
  return prepared;
}

// One text that a model reads; before its first step it has read nothing.
export class Network {
  #prepared;
  #cells;
  #logProbabilities;
  #terms; // of a sum

  constructor(prepared) {
    this.#prepared = prepared;
    this.#cells = prepared.layers.map(({ Cell, H, h2h }) => new Cell(H, h2h));
    this.#logProbabilities = new Float64Array(prepared.V);
    this.#terms = new Float64Array(prepared.V);
  }

  // Read a character, numbered from 0. Returns the log-probabilities of the next one in nats, which the next step changes.
  step(index) {
    const { layers, byCharacter, decoder, decoderBias } = this.#prepared;
    let below = null;
    for (let k = 0; k < layers.length; k++) {
      const cell = this.#cells[k];
      const { gates } = cell;
      if (below) product(layers[k].input, below, layers[k].bias, gates);
      else for (let j = 0; j < gates.length; j++) gates[j] = byCharacter[index * gates.length + j];
      cell.step();
      below = cell.h;
    }
    product(decoder, below, decoderBias, this.#logProbabilities);
    logSoftmax(this.#logProbabilities, this.#terms);
    return this.#logProbabilities;
  }

  // What a unit held after the last character, in [-1, 1]: tanh(c) of an lstm, else h. Layer and unit count from 1.
  activation(layer, unit) {
    return this.#cells[layer - 1].activations[unit - 1];
  }
}

// out = matrix times x, plus bias.
function product(matrix, x, bias, out) {
  out.fill(0);
  matrix.addProduct(x, out);
  for (let k = 0; k < out.length; k++) out[k] += bias[k];
}

function logSoftmax(scores, terms) {
  let highest = -Infinity;
  for (let k = 0; k < scores.length; k++) if (scores[k] > highest) highest = scores[k];
  for (let k = 0; k < scores.length; k++) terms[k] = Math.exp(scores[k] - highest);
  const logSum = highest + Math.log(pairwiseSum(terms));
  for (let k = 0; k < scores.length; k++) scores[k] -= logSum;
}

function joined(arrays) {
  const out = new Float64Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let start = 0;
  for (const array of arrays) {
    out.set(array, start);
    start += array.length;
  }
  return out;
}

// Each column of a weight (rows, V), plus the bias, as V rows.
function columnsPlus(bias, weight, V) {
  const rows = bias.length;
  const out = new Float64Array(V * rows);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < V; k++) out[k * rows + row] = weight[row * V + k] + bias[row];
  }
  return out;
}
