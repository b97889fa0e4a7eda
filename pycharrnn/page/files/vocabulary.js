// A model's vocabulary and the tokenizer: sampling/tokenizer.py and sampling/unknown_characters.py. Its characters are
// one byte or several.

import { REPLACEMENT, Utf8Decoder, characterLength, characterStart, decode } from "./utf8.js";

// Characters that a keyboard gives for one another, as in unknown_characters.py.
const SIMILAR = ["'\u2019\u2018\u02bc", '"\u201c\u201d\u201e\u00ab\u00bb', "-\u2013\u2014\u2212\u2010\u2011"];
// Unknown characters in a message, as in unknown_characters.py.
const MOST_NAMED = 20;
const SHORT_ESCAPES = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

export class Vocabulary {
  hasHighBytes; // whether bytes of 0x80 and above are characters, rather than code points
  names; // of the characters, for the screen; invalid UTF-8 in hexadecimal, as 0xE2
  #characters;
  #ids = new Map(); // a character's bytes, joined -> its token id, from 0
  #lengths = new Map(); // first byte -> lengths of the characters that begin with it, in descending order

  // characters: lists of bytes, in the order of their token ids.
  constructor(characters) {
    this.#characters = characters;
    this.hasHighBytes = characters.some((bytes) => bytes.length === 1 && bytes[0] >= 0x80);
    this.names = characters.map((bytes) => decode(bytes) ?? `0x${bytes.map(hex).join("").toUpperCase()}`);
    characters.forEach((bytes, id) => {
      this.#ids.set(bytes.join(), id);
      const lengths = this.#lengths.get(bytes[0]) ?? [];
      this.#lengths.set(bytes[0], [...new Set([...lengths, bytes.length])].sort((a, b) => b - a));
    });
  }

  get size() {
    return this.#characters.length;
  }

  bytesOf(id) {
    return this.#characters[id];
  }

  // Divides a text in bytes into characters; where several match, the longest wins. Yields {start, end, id}. The id is
  // -1 for an unknown byte, or with codePoints for an unknown code point.
  *tokenize(text, codePoints = false) {
    for (let start = 0, end; start < text.length; start = end) {
      let id = -1;
      end = start + (codePoints ? characterLength(text, start) : 1);
      for (const length of this.#lengths.get(text[start]) ?? []) {
        const bytes = text.subarray(start, start + length);
        const found = this.#ids.get(bytes.join());
        if (found === undefined) continue;
        [id, end] = [found, start + bytes.length];
        break;
      }
      yield { start, end, id };
    }
  }
}

// For a message: [the distinct unknown characters at all their positions in a text in bytes, what to do about them];
// whole code points if the text is UTF-8. At most MOST_NAMED are named.
export function describeAndAdvise(text, positions, vocabulary) {
  const byKey = new Map();
  for (const one of positions.map((position) => unknownAt(text, position, vocabulary))) {
    const key = one.character === REPLACEMENT ? one.name : one.character;
    if (!byKey.has(key)) byKey.set(key, one);
  }
  const characters = [...byKey.values()];
  const names = characters.map(({ name }) => name);
  const isKnown = (other) => [...vocabulary.tokenize(new TextEncoder().encode(other))].every(({ id }) => id >= 0);
  const similar = characters.map(({ character }) => similarKnown(character, isKnown));
  const [it, its] = names.length === 1 ? ["it", "its"] : ["them", "their"];
  let advice = `write ${[...new Set(similar)].join(" and ")} in ${its} place`;
  if (characters.every(({ character }) => isKnownInLowerCase(character, isKnown))) advice = `write ${it} in lower case`;
  else if (similar.includes(undefined)) advice = `leave ${it} out`;
  return [`${listed(names)}, which the model has never seen`, advice];
}

function listed([first, ...more]) {
  if (!more.length) return `the character ${first}`;
  const others = more.slice(0, MOST_NAMED - 1);
  const last = more.length >= MOST_NAMED ? `${more.length + 1 - MOST_NAMED} more` : others.pop();
  return `the characters ${[first, ...others].join(", ")} and ${last}`;
}

function isKnownInLowerCase(character, isKnown) {
  const lower = character.toLowerCase();
  return lower !== character && isKnown(lower);
}

// A known character that looks like an unknown one, if there is any.
function similarKnown(character, isKnown) {
  const group = SIMILAR.find((one) => one.includes(character)) ?? "";
  return [...group].find((other) => other !== character && isKnown(other));
}

// The unknown character at a position, and its name.
function unknownAt(text, position, { hasHighBytes }) {
  const character = characterAt(text, position);
  if (character !== REPLACEMENT && !hasHighBytes) return { character, name: quoteCodePoint(character) };
  const quoted = quote(character);
  const isLegible = character !== REPLACEMENT && quoted[1] !== "\\";
  return { character, name: isLegible ? quoted : `${quoted} (byte 0x${hex(text[position])})` };
}

// The whole character at a position of a text in bytes; U+FFFD for invalid UTF-8.
function characterAt(text, position) {
  const start = characterStart(text, position);
  const decoder = new Utf8Decoder();
  const [decoded] = [...decoder.push(text.subarray(start, start + 4)), ...decoder.end()];
  const isStray = decoded && start + new TextEncoder().encode(decoded).length <= position; // a continuation byte
  return isStray ? REPLACEMENT : (decoded ?? REPLACEMENT);
}

// A code point as U+00E9 "é".
function quoteCodePoint(character) {
  const shown = character === '"' ? '\\"' : quote(character).slice(1, -1);
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")} "${shown}"`;
}

// A character as a Python literal.
export function quote(character) {
  const mark = character === "'" ? '"' : "'";
  return mark + (SHORT_ESCAPES[character] ?? escape(character)) + mark;
}

function escape(character) {
  if (character === " " || !/[\p{C}\p{Z}]/u.test(character)) return character;
  const code = character.codePointAt(0);
  const [letter, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${letter}${code.toString(16).padStart(digits, "0")}`;
}

function hex(byte) {
  return byte.toString(16).padStart(2, "0");
}
