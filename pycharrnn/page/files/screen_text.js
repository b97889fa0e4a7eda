// Bytes that come piece by piece, as the characters that a screen shows: ScreenText of common/screen_text.py.

import { REPLACEMENT, Utf8Decoder } from "./utf8.js";

export class ScreenText {
  #decoder = new Utf8Decoder();
  #incomplete = 0; // pieces of a character whose end has not come yet

  // Take the next piece, which is not empty. Returns the characters that are complete now, as [text, how many pieces].
  push(piece) {
    const characters = this.#decoder.push(piece).map((character) => character ?? REPLACEMENT);
    if (!characters.length) {
      this.#incomplete++;
      return [];
    }
    const before = this.#incomplete;
    this.#incomplete = this.#decoder.pending ? 1 : 0;
    // The pieces before may have been no character, and this one begins another, or is a whole one.
    if (this.#incomplete) return [[characters.join(""), before]];
    if (before && characters.length > 1) return [[characters.slice(0, -1).join(""), before], [characters.at(-1), 1]];
    return [[characters.join(""), before + 1]];
  }

  // As push, at the end of the text.
  end() {
    const before = this.#incomplete;
    this.#incomplete = 0;
    const text = this.#decoder.end().map(() => REPLACEMENT).join("");
    return before ? [[text, before]] : [];
  }
}
