// Torch7's random numbers: MT19937, of which each number takes one output of 32 bits (compat/lua_random.py).
// Source: lib/TH/THRandom.c and lib/TH/generic/THTensorRandom.c of torch7.

const WORDS = 624;
const SHIFT = 397; // how far on the word is that each word is mixed with

export class TorchRandom {
  #words = new Uint32Array(WORDS);
  #next = WORDS;

  // The stream that `torch.manualSeed(seed)` starts. seed: a whole number, of which 32 bits count.
  constructor(seed) {
    const words = this.#words;
    words[0] = ((Math.trunc(seed) % 2 ** 32) + 2 ** 32) % 2 ** 32;
    for (let k = 1; k < WORDS; k++) {
      const before = words[k - 1] ^ (words[k - 1] >>> 30);
      words[k] = Math.imul(before, 1812433253) + k;
    }
  }

  // The next number in [0, 1), a multiple of 2 ** -32.
  random() {
    if (this.#next === WORDS) this.#renew();
    let word = this.#words[this.#next++];
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    word ^= word >>> 18;
    return (word >>> 0) * 2 ** -32;
  }

  #renew() {
    const words = this.#words;
    for (let k = 0; k < WORDS; k++) {
      const both = (words[k] & 0x80000000) | (words[(k + 1) % WORDS] & 0x7fffffff);
      words[k] = words[(k + SHIFT) % WORDS] ^ (both >>> 1) ^ (both & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}

// `torch.multinomial(probabilities:float(), 1)`: the index that the random number u in [0, 1) draws; -1 where the sum of
// the probabilities is not positive (NaN included), which Torch7 refuses.
export function multinomial(probabilities, u) {
  const last = probabilities.length - 1;
  let total = 0;
  for (let k = 0; k <= last; k++) total += Math.fround(probabilities[k]);
  if (!(total > 0)) return -1;
  let cumulative = 0;
  for (let k = 0; k < last; k++) {
    cumulative += Math.fround(probabilities[k]);
    if (cumulative / total >= u) return k;
  }
  return last;
}
