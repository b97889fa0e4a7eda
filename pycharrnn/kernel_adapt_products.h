/* The products of dynamic evaluation, of a row-major matrix with the vectors of a segment's steps: along its rows
   forward, down its columns back. In float32; kernel_adapt.h is built on them.

   A sum along a row is SUMS partial sums of every SUMS-th term, added up by halves; one down a column adds term by
   term. */

#define DOT_ROWS (BYTES == 64 ? 8 : 4) /* rows at a time, whose sums hide the latency of each other */
#define WIDE (BYTES == 64 ? 12 : 6)    /* blocks of SUMS columns at a time, likewise */

typedef float quad __attribute__((vector_size(16)));

#ifdef __clang__
#define SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, (int __attribute__((vector_size(16)))){i, j, k, l})
#endif

/* SUMS partial sums as four, by halves. */
INLINE quad four_sums(const vector_float *sums) {
#if BYTES == 64
  __m256 eight = _mm256_add_ps(_mm512_castps512_ps256((__m512)sums[0]), _mm512_extractf32x8_ps((__m512)sums[0], 1));
  return (quad)_mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
#elif BYTES == 32
  __m256 eight = (__m256)(sums[0] + sums[1]);
  return (quad)_mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
#else
  return (quad)((sums[0] + sums[2]) + (sums[1] + sums[3]));
#endif
}

/* out[r] += weight[r] . x of DOT_ROWS rows of `columns` elements. */
INLINE void add_dots(const float *weight, int64_t columns, const float *x, float *out) {
  vector_float sum[DOT_ROWS][PER_BLOCK];
  UNROLL
  for (int r = 0; r < DOT_ROWS; r++) {
    UNROLL
    for (int v = 0; v < PER_BLOCK; v++) sum[r][v] = (vector_float){0};
  }
  for (int64_t k = 0; k < columns; k += SUMS) {
    UNROLL
    for (int v = 0; v < PER_BLOCK; v++) {
      vector_float factor = load_float(x + k + v * ADAPT_LANES, ADAPT_LANES);
      UNROLL
      for (int r = 0; r < DOT_ROWS; r++)
        sum[r][v] = fma_float(load_float(weight + r * columns + k + v * ADAPT_LANES, ADAPT_LANES), factor, sum[r][v]);
    }
  }
  UNROLL
  for (int r = 0; r < DOT_ROWS; r += 4) {
    quad a = four_sums(sum[r]), b = four_sums(sum[r + 1]), c = four_sums(sum[r + 2]), d = four_sums(sum[r + 3]), to;
    quad ab = SHUFFLE(a, b, 0, 1, 4, 5) + SHUFFLE(a, b, 2, 3, 6, 7); /* a0 a1 b0 b1 */
    quad cd = SHUFFLE(c, d, 0, 1, 4, 5) + SHUFFLE(c, d, 2, 3, 6, 7);
    __builtin_memcpy(&to, out + r, sizeof to);
    to += SHUFFLE(ab, cd, 0, 2, 4, 6) + SHUFFLE(ab, cd, 1, 3, 5, 7);
    __builtin_memcpy(out + r, &to, sizeof to);
  }
}

/* Rows first..last of out (T, width) += weight (.., columns) . x (T, columns). */
static void add_rows(const float *weight, int64_t columns, int64_t T, const float *x, float *out, int64_t width,
                     int64_t first, int64_t last) {
  for (int64_t n = first; n < last; n += DOT_ROWS)
    for (int64_t t = 0; t < T; t++) add_dots(weight + n * columns, columns, x + t * columns, out + t * width + n);
}

/* `rows` rows of out = start + d @ weight, in `blocks` blocks of SUMS columns. The terms: units first..last of each
   gate, which has `height` rows of the weight. start is out, or zeros. */
INLINE void block_of_columns(const int rows, const int blocks, const float *weight, int64_t columns, int64_t gates,
                             int64_t height, int64_t first, int64_t last, const float *d, int64_t d_width, int adds,
                             float *out) {
  vector_float sum[3][WIDE * PER_BLOCK];
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int v = 0; v < blocks * PER_BLOCK; v++)
      sum[r][v] = adds ? load_float(out + r * columns + v * ADAPT_LANES, ADAPT_LANES) : (vector_float){0};
  }
  for (int64_t g = 0; g < gates; g++) {
    const float *row = weight + (g * height + first) * columns, *factors = d + g * height;
    for (int64_t u = first; u < last; u++, row += columns) {
      vector_float factor[3];
      UNROLL
      for (int r = 0; r < rows; r++) factor[r] = splat_float(factors[r * d_width + u]);
      UNROLL
      for (int v = 0; v < blocks * PER_BLOCK; v++) {
        vector_float w = load_float(row + v * ADAPT_LANES, ADAPT_LANES);
        UNROLL
        for (int r = 0; r < rows; r++) sum[r][v] = fma_float(factor[r], w, sum[r][v]);
      }
    }
  }
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int v = 0; v < blocks * PER_BLOCK; v++)
      store_float(out + r * columns + v * ADAPT_LANES, sum[r][v], ADAPT_LANES);
  }
}

#define BLOCKS(n)                                                                                    \
  case n:                                                                                            \
    block_of_columns(1, n, weight + k, columns, gates, height, first, last, of, d_width, adds, to); \
    break;

/* out (T, columns) = d (T, d_width) @ weight, or `adds` that to it; see block_of_columns. */
static void down_columns(const float *weight, int64_t columns, int64_t gates, int64_t height, int64_t first,
                         int64_t last, int64_t T, const float *d, int64_t d_width, int adds, float *out) {
  const int64_t few = WIDE / 3 * SUMS, all = columns / SUMS, turns = (all + WIDE - 1) / WIDE;
  int64_t t = 0;
  for (; t + 3 <= T; t += 3) {
    const float *of = d + t * d_width;
    int64_t k = 0;
    for (; k + few <= columns; k += few)
      block_of_columns(3, WIDE / 3, weight + k, columns, gates, height, first, last, of, d_width, adds,
                       out + t * columns + k);
    for (; k < columns; k += SUMS)
      block_of_columns(3, 1, weight + k, columns, gates, height, first, last, of, d_width, adds, out + t * columns + k);
  }
  for (; t < T; t++)
    for (int64_t turn = 0; turn < turns; turn++) {
      const float *of = d + t * d_width;
      int64_t k = PART(all, turn, turns) * SUMS;
      float *to = out + t * columns + k;
      switch (PART(all, turn + 1, turns) - PART(all, turn, turns)) {
        BLOCKS(1) BLOCKS(2) BLOCKS(3) BLOCKS(4) BLOCKS(5) BLOCKS(6)
#if BYTES == 64
        BLOCKS(7) BLOCKS(8) BLOCKS(9) BLOCKS(10) BLOCKS(11) BLOCKS(12)
#endif
      }
    }
}
#undef BLOCKS
