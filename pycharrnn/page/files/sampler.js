// One drawn character after another: sampling/sampler.py.

import { Problem } from "./problem.js";
import { pairwiseSum } from "./sums.js";
import { TorchRandom, multinomial } from "./torch_random.js";

// The characters with the numbers in `prime`, then drawn ones, each as {index, given}. When one comes, the network has
// read it, and `probabilities`, a Float64Array of the vocabulary's size, holds what it was drawn from; of a given one, the
// model's own.
export function* draw(network, probabilities, prime, { length, temperature, topk, topp, seed }) {
  let scores = new Float64Array(probabilities.length).fill(1 / probabilities.length);
  for (const index of prime) {
    softmax(scores, 1, probabilities);
    scores = network.step(index);
    yield { index, given: true };
  }
  const random = new TorchRandom(seed);
  for (let drawn = 0; drawn < length; drawn++) {
    softmax(scores, temperature, probabilities);
    if (topk || topp < 1) keepLikeliest(probabilities, topk, topp);
    const index = multinomial(probabilities, random.random());
    if (index < 0) throw notANumber(temperature);
    scores = network.step(index);
    yield { index, given: false };
  }
}

// probabilities = exp(scores / temperature), summing to 1.
function softmax(scores, temperature, probabilities) {
  const V = scores.length;
  for (let k = 0; k < V; k++) probabilities[k] = Math.exp(scores[k] / temperature);
  const sum = pairwiseSum(probabilities);
  for (let k = 0; k < V; k++) probabilities[k] /= sum;
}

// 0 in place of what is not among the topk likeliest (0: all), or not among the fewest whose sum reaches topp; the others
// sum to 1 again.
function keepLikeliest(probabilities, topk, topp) {
  let sum = 0; // of those down to this rank
  let kept = 0;
  const ranked = inQuestion(probabilities, topk, topp);
  for (; kept < ranked.length && (!topk || kept < topk); kept++) {
    const probability = probabilities[ranked[kept]];
    sum += probability;
    if (kept && topp < 1 && sum - probability >= topp) break;
  }
  const values = ranked.slice(0, kept).map((index) => probabilities[index]);
  probabilities.fill(0);
  values.forEach((value, rank) => (probabilities[ranked[rank]] = value));
  const total = pairwiseSum(probabilities);
  for (let k = 0; k < probabilities.length; k++) probabilities[k] /= total;
}

// The numbers of all characters that may be kept, the likeliest first; of equal ones first that with the smaller number.
// Those are left out beforehand which are beyond the topk, or so improbable that the others reach topp without them:
// large vocabularies have thousands.
function inQuestion(probabilities, topk, topp) {
  const V = probabilities.length;
  let least = topp < 1 ? (1 - topp) / (2 * V) : 0;
  if (topk && topk < V) least = Math.max(least, Float64Array.from(probabilities).sort()[V - topk]);
  const found = [];
  for (let k = 0; k < V; k++) if (probabilities[k] >= least) found.push(k);
  return found.sort((a, b) => probabilities[b] - probabilities[a] || a - b);
}

// The numbers of the `count` likeliest characters, the likeliest first; of equal ones first that with the smaller number.
export function likeliest(probabilities, count) {
  const found = []; // sorted as they come: they are few, and asked for with each character
  for (let index = 0; index < probabilities.length; index++) {
    const probability = probabilities[index];
    if (found.length === count && !(probability > probabilities[found[count - 1]])) continue;
    if (found.length < count) found.push(index);
    let at = found.length - 1;
    for (; at > 0 && probability > probabilities[found[at - 1]]; at--) found[at] = found[at - 1];
    found[at] = index;
  }
  return found;
}

function notANumber(temperature) {
  return new Problem(
    `the model's probabilities at -temperature ${Number(temperature.toPrecision(6))} are NaN: try a -temperature` +
      " nearer to 1; if that does not help, the checkpoint holds a model whose training failed.",
  );
}
