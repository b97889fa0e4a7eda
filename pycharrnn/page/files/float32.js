// Arithmetic in float32 as the C kernel rounds it: kernel_math.h. Numbers are doubles that float32 holds exactly.

const { fround } = Math;
const MAGIC = 12582912; // 1.5 * 2^23: adding it rounds to a whole number
const LOG2E = fround(1.44269504088896340736);
const [LN2_HIGH, LN2_LOW] = [fround(6.93145751953125e-1), fround(1.4286068203094172e-6)];
const LN2 = fround(0.69314718055994530942);
const EXP_TERMS = [1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1].map(fround);
const LOG_TERMS = [5, 4, 3, 2, 1].map((i) => fround(1 / (2 * i + 1)));
const HALF_ROOT = 0x3f3504f4; // bits of the number above sqrt(1/2)
const PARTIAL_SUMS = 16;
const GROUPS = 4; // of the units, in kernel_adapt.h

const numbers = new Float32Array(1);
const bits = new Int32Array(numbers.buffer);

// a*b + c, rounded once. The product is exact in double precision. So the sum, which is rounded twice, can be wrong
// only where the first rounding ends halfway between two float32 numbers; then `other` is the second of them.
export function fma(a, b, c) {
  const product = a * b;
  const sum = product + c;
  const rounded = fround(sum);
  const other = sum + (sum - rounded);
  return fround(other) === other ? halfway(product, c, sum, rounded, other) : rounded;
}

// Which of the two is nearer to product + c, from the error of the sum; `rounded` where the sum is one of them.
function halfway(product, c, sum, rounded, other) {
  const part = sum - product;
  const error = product - (sum - part) + (c - part);
  return error !== 0 && other !== sum && error > 0 === other > sum ? other : rounded;
}

// exp(x) = scale * (1 + lessOne), of x that is clamped to +-limit. Returns lessOne; the scale is then in `numbers`.
function expParts(x, limit) {
  x = x > limit ? limit : x < -limit ? -limit : x;
  const k = fround(fma(x, LOG2E, MAGIC) - MAGIC);
  const r = fma(k, -LN2_LOW, fma(k, -LN2_HIGH, x));
  let p = fround(1 / 5040);
  for (let i = 0; i < EXP_TERMS.length; i++) p = fma(p, r, EXP_TERMS[i]);
  bits[0] = (k + 127) << 23;
  return fround(p * r);
}

export function exp(x) {
  const lessOne = expParts(x, 87);
  return fma(numbers[0], lessOne, numbers[0]);
}

export function sigmoid(x) {
  return fround(1 / fround(1 + exp(-x)));
}

export function tanh(x) {
  const part = expParts(fround(2 * x), 60);
  const expLessOne = fma(numbers[0], part, fround(numbers[0] - 1));
  return fround(expLessOne / fround(expLessOne + 2));
}

// log(x) of x from 1 on.
function log(x) {
  numbers[0] = x;
  const exponent = (bits[0] - HALF_ROOT) >> 23;
  bits[0] -= exponent << 23;
  const m = numbers[0];
  const s = fround(fround(m - 1) / fround(m + 1));
  const square = fround(s * s);
  let series = 0;
  for (let i = 0; i < LOG_TERMS.length; i++) series = fma(series, square, LOG_TERMS[i]);
  return fma(exponent, LN2, 2 * fma(fround(series * square), s, s));
}

// logits: Float32Array; they become log-probabilities.
export function logSoftmax(logits) {
  let top = logits[0];
  for (let k = 1; k < logits.length; k++) if (logits[k] > top) top = logits[k];
  const sums = new Float32Array(PARTIAL_SUMS);
  for (let k = 0; k < logits.length; k++) sums[k % PARTIAL_SUMS] += exp(fround(logits[k] - top));
  const logSum = log(addUp(sums));
  for (let k = 0; k < logits.length; k++) logits[k] = fround(logits[k] - top) - logSum;
}

// The sum of PARTIAL_SUMS numbers, by halves. Changes them.
function addUp(sums) {
  for (let width = PARTIAL_SUMS / 2; width; width >>= 1) for (let k = 0; k < width; k++) sums[k] += sums[k + width];
  return sums[0];
}

// out[n] += weight[n, :] . x for the rows n of a matrix of x.length columns; term k belongs to partial sum
// k % PARTIAL_SUMS.
export function addProduct(weight, x, out) {
  const sums = new Float32Array(PARTIAL_SUMS);
  for (let n = 0, at = 0; n < out.length; n++) {
    sums.fill(0);
    for (let k = 0; k < x.length; k++, at++) sums[k % PARTIAL_SUMS] = fma(x[k], weight[at], sums[k % PARTIAL_SUMS]);
    out[n] += addUp(sums);
  }
}

// out += x . weight, for rows first..last of a matrix of out.length columns, row by row.
export function addTransposed(weight, x, out, first = 0, last = x.length) {
  const columns = out.length;
  for (let n = first; n < last; n++) {
    const factor = x[n];
    for (let k = 0, at = n * columns; k < columns; k++, at++) out[k] = fma(factor, weight[at], out[k]);
  }
}

// out += the sum over all gates of d . weight. The units are GROUPS groups, whose sums are added up.
export function addGates(weights, d, out) {
  const H = d[0].length;
  const blocks = Math.ceil(H / PARTIAL_SUMS);
  const start = (group) => Math.min(H, PARTIAL_SUMS * Math.floor((blocks * group) / GROUPS));
  const total = new Float32Array(out.length);
  for (let group = 0; group < GROUPS; group++) {
    const sums = new Float32Array(out.length);
    weights.forEach((weight, g) => addTransposed(weight, d[g], sums, start(group), start(group + 1)));
    for (let k = 0; k < sums.length; k++) total[k] += sums[k];
  }
  for (let k = 0; k < total.length; k++) out[k] += total[k];
}

// Add the outer product d x^T to the gradient of a gate's weight, and d to that of its bias.
export function addOuter(gate, d, x) {
  const { dWeight, dBias } = gate;
  for (let n = 0; n < d.length; n++) {
    const factor = d[n];
    dBias[n] += factor;
    for (let k = 0, at = n * x.length; k < x.length; k++) dWeight[at + k] = fma(factor, x[k], dWeight[at + k]);
  }
}
