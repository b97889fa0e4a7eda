// A model that is sampled from, and asked to score texts, with the same answers as server/served_models.py.

import { Network, prepare } from "./network.js";
import { Problem } from "./problem.js";
import { draw, likeliest } from "./sampler.js";
import { ScreenText } from "./screen_text.js";
import { Vocabulary, describeUnknown } from "./vocabulary.js";

export class Model {
  #prepared;
  #vocabulary;
  #codePoints;

  // payload: as the page holds it, with the model's facts.
  static async of({ facts, vocab, ...network }) {
    return new Model(await prepare(network), new Vocabulary(vocab), facts.code_points);
  }

  constructor(prepared, vocabulary, codePoints) {
    [this.#prepared, this.#vocabulary, this.#codePoints] = [prepared, vocabulary, codePoints];
  }

  // A sample: {text, given, probability, candidates, activation} for each character of the screen, or null for each of
  // those that `skip` leaves out. Errors: Problem.
  *sample({ primetext, unit, candidates, skip = 0, ...how }) {
    this.#check(unit);
    const network = new Network(this.#prepared);
    const probabilities = new Float64Array(this.#vocabulary.size);
    const [screen, waiting] = [new ScreenText(), []];
    const items = function* (shown) {
      for (const [text, count] of shown) {
        const pieces = waiting.splice(0, count);
        yield skip-- > 0 ? null : sampled(text, pieces);
      }
    };
    for (const { index, given } of draw(network, probabilities, this.#numbers(primetext), how)) {
      const piece = { given, probability: probabilities[index] };
      if (candidates) piece.candidates = this.#named(likeliest(probabilities, candidates), probabilities);
      if (unit) piece.activation = network.activation(unit.layer, unit.unit);
      waiting.push(piece);
      yield* items(screen.push(this.#vocabulary.bytesOf(index)));
    }
    yield* items(screen.end());
  }

  // How much a text surprises the model: {text, bits} for each character of the screen. Returns {bits_per_character,
  // known, unknown}.
  *score(text) {
    const bytes = new TextEncoder().encode(text);
    const network = new Network(this.#prepared);
    const [screen, waiting] = [new ScreenText(), []];
    let before = -1;
    let [known, unknown, total] = [0, 0, 0];
    for (const { start, end, number } of this.#vocabulary.tokenize(bytes, this.#codePoints)) {
      let bits = null;
      if (number < 0) {
        unknown++;
      } else {
        bits = before < 0 ? Math.log2(this.#vocabulary.size) : -network.step(before)[number] / Math.LN2;
        before = number;
        known++;
        total += bits;
      }
      waiting.push(bits);
      for (const [shown, count] of screen.push(bytes.subarray(start, end))) yield scored(shown, waiting.splice(0, count));
    }
    for (const [shown, count] of screen.end()) yield scored(shown, waiting.splice(0, count));
    return { bits_per_character: known ? finite(total / known) : null, known, unknown };
  }

  #check(unit) {
    const { length: layers, 0: { H } } = this.#prepared.layers;
    if (!unit || (unit.layer <= layers && unit.unit <= H)) return;
    throw new Problem(`unit: the model has ${layers} layers of ${H} units.`);
  }

  // The characters of a primetext as their numbers.
  #numbers(primetext) {
    const bytes = new TextEncoder().encode(primetext);
    return Array.from(this.#vocabulary.tokenize(bytes), ({ start, number }) => {
      if (number >= 0) return number;
      throw new Problem(`primetext has ${describeUnknown(bytes, start)}: leave it out.`);
    });
  }

  #named(indices, probabilities) {
    return Array.from(indices, (index) => [this.#vocabulary.names[index], fourDigits(probabilities[index])]);
  }
}

// pieces: of one character of the screen; where it took several, the candidates are those in place of the first one.
function sampled(text, pieces) {
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

function scored(text, costs) {
  return { text, bits: costs.includes(null) ? null : finite(costs.reduce((sum, bits) => sum + bits, 0)) };
}

function finite(x) {
  return Number.isFinite(x) ? x : null;
}

// A number to four digits, as Python rounds: of an exact tie to the even one. 0 for NaN and infinity.
function fourDigits(x) {
  if (!Number.isFinite(x)) return 0;
  const [digits, exponent] = x.toExponential(4).split("e");
  if (!digits.endsWith("5") || Number(`${digits}e${exponent}`) !== x) return Number(x.toPrecision(4));
  const fourth = Number(digits.at(-2));
  return Number(fourth % 2 ? x.toPrecision(4) : `${digits.slice(0, -1)}e${exponent}`);
}
