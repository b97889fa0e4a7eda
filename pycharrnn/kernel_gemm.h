/* Matrix products of one precision. All matrices are row-major. The right factor b is packed into panels, (K, NR)
   each; the left factor a is packed by blocks of up to MR rows, (K, rows) each, so that both are read in order. Packed
   factors consist of words (kernel_factors.h), which K counts; pack_a, pack_transposed and pack_b count numbers. The
   terms of a sum are added one after the other, so that a result depends neither on the vectors' width nor on the other
   rows.

   Source: Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication"; MR, NR, KC and MC are its
   names. */

/* Elements at.. of a panel; of one of float32, as REAL. */
INLINE VECTOR NAME(load_panel)(const void *panel, int64_t at, const int is_float32) {
#if IS_DOUBLE
  if (is_float32) {
    narrow_vec floats;
    __builtin_memcpy(&floats, (const float *)panel + at, BYTES / 2);
#if defined(__AVX512F__)
    return (VECTOR)_mm512_cvtps_pd((__m256)floats); /* GCC would convert two halves */
#else
    return __builtin_convertvector(floats, VECTOR);
#endif
  }
#endif
  (void)is_float32;
  return LOAD((const REAL *)panel + at, LANES);
}

/* `rows` rows of out, columns column.. of n_panels panels: start + packed_a @ panels. start: where each row's sums
   begin, or null for zeros. is_far: the panels are larger than near caches, and are fetched before they are read. */
INLINE void NAME(tile)(const int rows, const int n_panels, const int is_float32, const int is_far, int64_t K,
                       const REAL *packed_a, const void *panels, int64_t column, const REAL *const *start,
                       REAL *const *out) {
  VECTOR sum[MR][2 * MAX_PANELS];
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int v = 0; v < 2 * n_panels; v++)
      sum[r][v] = start ? LOAD(start[r] + column + v * LANES, LANES) : (VECTOR){0};
  }
  for (int64_t k = 0; k < K; k++) {
    VECTOR b[2 * MAX_PANELS]; /* row by row: else compilers keep all rows' numbers, more than there are registers */
    UNROLL
    for (int v = 0; v < 2 * n_panels; v++) {
      const int64_t at = column * K + (v / 2) * K * NR + k * NR + (v % 2) * LANES;
      b[v] = NAME(load_panel)(panels, at, is_float32);
      if (is_far && rows > 3 && v % 2 * BYTES % 64 == 0) __builtin_prefetch((const REAL *)panels + at + AHEAD);
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
      VECTOR a = NAME(splat_word)(packed_a[k * rows + r]);
      UNROLL
      for (int v = 0; v < 2 * n_panels; v++) sum[r][v] = NAME(add_products)(a, b[v], sum[r][v]);
    }
  }
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int v = 0; v < 2 * n_panels; v++) STORE(out[r] + column + v * LANES, sum[r][v], LANES);
  }
}

/* Few rows take several panels at a time, which would leave registers empty else. */
#define TILES(rows, n_panels)                                                                  \
  case rows:                                                                                   \
    for (; (n_panels) > 1 && column + (n_panels)*NR <= end; column += (n_panels)*NR)           \
      NAME(tile)(rows, n_panels, is_float32, is_far, K, packed_a, panels, column, start, out); \
    for (; column < end; column += NR)                                                         \
      NAME(tile)(rows, 1, is_float32, is_far, K, packed_a, panels, column, start, out);        \
    break;

/* Columns column..end of `rows` rows, whole panels. */
INLINE void NAME(tiles)(const int is_float32, const int is_far, int rows, int64_t K, const REAL *packed_a,
                        const void *panels, int64_t column, int64_t end, const REAL *const *start, REAL *const *out) {
  switch (rows) {
    TILES(1, MAX_PANELS) TILES(2, 2) TILES(3, 2) TILES(4, 1) TILES(5, 1) TILES(6, 1)
#if MR > 6
    TILES(7, 1) TILES(8, 1) TILES(9, 1) TILES(10, 1) TILES(11, 1) TILES(12, 1)
#endif
  }
}
#undef TILES

/* Blocks of nearly equal size: no tile of a row or two, which would leave registers empty. */
INLINE int64_t NAME(blocks)(int64_t rows) { return (rows + MR - 1) / MR; }
INLINE int64_t NAME(block_start)(int64_t rows, int64_t i) { return rows * i / NAME(blocks)(rows); }

/* Each panel, while it is in the first cache, is multiplied with all row blocks. Where the last panel has columns
   beyond N, tiles read and write copies of its rows, so that they need no code for parts of vectors. */
INLINE void NAME(gemm_of)(const int is_float32, const int is_far, int64_t M, int64_t K, int64_t N,
                          const REAL *packed_a, const void *panels, const REAL *const *start, REAL *const *out) {
  const int64_t blocks = NAME(blocks)(M), whole = N / NR * NR, width = blocks > 1 ? NR : whole;
  const size_t panel_at = whole * K * (is_float32 ? sizeof(float) : sizeof(REAL)), rest = (N - whole) * sizeof(REAL);
  for (int64_t column = 0; column < N; column += column < whole ? width : NR) {
    const int is_whole = column < whole;
    for (int64_t i = 0; i < blocks; i++) {
      int64_t first = NAME(block_start)(M, i), rows = NAME(block_start)(M, i + 1) - first;
      const REAL *const *from = start ? start + first : 0, *copied_from[MR];
      REAL *const *to = out + first, *copied_to[MR], copies[MR][NR];
      for (int64_t r = 0; r < rows && !is_whole; r++) {
        copied_from[r] = copied_to[r] = copies[r];
        __builtin_memset(copies[r], 0, sizeof copies[r]);
        if (start) __builtin_memcpy(copies[r], from[r] + whole, rest);
      }
      if (!is_whole) from = start ? copied_from : 0, to = copied_to;
      NAME(tiles)(is_float32, is_far, (int)rows, K, packed_a + first * K,
                  is_whole ? panels : (const char *)panels + panel_at, is_whole ? column : 0,
                  is_whole ? column + width : NR, from, to);
      for (int64_t r = 0; r < rows && !is_whole; r++) __builtin_memcpy(out[first + r] + whole, copies[r], rest);
    }
  }
}

