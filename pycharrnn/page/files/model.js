// Samples from a model, draws items and scores texts, with the same results as the server's samples.py, drawn_items.py
// and served_models.py.

import { ITEM_KINDS } from "./item_kinds.js";
import { inputOf, ItemSelection } from "./item_selection.js";
import { KnownItems } from "./known_items.js";
import { Learner } from "./learner.js";
import { Network, prepare, prepareWeights } from "./network.js";
import { Problem } from "./problem.js";
import { sample, topCandidates } from "./sampler.js";
import { ScreenText } from "./screen_text.js";
import { characterStart } from "./utf8.js";
import { Vocabulary, describeAndAdvise, quote } from "./vocabulary.js";
import { readWeights } from "./weights.js";

const NO_TEXT = "this page was made without the training text, so nothing tells known items from new ones";

export class Model {
  #payload; // without its facts and vocabulary
  #prepared;
  #vocabulary;
  #facts;
  #knownItems; // null if the page does not hold them

  // payload: as the page holds it, with the model's facts.
  static async load({ facts, vocab, known_buckets: buckets, known_items: bits, ...payload }) {
    const knownItems = bits === undefined ? null : new KnownItems(buckets, bits);
    return new Model(payload, await prepare(payload), new Vocabulary(vocab), facts, knownItems);
  }

