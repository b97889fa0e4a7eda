// Samples one character after another, as sampling/sampler.py does.

import { Problem } from "./problem.js";
import { TorchRandom, multinomial } from "./torch_random.js";

const TOPP_SLACK = 1e-9; // as in sampling/distribution.py

// Yields {id, given} for the token ids in `prime`, then for sampled ones. At each yield, the network has read the
// character, and `probs`, a Float64Array of the vocabulary's size, is the distribution that it was sampled from; for a
// given character, the model's own.
export function* sample(network, probs, prime, { length, temperature, topk, topp, seed }) {
  let logProbs = new Float64Array(probs.length).fill(1 / probs.length); // before the first step, as in sample.lua
  for (const id of prime) {
    softmax(logProbs, 1, probs);
    logProbs = network.step(id);
    yield { id, given: true };
  }
  const random = new TorchRandom(seed);
  for (let sampled = 0; sampled < length; sampled++) {
    softmax(logProbs, temperature, probs);
    if (topk || topp < 1) truncate(probs, topk, topp);
    const id = multinomial(probs, random.random());
    if (id < 0) throw nanProblem(temperature);
    logProbs = network.step(id);
    yield { id, given: false };
  }
}

// probs = exp(logProbs / temperature), normalized.
function softmax(logProbs, temperature, probs) {
  const V = logProbs.length;
  for (let k = 0; k < V; k++) probs[k] = Math.exp(logProbs[k] / temperature);
  normalize(probs);
}

function normalize(probs) {
  const sum = probs.reduce((a, b) => a + b);
  for (let k = 0; k < probs.length; k++) probs[k] /= sum;
}

// Top-k and top-p sampling: keeps the topk most probable characters (0: all) and the fewest whose sum reaches topp;
// sets the others to 0 and normalizes.
function truncate(probs, topk, topp) {
  let sum = 0;
  let kept = 0;
  const ranked = rank(probs, topk, topp);
  for (; kept < ranked.length && (!topk || kept < topk); kept++) {
    const probability = probs[ranked[kept]];
    sum += probability;
    if (kept && topp < 1 && sum - probability >= topp * (1 - TOPP_SLACK)) break;
  }
  const values = ranked.slice(0, kept).map((id) => probs[id]);
  probs.fill(0);
  values.forEach((value, k) => (probs[ranked[k]] = value));
  normalize(probs);
}

// Token ids by descending probability, ties by ascending id. Ids that `truncate` can't keep are left out, since large
// vocabularies have thousands: those beyond topk, and those so improbable that the others reach topp without them.
function rank(probs, topk, topp) {
  const V = probs.length;
  let min = topp < 1 ? (1 - topp) / (2 * V) : 0;
  if (topk && topk < V) min = Math.max(min, Float64Array.from(probs).sort()[V - topk]);
  const ids = [];
  for (let k = 0; k < V; k++) if (probs[k] >= min) ids.push(k);
  return ids.sort((a, b) => probs[b] - probs[a] || a - b);
}

// Token ids of the `count` most probable characters, in descending order, ties by ascending id.
export function topCandidates(probs, count) {
  const top = []; // insertion sort: count is small, and this runs for each character
  for (let id = 0; id < probs.length; id++) {
    const probability = probs[id];
    if (top.length === count && !(probability > probs[top[count - 1]])) continue;
    if (top.length < count) top.push(id);
    let at = top.length - 1;
    for (; at > 0 && probability > probs[top[at - 1]]; at--) top[at] = top[at - 1];
    top[at] = id;
  }
  return top;
}

function nanProblem(temperature) {
  const given = temperature === 1 ? "" : ` at temperature=${Number(temperature.toPrecision(6))}`;
  const wayOut = given ? "try a temperature nearer to 1; if that does not help, " : "";
  return new Problem(
    `the model's probabilities${given} are NaN: ${wayOut}the checkpoint holds a model whose training failed.`,
  );
}
