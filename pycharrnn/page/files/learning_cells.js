// The lstm, gru and rnn for a learner: forward and backward over a segment of one stream, as kernel_adapt.h computes
// them.

import { addGates, addOuter, addProduct, fma, sigmoid, tanh } from "./float32.js";

const { fround } = Math;

const notSquare = (x) => fma(-x, x, 1);
const slope = (x) => fround(fround(1 - x) * x); // of a sigmoid whose value is x
const product = (a, b, c) => fround(fround(a * b) * c);

// One layer. Subclasses compute a step, from the pre-activations of their gates, and its gradients.
class LearningCell {
  #inputs; // gates of the input's weights, then those of the state's: see Learner
  #characters; // V in the first layer, else 0
  #ids;
  #below; // the inputs of each step
  #zeros;

  constructor(H, V, inputs, recurrent) {
    [this.H, this.#characters, this.#inputs, this.recurrent] = [H, V, inputs, recurrent];
    this.#zeros = new Float32Array(H);
    this.h = new Float32Array(H);
    this.c = new Float32Array(H);
  }

  // ids: of the segment. begins: before which steps the state becomes zeros. below: h of the layer below, for each
  // step.
  // Returns h after each step.
  forward(ids, begins, below) {
    [this.#ids, this.#below] = [ids, below];
    this.steps = ids.map((id, t) => {
      const [h, c] = begins[t] ? [this.#zeros, this.#zeros] : [this.h, this.c];
      const step = { h, c, begins: begins[t], gates: this.#inputs.map((_, g) => this.#inputShare(g, id, below?.[t])) };
      this.step(step);
      [this.h, this.c] = [step.nextH, step.nextC ?? this.c];
      return step;
    });
    return this.steps.map(({ nextH }) => nextH);
  }

  // The biases of a gate, and its input's share.
  #inputShare(g, id, x) {
    const [{ weight, bias }, { bias: other }, V] = [this.#inputs[g], this.recurrent[g], this.#characters];
    const out = new Float32Array(this.H);
    for (let u = 0; u < out.length; u++) {
      const both = fround(bias[u] + other[u]);
      out[u] = x ? both : both + weight[u * V + id];
    }
    if (x) addProduct(weight, x, out);
    return out;
  }

  // dh: the gradient of h after each step, from above; it is overwritten. Writes the gradients of the weights. Returns
  // the gradient of the inputs, or null in the first layer.
  backward(dh) {
    this.beginBackward();
    for (let t = this.steps.length - 1; t >= 0; t--) this.stepBack(this.steps[t], dh[t], t ? dh[t - 1] : null);
    this.#inputs.forEach((gate, g) => this.#gradients(gate, this.recurrent[g], g));
    if (!this.#below) return null;
    const weights = this.#inputs.map(({ weight }) => weight);
    return this.steps.map(({ gates }) => {
      const dx = new Float32Array(this.H);
      addGates(weights, gates, dx);
      return dx;
    });
  }

  #gradients(input, recurrent, g) {
    for (const gate of [input, recurrent]) for (const part of [gate.dWeight, gate.dBias]) part.fill(0);
    this.steps.forEach((step, t) => {
      addOuter(recurrent, step.gates[g], this.recurrentInput(step, g));
      if (this.#below) addOuter(input, step.gates[g], this.#below[t]);
      else addColumn(input.dWeight, step.gates[g], this.#ids[t], this.#characters);
    });
    input.dBias.set(recurrent.dBias);
  }

  beginBackward() {}

  recurrentInput(step) {
    return step.h;
  }

  // Adds the gradient of the recurrent input of some gates.
  addGates(step, gates, out) {
    addGates(
      gates.map((g) => this.recurrent[g].weight),
      gates.map((g) => step.gates[g]),
      out,
    );
  }

  // Adds to the gradient of the h before a step, unless an item begins there.
  toStateBefore(step, gates, before) {
    if (before && !step.begins) this.addGates(step, gates, before);
  }
}

// A column of the weights of characters.
function addColumn(dWeight, d, id, V) {
  for (let u = 0; u < d.length; u++) dWeight[u * V + id] += d[u];
}

class LSTM extends LearningCell {
  static inputLinears = ["i2h"];
  static recurrentLinears = ["h2h"];

  step(step) {
    step.gates.forEach((gate, g) => addProduct(this.recurrent[g].weight, step.h, gate));
    const [i, f, o, g] = step.gates;
    const [nextC, tanhC, nextH] = [0, 1, 2].map(() => new Float32Array(this.H));
    for (let k = 0; k < this.H; k++) {
      i[k] = sigmoid(i[k]);
      f[k] = sigmoid(f[k]);
      o[k] = sigmoid(o[k]);
      g[k] = tanh(g[k]);
      nextC[k] = fma(f[k], step.c[k], fround(i[k] * g[k]));
      tanhC[k] = tanh(nextC[k]);
      nextH[k] = o[k] * tanhC[k];
    }
    Object.assign(step, { nextC, tanhC, nextH });
  }

  beginBackward() {
    this.dc = new Float32Array(this.H);
  }

  stepBack(step, dh, before) {
    const { gates, c, tanhC } = step;
    const [i, f, o, g] = gates;
    const { dc } = this;
    for (let k = 0; k < this.H; k++) {
      const [ik, fk, ok, gk, t, d] = [i[k], f[k], o[k], g[k], tanhC[k], dh[k]];
      const dck = fma(d, fround(ok * notSquare(t)), dc[k]);
      i[k] = product(gk, slope(ik), dck);
      f[k] = product(c[k], slope(fk), dck);
      o[k] = product(t, slope(ok), d);
      g[k] = product(ik, notSquare(gk), dck);
      dc[k] = dck * fk;
    }
    if (step.begins) dc.fill(0);
    this.toStateBefore(step, [0, 1, 2, 3], before);
  }
}

class GRU extends LearningCell {
  static inputLinears = ["update_i2h", "reset_i2h", "candidate_i2h"];
  static recurrentLinears = ["update_h2h", "reset_h2h", "candidate_h2h"];

  step(step) {
    const [z, r, candidate] = step.gates;
    for (const g of [0, 1]) addProduct(this.recurrent[g].weight, step.h, step.gates[g]);
    const [resetH, nextH] = [new Float32Array(this.H), new Float32Array(this.H)];
    for (let k = 0; k < this.H; k++) {
      z[k] = sigmoid(z[k]);
      r[k] = sigmoid(r[k]);
      resetH[k] = r[k] * step.h[k];
    }
    addProduct(this.recurrent[2].weight, resetH, candidate);
    for (let k = 0; k < this.H; k++) {
      candidate[k] = tanh(candidate[k]);
      nextH[k] = fma(z[k], fround(candidate[k] - step.h[k]), step.h[k]);
    }
    Object.assign(step, { resetH, nextH });
  }

  recurrentInput(step, g) {
    return g === 2 ? step.resetH : step.h;
  }

  stepBack(step, dh, before) {
    const [z, r, candidate] = step.gates;
    const { h } = step;
    for (let k = 0; k < this.H; k++) {
      const [zk, ck, d] = [z[k], candidate[k], dh[k]];
      z[k] = product(fround(ck - h[k]), slope(zk), d);
      candidate[k] = product(zk, notSquare(ck), d);
      dh[k] = d * fround(1 - zk);
    }
    const dResetH = new Float32Array(this.H);
    this.addGates(step, [2], dResetH);
    for (let k = 0; k < this.H; k++) {
      const [rk, d] = [r[k], dResetH[k]];
      r[k] = product(h[k], slope(rk), d);
      dh[k] = fma(d, rk, dh[k]);
    }
    if (!before || step.begins) return;
    for (let k = 0; k < this.H; k++) before[k] += dh[k];
    this.toStateBefore(step, [0, 1], before);
  }
}

class RNN extends LearningCell {
  static inputLinears = ["i2h"];
  static recurrentLinears = ["h2h"];

  step(step) {
    addProduct(this.recurrent[0].weight, step.h, step.gates[0]);
    step.nextH = step.gates[0].map(tanh);
  }

  stepBack(step, dh, before) {
    const [d] = step.gates;
    for (let k = 0; k < this.H; k++) d[k] = dh[k] * notSquare(step.nextH[k]);
    this.toStateBefore(step, [0], before);
  }
}

export const CELLS = { lstm: LSTM, gru: GRU, rnn: RNN };
