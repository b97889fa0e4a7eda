// The lstm, gru and rnn cells, one time step of one stream. Names and order of operations are those of
// engine/recurrence.py.
// gates: the pre-activations, a block of H for each gate; the caller writes the input's part and all biases into it
// before `step`. h: the hidden state, initially zeros. activations: what the page shows of the units.
// `reset` makes the state zeros. `recurrentMatrix` turns the recurrent weights, rows of H, into the constructor's
// argument.

import { Matrix } from "./matrix.js";

// c' = f*c + i*g, h' = o*tanh(c'), with the gates i, f, o = sigmoid(...) and the candidate g = tanh(...).
class LSTM {
  static numGates = 4; // i, f, o, g
  static inputLinears = ["i2h"];
  static recurrentLinears = ["h2h"];
  static recurrentMatrix = (weights, H) => new Matrix(weights, 4 * H, H);

  constructor(H, h2h) {
    this.h2h = h2h;
    this.gates = new Float64Array(4 * H);
    this.c = new Float64Array(H);
    this.h = new Float64Array(H);
    this.activations = new Float64Array(H); // tanh(c)
  }

  reset() {
    this.h.fill(0);
    this.c.fill(0);
  }

  step() {
    const { gates, c, h, activations } = this;
    const H = h.length;
    this.h2h.addmv(h, gates);
    for (let k = 0; k < H; k++) {
      c[k] = sigmoid(gates[H + k]) * c[k] + sigmoid(gates[k]) * Math.tanh(gates[3 * H + k]);
      activations[k] = Math.tanh(c[k]);
      h[k] = sigmoid(gates[2 * H + k]) * activations[k];
    }
  }
}

// h' = z*candidate + (1-z)*h, with z, r = sigmoid(...) and candidate = tanh(W x + U (r*h)).
class GRU {
  static numGates = 3; // z, r, candidate
  static inputLinears = ["update_i2h", "reset_i2h", "candidate_i2h"];
  static recurrentLinears = ["update_h2h", "reset_h2h", "candidate_h2h"];
  static recurrentMatrix = (weights, H) => [
    new Matrix(weights.subarray(0, 2 * H * H), 2 * H, H),
    new Matrix(weights.subarray(2 * H * H), H, H),
  ];

  constructor(H, [gatesH2h, candidateH2h]) {
    [this.gatesH2h, this.candidateH2h] = [gatesH2h, candidateH2h];
    this.gates = new Float64Array(3 * H);
    this.zr = this.gates.subarray(0, 2 * H);
    this.candidate = this.gates.subarray(2 * H);
    this.resetH = new Float64Array(H);
    this.h = this.activations = new Float64Array(H);
  }

  reset() {
    this.h.fill(0);
  }

  step() {
    const { zr, candidate, resetH, h } = this;
    const H = h.length;
    this.gatesH2h.addmv(h, zr);
    for (let k = 0; k < H; k++) resetH[k] = sigmoid(zr[H + k]) * h[k];
    this.candidateH2h.addmv(resetH, candidate);
    for (let k = 0; k < H; k++) h[k] += (Math.tanh(candidate[k]) - h[k]) * sigmoid(zr[k]);
  }
}

// h' = tanh(W x + U h).
class RNN {
  static numGates = 1;
  static inputLinears = ["i2h"];
  static recurrentLinears = ["h2h"];
  static recurrentMatrix = (weights, H) => new Matrix(weights, H, H);

  constructor(H, h2h) {
    this.h2h = h2h;
    this.gates = new Float64Array(H);
    this.h = this.activations = new Float64Array(H);
  }

  reset() {
    this.h.fill(0);
  }

  step() {
    const { gates, h } = this;
    this.h2h.addmv(h, gates);
    for (let k = 0; k < h.length; k++) h[k] = Math.tanh(gates[k]);
  }
}

export const CELLS = { lstm: LSTM, gru: GRU, rnn: RNN };

function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}
