// UTF-8, byte by byte, as Python decodes it: what is none becomes U+FFFD, one for each longest beginning of a character.

export const REPLACEMENT = "\ufffd";

export class Utf8Decoder {
  #missing = 0; // bytes of the character that has begun
  #code = 0;
  #lowest = 0x80; // that the next byte may be, and
  #highest = 0xbf;
  #half = false; // whether it is half a character of UTF-16: that is none, but Python sees so only at its third byte

  // Whether a character has begun, and not ended.
  get pending() {
    return this.#missing > 0;
  }

  // The characters that are complete with some more bytes, as a list; null for what is no UTF-8.
  push(bytes) {
    const characters = [];
    for (const byte of bytes) this.#take(byte, characters);
    return characters;
  }

  // As push, at the end of the text.
  end() {
    const characters = [];
    this.#giveUp(characters);
    return characters;
  }

  #take(byte, characters) {
    if (this.#missing && !this.#half && byte >= this.#lowest && byte <= this.#highest) {
      this.#code = (this.#code << 6) | (byte & 0x3f);
      [this.#lowest, this.#highest] = [0x80, 0xbf];
      this.#missing--;
      this.#half = this.#missing === 1 && this.#code >> 5 === 0xd800 >> 11;
      if (!this.#missing) characters.push(String.fromCodePoint(this.#code));
      return;
    }
    this.#giveUp(characters);
    this.#missing = byte < 0xc2 || byte > 0xf4 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    if (this.#missing) {
      this.#code = byte & (0x3f >> this.#missing);
      // The second byte has limits of its own: no character is written longer than need be, or is beyond the last one.
      this.#lowest = byte === 0xe0 ? 0xa0 : byte === 0xf0 ? 0x90 : 0x80;
      this.#highest = byte === 0xf4 ? 0x8f : 0xbf;
    } else {
      characters.push(byte < 0x80 ? String.fromCharCode(byte) : null);
    }
  }

  // What has begun is no character.
  #giveUp(characters) {
    if (this.pending) characters.push(null);
    if (this.#half) characters.push(null); // its second byte begins none
    [this.#missing, this.#half] = [0, false];
  }
}

// Bytes as a text; null if they are no UTF-8.
export function decoded(bytes) {
  const decoder = new Utf8Decoder();
  const characters = [...decoder.push(bytes), ...decoder.end()];
  return characters.includes(null) ? null : characters.join("");
}

// How many bytes the character at a position has; 1 where there is none.
export function characterLength(bytes, position) {
  const decoder = new Utf8Decoder();
  for (let length = 1; length <= 4 && position + length <= bytes.length; length++) {
    const [character] = decoder.push([bytes[position + length - 1]]);
    if (character) return length;
    if (character === null) return 1;
  }
  return 1;
}
