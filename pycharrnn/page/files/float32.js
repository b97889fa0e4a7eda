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

const numbers = new Float32Array(1);
const bits = new Int32Array(numbers.buffer);

// a*b + c, rounded once. The product is exact in double precision. So the sum, which is rounded twice, can be wrong only
// where the first rounding ends halfway between two float32 numbers; then `other` is the second of them.
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
  for (let width = PARTIAL_SUMS / 2; width; width >>= 1) for (let k = 0; k < width; k++) sums[k] += sums[k + width];
  const logSum = log(sums[0]);
  for (let k = 0; k < logits.length; k++) logits[k] = fround(logits[k] - top) - logSum;
}

// out[n] += weight[n, :] . x for the rows n of a matrix of x.length columns, term by term. Four sums at a time hide the
// latency of each.
export function addProduct(weight, x, out) {
  const columns = x.length;
  let n = 0;
  let at = 0;
  for (; n + 4 <= out.length; n += 4, at += 4 * columns) {
    let [a, b, c, d] = [out[n], out[n + 1], out[n + 2], out[n + 3]];
    for (let k = 0; k < columns; k++) {
      const factor = x[k];
      a = fma(factor, weight[at + k], a);
      b = fma(factor, weight[at + columns + k], b);
      c = fma(factor, weight[at + 2 * columns + k], c);
      d = fma(factor, weight[at + 3 * columns + k], d);
    }
    out[n] = a;
    out[n + 1] = b;
    out[n + 2] = c;
    out[n + 3] = d;
  }
  for (; n < out.length; n++, at += columns) {
    let sum = out[n];
    for (let k = 0; k < columns; k++) sum = fma(x[k], weight[at + k], sum);
    out[n] = sum;
  }
}

// out += x . weight, for a matrix of x.length rows and out.length columns, row by row.
export function addTransposed(weight, x, out) {
  const columns = out.length;
  for (let n = 0; n < x.length; n++) {
    const factor = x[n];
    for (let k = 0, at = n * columns; k < columns; k++, at++) out[k] = fma(factor, weight[at], out[k]);
  }
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