  constructor(payload, prepared, vocabulary, facts, knownItems) {
    [this.#payload, this.#prepared, this.#vocabulary] = [payload, prepared, vocabulary];
    [this.#facts, this.#knownItems] = [facts, knownItems];
  }

  // A copy of the model that learns, for `sample`, `items` or `score`. how: as for Learner.
  async learner(how) {
    return new Learner(this.#payload, await readWeights(this.#payload), how);
  }

  // Yields {text, given, probability, candidates, activation} for each character on the screen, or null for each of the
  // first `skip` ones. With a learner, which first learns from the primetext, first {progress}. Throws Problem.
  *sample({ primetext, unit, candidates, skip = 0, ...params }, learner = null) {
    this.#checkUnit(unit);
    const prime = this.#encode(primetext);
    const network = new Network(yield* this.#learnt(learner, prime));
    const probs = new Float64Array(this.#vocabulary.size);
    const [screen, pending] = [new ScreenText(), []];
    const items = function* (complete) {
      for (const [text, count] of complete) {
        const pieces = pending.splice(0, count);
        yield skip-- > 0 ? null : sampledItem(text, pieces);
      }
    };
    for (const { id, given } of sample(network, probs, prime, params)) {
      const piece = { given, probability: probs[id] };
      if (candidates) piece.candidates = this.#withNames(topCandidates(probs, candidates), probs);
      if (unit) piece.activation = network.activation(unit.layer, unit.unit);
      pending.push(piece);
      yield* items(screen.push(this.#vocabulary.bytesOf(id)));
    }
    yield* items(screen.end());
  }

  // Of a model of items: yields {text, known, seed, cut} for each item, and null while one is drawn. Returns the counts
  // of an ItemSelection. label: of all items, whose texts are without it. learner: as for `sample`; it reads the label,
  // but does not learn to predict it. Throws Problem.
  *items({ label = "", primetext, items, seed, new: isNew, unique, ...params }, learner = null) {
    const { endId } = this.#prepared;
    if (isNew && !this.#knownItems) throw new Problem(`new: ${NO_TEXT}.`);
    const prime = this.#encode(primetext);
    if (prime.includes(endId)) {
      const name = quote(ITEM_KINDS[this.#facts.items].end);
      throw new Problem(`primetext contains ${name}, which ends an item: remove it; each item starts by itself.`);
    }
    const second = this.#facts.labels.find((one) => primetext.startsWith(`${one}\t`));
    if (second !== undefined) {
      throw new Problem(`primetext begins with the label ${second} and a tab: leave them out, and use label instead.`);
    }
    const before = label ? `${label}\t` : "";
    const ofLabel = this.#encode(before);
    const start = new TextEncoder().encode(before).length; // of an item's text
    const begin = [endId, ...ofLabel, ...prime];
    const selection = new ItemSelection({ items, new: isNew, unique, topk: params.topk }, this.#knownItems);
    const network = new Network(yield* this.#learnt(learner, begin, ofLabel.length));
    const probs = new Float64Array(this.#vocabulary.size);
    for (; !selection.hasEnded; seed++) {
      const bytes = [];
      let cut = true;
      for (const { id, given } of sample(network, probs, begin, { ...params, seed })) {
        if (id !== endId) bytes.push(...this.#vocabulary.bytesOf(id));
        else if (!given) cut = false;
        if (!cut) break;
        yield null;
      }
      const item = Uint8Array.from(bytes);
      const selected = selection.take(item, start);
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(item.subarray(start));
      // Seeds that differ by 2^32 draw the same, and a request has one below that.
      yield selected && { text, ...selected, seed: seed % 2 ** 32, cut };
    }
    return selection.counts;
  }

  // Yields {text, bits} for each character on the screen; of a model of items, which each are scored by themselves, for
  // their ends too; and {progress}. Returns {bits_per_character, known, code_points, unknown}: bits of the known
  // characters, divided by the number of code points to which these belong. With a learner, which learns from each
  // segment of the text once it has predicted it, {progress} is of that; the result has bits_per_character without
  // learning too, as `plain`. A label of the model is read before its item; its characters have 0 bits, and do not
  // count.
  *score(text, learner = null) {
    const { items } = this.#facts;
    const end = ITEM_KINDS[items]?.end;
    const bytes = new TextEncoder().encode(items ? inputOf(text, items, this.#facts.labels) : text);
    const network = new Network(this.#prepared);
    const [screen, pending] = [new ScreenText(), []];
    let previous = this.#prepared.endId; // which begins an item; -1 for a model of a text
    let [known, unknown, total, plainTotal] = [0, 0, 0, 0];
    const tokens = [...this.#vocabulary.tokenize(bytes, this.#facts.code_points)];
    const labels = labelEnds(bytes, end, this.#facts.labels);
    let item = 0; // where the item begins
    for (const token of tokens) {
      token.given = token.start < labels.get(item);
      if (bytes[token.start] === end?.charCodeAt()) item = token.end;
    }
    const learnt = learner && (yield* this.#learntBits(learner, tokens, previous));
    let read = 0; // known characters
    const codePoints = new Set(); // where those of the known characters begin
    for (const { start, end, id, given } of tokens) {
      let bits = null;
      if (id < 0) {
        unknown++;
      } else {
        const plain = previous < 0 ? Math.log2(this.#vocabulary.size) : -network.step(previous)[id] / Math.LN2;
        bits = given ? 0 : learnt ? learnt[read] : plain;
        previous = id;
        read++;
        if (!given) {
          known++;
          for (let k = start; k < end; k++) codePoints.add(characterStart(bytes, k));
          total += bits;
          plainTotal += plain;
        }
      }
      pending.push(bits);
      const complete = screen.push(bytes.subarray(start, end));
      for (const [shown, count] of complete) yield scoredItem(shown, pending.splice(0, count));
      if (!learner) yield { progress: end / bytes.length };
    }
    for (const [shown, count] of screen.end()) yield scoredItem(shown, pending.splice(0, count));
    const mean = (sum) => (known ? finite(sum / codePoints.size) : null);
    const figures = { bits_per_character: mean(total), known, code_points: codePoints.size, unknown };
    return { ...figures, ...(learnt && { plain: mean(plainTotal) }) };
  }

  // Yields {progress} while a learner learns from a text. given: number of characters after the first that it only
  // reads. Returns its prepared weights; without one, the model's own.
  *#learnt(learner, ids, given = 0) {
    if (!learner) return this.#prepared;
    yield* learner.readAll(ids.slice(0, -1), ids.slice(1).fill(-1, 0, given), () => {});
    return prepareWeights(this.#payload, learner.weights());
  }

  // The same; returns the bits of the known characters. before: the id before them, or -1 for none.
  *#learntBits(learner, tokens, before) {
    const known = tokens.filter(({ id }) => id >= 0);
    const [ids, targets] = [known.map(({ id }) => id), known.map(({ id, given }) => (given ? -1 : id))];
    const bits = before < 0 ? [Math.log2(this.#vocabulary.size)] : [];
    const x = before < 0 ? ids.slice(0, -1) : [before, ...ids.slice(0, -1)];
    const y = before < 0 ? targets.slice(1) : targets;
    yield* learner.readAll(x, y, (logProbs) => bits.push(...logProbs.map((logProb) => -logProb / Math.LN2)));
    return bits;
  }

  #checkUnit(unit) {
    const { length: layers, 0: { H } } = this.#prepared.layers;
    if (!unit || (unit.layer <= layers && unit.unit <= H)) return;
    throw new Problem(`unit: the model has ${layers} layers of ${H} units.`);
  }

  // The token ids of a primetext.
  #encode(primetext) {
    const bytes = new TextEncoder().encode(primetext);
    const found = [...this.#vocabulary.tokenize(bytes)];
    const unknown = found.filter(({ id }) => id < 0).map(({ start }) => start);
    if (unknown.length) {
      throw new Problem(`primetext has ${describeAndAdvise(bytes, unknown, this.#vocabulary).join(": ")}.`);
    }
    return found.map(({ id }) => id);
  }

  #withNames(ids, probs) {
    return Array.from(ids, (id) => [this.#vocabulary.names[id], fourDigits(probs[id])]);
  }
}

// pieces: the model's characters in one character on the screen. The candidates are those for the first of them, the
// probability is the product of all, the activation is that after the last.
function sampledItem(text, pieces) {
  const { given, candidates } = pieces[0];
  const probability = fourDigits(pieces.reduce((product, piece) => product * piece.probability, 1));
  const { activation } = pieces.at(-1);
  return {
    text,
    given,
    probability,
    ...(candidates && { candidates }),
    ...(activation !== undefined && { activation: fourDigits(activation) }),
  };
}

// bits: of each of the model's characters in one character on the screen; null for unknown ones.
function scoredItem(text, bits) {
  return { text, bits: bits.includes(null) ? null : finite(bits.reduce((sum, b) => sum + b, 0)) };
}

// Where the labels of items end, with their tabs: Map from where the item begins. bytes: items, each with its end.
function labelEnds(bytes, end, labels) {
  const [found, known] = [new Map(), new Set(labels)];
  for (let start = 0; known.size && start < bytes.length; ) {
    const stop = bytes.indexOf(end.charCodeAt(), start);
    const tab = bytes.subarray(start, stop).indexOf(9);
    const hasLabel = tab >= 0 && known.has(new TextDecoder().decode(bytes.subarray(start, start + tab)));
    if (hasLabel) found.set(start, start + tab + 1);
    start = stop + 1;
  }
  return found;
}

function finite(x) {
  return Number.isFinite(x) ? x : null;
}

// x to four significant digits; exact ties to the even digit, as Python rounds. 0 for NaN and infinity.
function fourDigits(x) {
  if (!Number.isFinite(x)) return 0;
  const [digits, exponent] = x.toExponential(4).split("e");
  if (!digits.endsWith("5") || Number(`${digits}e${exponent}`) !== x) return Number(x.toPrecision(4));
  const fourth = Number(digits.at(-2));
  return Number(fourth % 2 ? x.toPrecision(4) : `${digits.slice(0, -1)}e${exponent}`);
}
