// Sums in the order in which NumPy adds: so that what is close to a limit falls on the same side of it.

const BLOCK = 128; // numbers from which on a sum is made of those of two halves

// The sum of x[start], ..., x[end - 1]; NumPy's add.reduce along one row.
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
