// The items of the training text, as hashes: page/known_table.py. An item that is not among them is taken for one of
// them with a probability of 2 ** -20.

import { sha1 } from "./sha1.js";
import { decodeBase64 } from "./weights.js";

const FINGERPRINT_BITS = 20;

export class KnownItems {
  #bits;
  #starts; // the index of the first fingerprint of each bucket, and the number of fingerprints

  // buckets: their number. base64: the bits of the table.
  constructor(buckets, base64) {
    this.#bits = decodeBase64(base64);
    this.#starts = new Uint32Array(buckets + 1);
    for (let bucket = 0, position = 0; bucket < buckets; bucket++, position++) {
      for (; this.#bit(position); position++);
      this.#starts[bucket + 1] = position - bucket;
    }
  }

  // Whether the training text has an item, in bytes.
  has(item) {
    const [first, second] = sha1(item);
    const buckets = this.#starts.length - 1;
    const fingerprint = second >>> (32 - FINGERPRINT_BITS);
    for (let k = this.#starts[first % buckets]; k < this.#starts[(first % buckets) + 1]; k++) {
      if (this.#fingerprint(2 * buckets + FINGERPRINT_BITS * k) === fingerprint) return true;
    }
    return false;
  }

  #fingerprint(position) {
    let found = 0;
    for (let k = 0; k < FINGERPRINT_BITS; k++) found = 2 * found + this.#bit(position + k);
    return found;
  }

  #bit(position) {
    return (this.#bits[position >> 3] >> (7 - (position & 7))) & 1;
  }
}
