// Decodes UTF-8 that arrives in pieces, as ScreenText of common/screen_text.py does.

import { REPLACEMENT, Utf8Decoder } from "./utf8.js";

export class ScreenText {
  #decoder = new Utf8Decoder();
  #incomplete = 0; // pieces of a character whose end is missing

  // Takes the next piece, which is not empty. Returns the characters that are complete now, as [text, number of
  // pieces].
  push(piece) {
    const characters = this.#decoder.push(piece).map((character) => character ?? REPLACEMENT);
    if (!characters.length) {
      this.#incomplete++;
      return [];
    }
    const before = this.#incomplete;
    this.#incomplete = this.#decoder.pending ? 1 : 0;
    // The earlier pieces may have been invalid; then this piece begins another character, or is a whole one.
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
