// Sums in NumPy's order of additions, so that probabilities near a limit fall on the same side of it as in Python.

const BLOCK = 128; // longer sums are split into halves

// x[start] + ... + x[end - 1], as NumPy's add.reduce adds along a row.
// Source: pairwise_sum in numpy/_core/src/umath/loops_utils.h.src.
export function pairwiseSum(x, start = 0, end = x.length) {
  const n = end - start;
  if (n > BLOCK) {
    const half = n >> 1;
    const middle = start + half - (half % 8);
    return pairwiseSum(x, start, middle) + pairwiseSum(x, middle, end);
  }
  let sum = 0;
  let k = start;
  if (n >= 8) {
    let [a, b, c, d, e, f, g, h] = x.subarray(k, k + 8);
    for (k += 8; k + 8 <= end; k += 8) {
      a += x[k];
      b += x[k + 1];
      c += x[k + 2];
      d += x[k + 3];
      e += x[k + 4];
      f += x[k + 5];
      g += x[k + 6];
      h += x[k + 7];
    }
    sum = a + b + (c + d) + (e + f + (g + h));
  }
  for (; k < end; k++) sum += x[k];
  return sum;
}