#if IS_BFLOAT16 && !PAIRS /* words are floats, whose products are compiled already */
#define EITHER_GEMM(x) PASTE(x, _float)
#else
#define EITHER_GEMM NAME
/* Either case of gemm, in a function of its own: so compilers move none of its sums to before flush_subnormals. */
static __attribute__((noinline)) void NAME(far_gemm)(int64_t M, int64_t K, int64_t N, const REAL *packed_a,
                                                     const REAL *panels, const REAL *const *start, REAL *const *out) {
  NAME(gemm_of)(0, 1, M, K, N, packed_a, panels, start, out);
}
static __attribute__((noinline)) void NAME(near_gemm)(int64_t M, int64_t K, int64_t N, const REAL *packed_a,
                                                      const REAL *panels, const REAL *const *start, REAL *const *out) {
  NAME(gemm_of)(0, 0, M, K, N, packed_a, panels, start, out);
}
#endif

/* out (M, N) = start + a @ b: row r of the start at start[r], or zeros if it is null; row r of the result at out[r]. */
static void NAME(gemm)(int64_t M, int64_t K, int64_t N, const REAL *packed_a, const REAL *panels,
                       const REAL *const *start, REAL *const *out) {
  int is_far = K * N * (int64_t)sizeof(REAL) > NEAR_BYTES && BYTES > 16; /* else a line would be fetched twice */
  uint64_t before = NAME(flush_subnormals)();
  (is_far ? EITHER_GEMM(far_gemm) : EITHER_GEMM(near_gemm))(M, K, N, packed_a, panels, start, out);
  NAME(restore_subnormals)(before);
}
#undef EITHER_GEMM

/* Rows first.. of a matrix with rows of `stride` elements. */
INLINE void NAME(rows_of)(const REAL **rows, const REAL *matrix, int64_t stride, int64_t count) {
  for (int64_t r = 0; r < count; r++) rows[r] = matrix + r * stride;
}
INLINE void NAME(out_rows_of)(REAL **rows, REAL *matrix, int64_t stride, int64_t count) {
  for (int64_t r = 0; r < count; r++) rows[r] = matrix + r * stride;
}

/* The left factor, K numbers at each of M pointers, into words before.. of row blocks (K_all, rows). */
INLINE void NAME(pack_a)(REAL *packed_a, int64_t M, const REAL *const *a, int64_t K, int64_t before, int64_t K_all) {
  int64_t blocks = NAME(blocks)(M);
  for (int64_t i = 0; i < blocks; i++) {
    int64_t first = NAME(block_start)(M, i), rows = NAME(block_start)(M, i + 1) - first;
    REAL *to = packed_a + first * K_all + before * rows;
    for (int64_t r = 0; r < rows; r++) NAME(spread_words)(to + r, rows, a[first + r], K, LEFT_PAD);
  }
}

/* The left factor (M, K), M at most MC, given transposed: number k of all rows at from + k*stride. */
INLINE void NAME(pack_transposed)(REAL *packed_a, int64_t M, int64_t K, const REAL *from, int64_t stride) {
  int64_t blocks = NAME(blocks)(M), start[MC + 1]; /* of each block */
  REAL words[MC];
  for (int64_t i = 0; i <= blocks; i++) start[i] = NAME(block_start)(M, i);
  for (int64_t k = 0; k < K; k += TERMS, from += TERMS * stride) {
    NAME(join_rows)(words, from, k + PAIRS < K ? from + PAIRS * stride : 0, M, LEFT_PAD);
    for (int64_t i = 0; i < blocks; i++) {
      int64_t r = start[i], end = start[i + 1];
      REAL *to = packed_a + r * WORDS(K) + k / TERMS * (end - r);
      for (; r + 4 <= end; r += 4, to += 4) __builtin_memcpy(to, words + r, 4 * sizeof(REAL));
      for (; r < end; r++) *to++ = words[r];
    }
  }
}

/* Rows of the right factor as a row of a panel: `width` words, then zeros. */
INLINE void NAME(pack_rows)(REAL *to, const REAL *first, const REAL *second, int64_t width) {
  NAME(join_rows)(to, first, second, width, RIGHT_PAD);
  for (int64_t n = width; n < NR; n++) to[n] = 0;
}

/* The right factor b (K, N), a row at each pointer, as panels. */
static void NAME(pack_b)(REAL *panels, int64_t K, int64_t N, const REAL *const *b) {
  for (int64_t n0 = 0; n0 < N; n0 += NR) {
    int64_t width = N - n0 < NR ? N - n0 : NR;
    REAL *panel = panels + n0 * WORDS(K);
    for (int64_t k = 0; k < K; k += TERMS, panel += NR)
      NAME(pack_rows)(panel, b[k] + n0, k + PAIRS < K ? b[k + PAIRS] + n0 : 0, width);
  }
}
