// Torch7's random numbers: MT19937, one output of 32 bits for each number, as compat/lua_random.py.
// Source: lib/TH/THRandom.c and lib/TH/generic/THTensorRandom.c of torch7.

const N = 624; // words of state
const M = 397; // offset of the word that each word is mixed with

export class TorchRandom {
  #state = new Uint32Array(N);
  #next = N;

  // As `torch.manualSeed(seed)`, of which the low 32 bits count.
  constructor(seed) {
    const state = this.#state;
    state[0] = ((Math.trunc(seed) % 2 ** 32) + 2 ** 32) % 2 ** 32;
    for (let k = 1; k < N; k++) {
      const previous = state[k - 1] ^ (state[k - 1] >>> 30);
      state[k] = Math.imul(previous, 1812433253) + k;
    }
  }

  // The next number in [0, 1), a multiple of 2 ** -32.
  random() {
    if (this.#next === N) this.#twist();
    let word = this.#state[this.#next++];
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    word ^= word >>> 18;
    return (word >>> 0) * 2 ** -32;
  }

  #twist() {
    const state = this.#state;
    for (let k = 0; k < N; k++) {
      const mixed = (state[k] & 0x80000000) | (state[(k + 1) % N] & 0x7fffffff);
      state[k] = state[(k + M) % N] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}

// `torch.multinomial(probs:float(), 1)`: the index that the random number u in [0, 1) selects; -1 if the sum of probs
// is not positive (NaN included), which Torch7 refuses.
export function multinomial(probs, u) {
  const last = probs.length - 1;
  let total = 0;
  for (let k = 0; k <= last; k++) total += Math.fround(probs[k]);
  if (!(total > 0)) return -1;
  let cumulative = 0;
  for (let k = 0; k < last; k++) {
    cumulative += Math.fround(probs[k]);
    if (cumulative / total >= u) return k;
  }
  return last;
}
