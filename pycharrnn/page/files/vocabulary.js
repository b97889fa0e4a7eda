// The characters of a model, which are one byte or several, and texts divided into them: sampling/tokenizer.py.

import { REPLACEMENT, Utf8Decoder, characterLength, decoded } from "./utf8.js";

const SHORT_ESCAPES = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

export class Vocabulary {
  names; // of the characters for the screen; a byte that is none by itself as 0xE2
  #characters;
  #numbers = new Map(); // a character's bytes, joined -> its number from 0
  #lengths = new Map(); // a first byte -> lengths of the characters that begin with it, the longest first

  // characters: lists of bytes, in the order of their numbers.
  constructor(characters) {
    this.#characters = characters;
    this.names = characters.map((bytes) => decoded(bytes) ?? `0x${bytes.map(hex).join("").toUpperCase()}`);
    characters.forEach((bytes, number) => {
      this.#numbers.set(bytes.join(), number);
      const lengths = this.#lengths.get(bytes[0]) ?? [];
      this.#lengths.set(bytes[0], [...new Set([...lengths, bytes.length])].sort((a, b) => b - a));
    });
  }

  get size() {
    return this.#characters.length;
  }

  bytesOf(number) {
    return this.#characters[number];
  }

  // Divides a text, in bytes, into characters; where several fit, the longest is taken. Yields {start, end, number}, the
  // number being -1 where no character begins: for a byte, or with codePoints for a whole character of UTF-8.
  *tokenize(text, codePoints = false) {
    for (let start = 0, end; start < text.length; start = end) {
      let number = -1;
      end = start + (codePoints ? characterLength(text, start) : 1);
      for (const length of this.#lengths.get(text[start]) ?? []) {
        const bytes = text.subarray(start, start + length);
        const found = this.#numbers.get(bytes.join());
        if (found === undefined) continue;
        [number, end] = [found, start + bytes.length];
        break;
      }
      yield { start, end, number };
    }
  }
}

// In words, for a message: the unknown character at a position of a text in bytes, a whole one where the text is UTF-8.
export function describeUnknown(text, position) {
  let start = position;
  while (start > 0 && (text[start] & 0xc0) === 0x80) start--;
  const decoder = new Utf8Decoder();
  const [character] = [...decoder.push(text.subarray(start, start + 4)), ...decoder.end()];
  return `the character ${quoted(character ?? REPLACEMENT)} (byte 0x${hex(text[position])}), which the model has never seen`;
}

// A character between quotes, as Python writes it.
function quoted(character) {
  const quote = character === "'" ? '"' : "'";
  return quote + (SHORT_ESCAPES[character] ?? escaped(character)) + quote;
}

function escaped(character) {
  if (character === " " || !/[\p{C}\p{Z}]/u.test(character)) return character;
  const code = character.codePointAt(0);
  const [letter, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${letter}${code.toString(16).padStart(digits, "0")}`;
}

function hex(byte) {
  return byte.toString(16).padStart(2, "0");
}
