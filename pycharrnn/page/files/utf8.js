// Decodes UTF-8 byte by byte. Like Python, it replaces each maximal invalid prefix of a character by one U+FFFD.

export const REPLACEMENT = "\ufffd";

export class Utf8Decoder {
  #missing = 0; // bytes of the current character that have not arrived
  #code = 0; // bits of the current character
  #min = 0x80; // limits of the next byte
  #max = 0xbf;
  #surrogate = false; // whether the first two bytes encode a surrogate: invalid, but Python notices at the third byte

  // Whether the last character is incomplete.
  get pending() {
    return this.#missing > 0;
  }

  // Takes bytes; returns a list of the characters that are complete now, with null for invalid UTF-8.
  push(bytes) {
    const characters = [];
    for (const byte of bytes) this.#take(byte, characters);
    return characters;
  }

  // As push, at the end of the text.
  end() {
    const characters = [];
    this.#abandon(characters);
    return characters;
  }

  #take(byte, characters) {
    if (this.#missing && !this.#surrogate && byte >= this.#min && byte <= this.#max) {
      this.#code = (this.#code << 6) | (byte & 0x3f);
      [this.#min, this.#max] = [0x80, 0xbf];
      this.#missing--;
      this.#surrogate = this.#missing === 1 && this.#code >> 5 === 0xd800 >> 11;
      if (!this.#missing) characters.push(String.fromCodePoint(this.#code));
      return;
    }
    this.#abandon(characters);
    this.#missing = byte < 0xc2 || byte > 0xf4 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    if (this.#missing) {
      this.#code = byte & (0x3f >> this.#missing);
      // Limits of the second byte exclude overlong encodings and code points above U+10FFFF.
      this.#min = byte === 0xe0 ? 0xa0 : byte === 0xf0 ? 0x90 : 0x80;
      this.#max = byte === 0xf4 ? 0x8f : 0xbf;
    } else {
      characters.push(byte < 0x80 ? String.fromCharCode(byte) : null);
    }
  }

  // The current character is invalid, if there is one.
  #abandon(characters) {
    if (this.pending) characters.push(null);
    if (this.#surrogate) characters.push(null); // its second byte is invalid by itself
    [this.#missing, this.#surrogate] = [0, false];
  }
}

// Bytes as text; null for invalid UTF-8.
export function decode(bytes) {
  const decoder = new Utf8Decoder();
  const characters = [...decoder.push(bytes), ...decoder.end()];
  return characters.includes(null) ? null : characters.join("");
}

// The number of bytes of the character at a position; 1 for invalid UTF-8.
export function characterLength(bytes, position) {
  const decoder = new Utf8Decoder();
  for (let length = 1; length <= 4 && position + length <= bytes.length; length++) {
    const [character] = decoder.push([bytes[position + length - 1]]);
    if (character) return length;
    if (character === null) return 1;
  }
  return 1;
}

// Where the character begins that has the byte at a position of valid UTF-8.
export function characterStart(bytes, position) {
  while (position > 0 && (bytes[position] & 0xc0) === 0x80) position--;
  return position;
}
