// SHA-1 (FIPS 180-4), by which known_items.js finds an item. The browser's own is not available in all pages.

const SEED = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
const CONSTANTS = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6]; // of 20 steps each

// The hash of some bytes, as five numbers of 32 bits.
export function sha1(bytes) {
  const padded = new Uint8Array(((bytes.length + 8) >> 6) * 64 + 64);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, (bytes.length * 8) >>> 0);
  const hash = Uint32Array.from(SEED);
  const words = new Uint32Array(80);
  for (let start = 0; start < padded.length; start += 64) addBlock(hash, words, view, start);
  return hash;
}

function addBlock(hash, words, view, start) {
  for (let k = 0; k < 16; k++) words[k] = view.getUint32(start + 4 * k);
  for (let k = 16; k < 80; k++) words[k] = rotate(words[k - 3] ^ words[k - 8] ^ words[k - 14] ^ words[k - 16], 1);
  let [a, b, c, d, e] = hash;
  for (let k = 0; k < 80; k++) {
    const part = Math.floor(k / 20);
    const mixed = part === 0 ? (b & c) | (~b & d) : part === 2 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
    const next = (rotate(a, 5) + (mixed >>> 0) + e + CONSTANTS[part] + words[k]) >>> 0;
    [a, b, c, d, e] = [next, a, rotate(b, 30), c, d];
  }
  [a, b, c, d, e].forEach((word, k) => (hash[k] += word));
}

function rotate(word, count) {
  return ((word << count) | (word >>> (32 - count))) >>> 0;
}
