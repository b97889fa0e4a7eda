// Samples from a model, draws items and scores texts, with the same results as the server's samples.py, drawn_items.py
// and served_models.py.

import { ENDS, ItemSelection, itemsOf } from "./item_selection.js";
import { KnownItems } from "./known_items.js";
import { Network, prepare } from "./network.js";
import { Problem } from "./problem.js";
import { sample, topCandidates } from "./sampler.js";
import { ScreenText } from "./screen_text.js";
import { Vocabulary, describeUnknown, quote } from "./vocabulary.js";

const NO_TEXT = "this page was made without the training text, so nothing tells known items from new ones";

export class Model {
  #prepared;
  #vocabulary;
  #facts;
  #knownItems; // null if the page does not hold them

  // payload: as the page holds it, with the model's facts.
  static async load({ facts, vocab, known_buckets: buckets, known_items: bits, ...payload }) {
    const knownItems = bits === undefined ? null : new KnownItems(buckets, bits);
    return new Model(await prepare(payload), new Vocabulary(vocab), facts, knownItems);
  }

  constructor(prepared, vocabulary, facts, knownItems) {
    [this.#prepared, this.#vocabulary] = [prepared, vocabulary];
    [this.#facts, this.#knownItems] = [facts, knownItems];
  }

  // Yields {text, given, probability, candidates, activation} for each character on the screen, or null for each of the
  // first `skip` ones. Throws Problem.
  *sample({ primetext, unit, candidates, skip = 0, ...params }) {
    this.#checkUnit(unit);
    const network = new Network(this.#prepared);
    const probs = new Float64Array(this.#vocabulary.size);
    const [screen, pending] = [new ScreenText(), []];
    const items = function* (complete) {
      for (const [text, count] of complete) {
        const pieces = pending.splice(0, count);
        yield skip-- > 0 ? null : sampledItem(text, pieces);
      }
    };
    for (const { id, given } of sample(network, probs, this.#encode(primetext), params)) {
      const piece = { given, probability: probs[id] };
      if (candidates) piece.candidates = this.#withNames(topCandidates(probs, candidates), probs);
      if (unit) piece.activation = network.activation(unit.layer, unit.unit);
      pending.push(piece);
      yield* items(screen.push(this.#vocabulary.bytesOf(id)));
    }
    yield* items(screen.end());
  }

  // Of a model of items: yields {text, known, seed, cut} for each item, and null while one is drawn. Returns the counts
  // of an ItemSelection. Throws Problem.
  *items({ primetext, items, seed, new: isNew, unique, ...params }) {
    const { endId } = this.#prepared;
    if (isNew && !this.#knownItems) throw new Problem(`new: ${NO_TEXT}.`);
    const prime = this.#encode(primetext);
    if (prime.includes(endId)) {
      const name = quote(ENDS[this.#facts.items]);
      throw new Problem(`primetext has ${name}, which ends an item: leave it out, since an item begins by itself.`);
    }
    const selection = new ItemSelection({ items, new: isNew, unique }, this.#knownItems);
    const network = new Network(this.#prepared);
    const probs = new Float64Array(this.#vocabulary.size);
    for (; !selection.hasEnded; seed++) {
      const bytes = [];
      let cut = true;
      for (const { id, given } of sample(network, probs, [endId, ...prime], { ...params, seed })) {
        if (id !== endId) bytes.push(...this.#vocabulary.bytesOf(id));
        else if (!given) cut = false;
        if (!cut) break;
        yield null;
      }
      const item = Uint8Array.from(bytes);
      const selected = selection.take(item);
      yield selected && { text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(item), ...selected, seed, cut };
    }
    return selection.counts;
  }

  // Yields {text, bits} for each character on the screen; of a model of items, which each are scored by themselves, for
  // their ends too. Returns {bits_per_character, known, unknown}.
  *score(text) {
    const { items } = this.#facts;
    const end = ENDS[items];
    const bytes = new TextEncoder().encode(items ? itemsOf(text, items).map((item) => item + end).join("") : text);
    const network = new Network(this.#prepared);
    const [screen, pending] = [new ScreenText(), []];
    let previous = this.#prepared.endId; // which begins an item; -1 for a model of a text
    let [known, unknown, total] = [0, 0, 0];
    for (const { start, end, id } of this.#vocabulary.tokenize(bytes, this.#facts.code_points)) {
      let bits = null;
      if (id < 0) {
        unknown++;
      } else {
        bits = previous < 0 ? Math.log2(this.#vocabulary.size) : -network.step(previous)[id] / Math.LN2;
        previous = id;
        known++;
        total += bits;
      }
      pending.push(bits);
      for (const [shown, count] of screen.push(bytes.subarray(start, end))) yield scoredItem(shown, pending.splice(0, count));
    }
    for (const [shown, count] of screen.end()) yield scoredItem(shown, pending.splice(0, count));
    return { bits_per_character: known ? finite(total / known) : null, known, unknown };
  }

  #checkUnit(unit) {
    const { length: layers, 0: { H } } = this.#prepared.layers;
    if (!unit || (unit.layer <= layers && unit.unit <= H)) return;
    throw new Problem(`unit: the model has ${layers} layers of ${H} units.`);
  }

  // The token ids of a primetext.
  #encode(primetext) {
    const bytes = new TextEncoder().encode(primetext);
    return Array.from(this.#vocabulary.tokenize(bytes), ({ start, id }) => {
      if (id >= 0) return id;
      throw new Problem(`primetext has ${describeUnknown(bytes, start, this.#vocabulary)}: leave it out.`);
    });
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
