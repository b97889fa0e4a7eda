/* The passes of kernel.c for one precision and one instruction set. kernel.c includes this file once for each, with

     REAL, WHOLE     double and int64_t, or float and int32_t
     BYTES           of a vector register
     ROWS            rows of the largest register tile; ROWS x 2 vectors of sums, and some more, fit the registers
     NAME(x)         x with a suffix of its own
     IS_DOUBLE       1 or 0
     FUSED(a, b, c)  a*b + c of vectors, rounded once; FUSED1 the same of single numbers
     SMALLER(a, b)   of vectors, and LARGER
     SQRT(a)         of single numbers

   All matrices are row-major. A product's right factor is packed once a pass into panels of 2 vectors' width, (K, 2*LANES)
   each; its left factor is packed row block by row block as (K, rows), so that both are read in order.

   Every result is the same to the last bit whatever the width of the vectors, the number of threads and how the work is
   divided: each sum adds its terms in one order, each product that is added to something is FUSED, and all else is
   what IEEE 754 rounds in one way. Compilers must not fuse anything else: see setup.py. */

#define LANES ((int)(BYTES / sizeof(REAL)))
#define PANEL (2 * LANES)
typedef REAL NAME(vector) __attribute__((vector_size(BYTES)));
typedef WHOLE NAME(whole) __attribute__((vector_size(BYTES)));
#define VECTOR NAME(vector)

INLINE VECTOR NAME(load)(const REAL *p, int n) {
  VECTOR v = {0};
  if (n == LANES) __builtin_memcpy(&v, p, BYTES);
  else __builtin_memcpy(&v, p, n * sizeof(REAL));
  return v;
}

INLINE void NAME(store)(REAL *p, VECTOR v, int n) {
  if (n == LANES) __builtin_memcpy(p, &v, BYTES);
  else __builtin_memcpy(p, &v, n * sizeof(REAL));
}

INLINE VECTOR NAME(splat)(REAL x) { return x - (VECTOR){0}; }

INLINE VECTOR NAME(fused)(VECTOR a, VECTOR b, VECTOR c) { return (VECTOR)FUSED(a, b, c); } /* a*b + c */

INLINE VECTOR NAME(root)(VECTOR x) {
  for (int i = 0; i < LANES; i++) x[i] = SQRT(x[i]);
  return x;
}

/* -- exp, sigmoid and tanh ----------------------------------------------------------------------------------------- */

/* exp(x) = 2^k * exp(r), |r| <= ln(2)/2. Gives 2^k, and exp(r)-1 from its Taylor series: the first term left out is below
   a quarter of the last bit. x must be clamped to where 2^k is a normal number; a NaN stays one. */
INLINE VECTOR NAME(exp_parts)(VECTOR x, VECTOR *scale) {
#if IS_DOUBLE
  const REAL magic = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to a whole number, found in the low bits */
  const REAL ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
  const int bias = 1023, mantissa = 52;
#else
  const REAL magic = 12582912.0f; /* 1.5 * 2^23 */
  const REAL ln2_high = 6.93145751953125e-1f, ln2_low = 1.42860682030941723212e-6f;
  const int bias = 127, mantissa = 23;
#endif
  VECTOR shifted = NAME(fused)(x, NAME(splat)((REAL)1.44269504088896340736), NAME(splat)(magic));
  VECTOR k = shifted - magic;
  VECTOR r = NAME(fused)(k, NAME(splat)(-ln2_high), x);
  r = NAME(fused)(k, NAME(splat)(-ln2_low), r);
  *scale = (VECTOR)(((NAME(whole))shifted + bias) << mantissa);
#define TERM(x) p = NAME(fused)(p, r, NAME(splat)((REAL)(x)))
#if IS_DOUBLE
  VECTOR p = NAME(splat)(1.0 / 6227020800.0);
  TERM(1.0 / 479001600.0);
  TERM(1.0 / 39916800.0);
  TERM(1.0 / 3628800.0);
  TERM(1.0 / 362880.0);
  TERM(1.0 / 40320.0);
  TERM(1.0 / 5040.0);
#else
  VECTOR p = NAME(splat)(1.0f / 5040.0f);
#endif
  TERM(1.0 / 720.0);
  TERM(1.0 / 120.0);
  TERM(1.0 / 24.0);
  TERM(1.0 / 6.0);
  TERM(0.5);
  TERM(1);
#undef TERM
  return p * r;
}

/* `yes` where the mask is all ones, else `no`. */
INLINE VECTOR NAME(choose)(NAME(whole) mask, VECTOR yes, VECTOR no) {
  return (VECTOR)((mask & (NAME(whole))yes) | (~mask & (NAME(whole))no));
}

/* The smaller and the larger of two numbers; b where one of them is a NaN. */
INLINE VECTOR NAME(smaller)(VECTOR a, VECTOR b) { return (VECTOR)SMALLER(a, b); }
INLINE VECTOR NAME(larger)(VECTOR a, VECTOR b) { return (VECTOR)LARGER(a, b); }

INLINE VECTOR NAME(clamp)(VECTOR x, REAL limit) { /* a NaN stays one */
  return NAME(smaller)(NAME(splat)(limit), NAME(larger)(NAME(splat)(-limit), x));
}

INLINE VECTOR NAME(exp)(VECTOR x) {
  VECTOR scale, less_one = NAME(exp_parts)(NAME(clamp)(x, IS_DOUBLE ? 708 : 87), &scale);
  return NAME(fused)(scale, less_one, scale);
}

INLINE VECTOR NAME(sigmoid)(VECTOR x) { return 1 / (1 + NAME(exp)(-x)); }

INLINE VECTOR NAME(tanh)(VECTOR x) { /* (exp(2x)-1) / (exp(2x)+1), exact in relative terms near 0 too */
  VECTOR scale, less_one = NAME(exp_parts)(NAME(clamp)(2 * x, 60), &scale);
  VECTOR exp_less_one = NAME(fused)(scale, less_one, scale - 1);
  return exp_less_one / (exp_less_one + 2);
}

/* log(x) for x from 1 to the largest number: x = 2^k * m, m about 1; log(m) = 2*artanh((m-1)/(m+1)), whose series ends
   where its terms are below the last bit. */
INLINE REAL NAME(log)(REAL x) {
#if IS_DOUBLE
  const int bias = 1023, mantissa = 52, terms = 11;
#else
  const int bias = 127, mantissa = 23, terms = 5;
#endif
  WHOLE bits;
  __builtin_memcpy(&bits, &x, sizeof x);
  WHOLE k = (bits >> mantissa) - bias;
  bits -= k * ((WHOLE)1 << mantissa);
  REAL m;
  __builtin_memcpy(&m, &bits, sizeof m);
  if (m > (REAL)1.41421356237309504880) m *= (REAL)0.5, k++;
  REAL s = (m - 1) / (m + 1), square = s * s, series = 0;
  UNROLL for (int i = terms; i > 0; i--) series = FUSED1(series, square, (REAL)1 / (REAL)(2 * i + 1));
  series = FUSED1(series * square, s, s);
  return x == x ? FUSED1((REAL)k, (REAL)0.69314718055994530942, 2 * series) : x;
}

/* -- sums: element i is added to number i % SUMS, and these in pairs, so that the width of vectors changes nothing -- */

INLINE REAL NAME(add_up)(REAL *sums) {
  for (int width = SUMS / 2; width; width /= 2)
    for (int i = 0; i < width; i++) sums[i] += sums[i + width];
  return sums[0];
}

INLINE void NAME(add_squares)(REAL *sums, VECTOR x, int n) { /* of x[:n]; the others must be zeros */
  NAME(store)(sums, NAME(fused)(x, x, NAME(load)(sums, n)), n);
}

static REAL NAME(sum)(const REAL *x, int64_t n) {
  REAL sums[SUMS] = {0};
  int64_t i = 0;
  for (; i + SUMS <= n; i += SUMS)
    for (int k = 0; k < SUMS; k++) sums[k] += x[i + k];
  for (int k = 0; i < n; i++, k++) sums[k] += x[i];
  return NAME(add_up)(sums);
}

static REAL NAME(largest)(const REAL *x, int64_t n) {
  REAL found[SUMS];
  for (int k = 0; k < SUMS; k++) found[k] = x[0];
  int64_t i = 0;
  for (; i + SUMS <= n; i += SUMS)
    for (int k = 0; k < SUMS; k++) found[k] = x[i + k] > found[k] ? x[i + k] : found[k];
  for (int k = 0; i < n; i++, k++) found[k] = x[i] > found[k] ? x[i] : found[k];
  for (int k = 1; k < SUMS; k++) found[0] = found[k] > found[0] ? found[k] : found[0];
  return found[0];
}

/* -- products ------------------------------------------------------------------------------------------------------ */

/* c (rows, n0 + n1) = start + block @ panel, where row r of the start lies at start[r], or is zeros if start is null. */
INLINE void NAME(tile)(const int rows, int64_t K, const REAL *block, const REAL *panel, const REAL *const *start,
                       int64_t column, REAL *c, int64_t c_step, int n0, int n1) {
  VECTOR sum[ROWS][2];
  UNROLL for (int r = 0; r < rows; r++) {
    sum[r][0] = start ? NAME(load)(start[r] + column, n0) : (VECTOR){0};
    sum[r][1] = start && n1 ? NAME(load)(start[r] + column + LANES, n1) : (VECTOR){0};
  }
  for (int64_t k = 0; k < K; k++) {
    VECTOR b0 = NAME(load)(panel, LANES), b1 = NAME(load)(panel + LANES, LANES);
    panel += PANEL;
    UNROLL for (int r = 0; r < rows; r++) {
      VECTOR a = NAME(splat)(block[r]);
      sum[r][0] = NAME(fused)(a, b0, sum[r][0]);
      sum[r][1] = NAME(fused)(a, b1, sum[r][1]);
    }
    block += rows;
  }
  UNROLL for (int r = 0; r < rows; r++) {
    NAME(store)(c + r * c_step, sum[r][0], n0);
    if (n1) NAME(store)(c + r * c_step + LANES, sum[r][1], n1);
  }
}

#define TILE(rows)                                                                             \
  case rows:                                                                                   \
    if (n1 == LANES) NAME(tile)(rows, K, block, panel, start, column, c, c_step, LANES, LANES); \
    else NAME(tile)(rows, K, block, panel, start, column, c, c_step, n0, n1);                  \
    break;

static void NAME(any_tile)(int rows, int64_t K, const REAL *block, const REAL *panel, const REAL *const *start,
                           int64_t column, REAL *c, int64_t c_step, int n0, int n1) {
  switch (rows) {
    TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#if ROWS > 6
    TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#endif
  }
}

/* Row blocks of nearly one size: no tile of a row or two, which would waste the registers. */
INLINE int64_t NAME(blocks)(int64_t rows) { return (rows + ROWS - 1) / ROWS; }
INLINE int64_t NAME(block_start)(int64_t rows, int64_t i) { return rows * i / NAME(blocks)(rows); }

/* c (M, N) = start + a @ b. `a` is packed in row blocks, `b` in panels first_panel... of width PANEL. */
static void NAME(product)(int64_t M, int64_t K, int64_t N, const REAL *a, const REAL *b, const REAL *const *start,
                          REAL *c, int64_t c_step) {
  int64_t blocks = NAME(blocks)(M);
  for (int64_t n = 0; n < N; n += PANEL) {
    int n0 = N - n < LANES ? (int)(N - n) : LANES;
    int n1 = N - n - n0 < LANES ? (int)(N - n - n0) : LANES;
    for (int64_t i = 0; i < blocks; i++) {
      int64_t m = NAME(block_start)(M, i), rows = NAME(block_start)(M, i + 1) - m;
      NAME(any_tile)((int)rows, K, a + m * K, b + n * K, start ? start + m : 0, n, c + m * c_step + n, c_step, n0, n1);
    }
  }
}

/* The left factor `a` (M, K) as row blocks (K_all, rows), into their columns `before`... */
static void NAME(pack_left)(REAL *packed, int64_t M, const REAL *a, int64_t K, int64_t a_step, int64_t before,
                                int64_t K_all) {
  int64_t blocks = NAME(blocks)(M);
  for (int64_t i = 0; i < blocks; i++) {
    int64_t m = NAME(block_start)(M, i), rows = NAME(block_start)(M, i + 1) - m;
    REAL *to = packed + m * K_all + before * rows;
    const REAL *from = a + m * a_step;
    for (int64_t k = 0; k < K; k++)
      for (int64_t r = 0; r < rows; r++) to[k * rows + r] = from[r * a_step + k];
  }
}

/* A row of a panel: `width` elements, then zeros. */
INLINE void NAME(copy_row)(REAL *to, const REAL *from, int64_t width) {
  if (width == PANEL) __builtin_memcpy(to, from, PANEL * sizeof(REAL));
  else
    for (int64_t n = 0; n < PANEL; n++) to[n] = n < width ? from[n] : 0;
}

/* The right factor b (K, N), rows b_step apart, as panels (K, PANEL). */
static void NAME(pack_right)(REAL *panels, int64_t K, int64_t N, const REAL *b, int64_t b_step) {
  for (int64_t n0 = 0; n0 < N; n0 += PANEL) {
    int64_t width = N - n0 < PANEL ? N - n0 : PANEL;
    REAL *panel = panels + n0 * K;
    for (int64_t k = 0; k < K; k++, panel += PANEL) NAME(copy_row)(panel, b + k * b_step + n0, width);
  }
}

/* -- cells: what recurrence.py says, step by step, for some rows of the batch --------------------------------------- */

#define LOAD(p) NAME(load)((p) + j, n)
#define STORE(p, v) NAME(store)((p) + j, v, n)

/* A row of logits as log-probabilities. `space`: for as many numbers. */
static void NAME(log_softmax)(REAL *row, int64_t V, REAL *space) {
  REAL top = NAME(largest)(row, V);
  EACH_UNIT(V, STORE(space, NAME(exp)(LOAD(row) - top)))
  REAL log_of_sum = NAME(log)(NAME(sum)(space, V));
  EACH_UNIT(V, STORE(row, LOAD(row) - top - log_of_sum))
}

INLINE VECTOR NAME(not_square)(VECTOR x) { return NAME(fused)(-x, x, NAME(splat)(1)); } /* 1 - x*x, tanh' where x is tanh */

INLINE void NAME(lstm_unit)(int64_t H, int64_t j, int n, REAL *gates, const REAL *c, REAL *next_c, REAL *next_h,
                            REAL *tanh_c) {
  VECTOR i = NAME(sigmoid)(LOAD(gates)), f = NAME(sigmoid)(LOAD(gates + H)), o = NAME(sigmoid)(LOAD(gates + 2 * H));
  VECTOR g = NAME(tanh)(LOAD(gates + 3 * H));
  VECTOR new_c = NAME(fused)(f, LOAD(c), i * g), t = NAME(tanh)(new_c);
  STORE(gates, i), STORE(gates + H, f), STORE(gates + 2 * H, o), STORE(gates + 3 * H, g);
  STORE(next_c, new_c), STORE(tanh_c, t), STORE(next_h, o * t);
}

/* The backward passes write the gradients of the pre-activations over the gates that they are made of. */
INLINE void NAME(lstm_unit_back)(int64_t H, int64_t j, int n, REAL *gates, const REAL *c, const REAL *tanh_c,
                                 const REAL *dh, REAL *dc) {
  VECTOR i = LOAD(gates), f = LOAD(gates + H), o = LOAD(gates + 2 * H), g = LOAD(gates + 3 * H);
  VECTOR t = LOAD(tanh_c), d_h = LOAD(dh), d_c = NAME(fused)(d_h, o * NAME(not_square)(t), LOAD(dc));
  STORE(gates, g * ((1 - i) * i) * d_c);
  STORE(gates + H, LOAD(c) * ((1 - f) * f) * d_c);
  STORE(gates + 2 * H, t * ((1 - o) * o) * d_h);
  STORE(gates + 3 * H, i * NAME(not_square)(g) * d_c);
  STORE(dc, d_c * f);
}

INLINE void NAME(gru_reset)(int64_t H, int64_t j, int n, REAL *gates, const REAL *h, REAL *reset_h) {
  VECTOR z = NAME(sigmoid)(LOAD(gates)), r = NAME(sigmoid)(LOAD(gates + H));
  STORE(gates, z), STORE(gates + H, r), STORE(reset_h, r * LOAD(h));
}

INLINE void NAME(gru_unit)(int64_t H, int64_t j, int n, REAL *gates, const REAL *h, REAL *next_h) {
  VECTOR z = LOAD(gates), candidate = NAME(tanh)(LOAD(gates + 2 * H)), before = LOAD(h);
  STORE(gates + 2 * H, candidate), STORE(next_h, NAME(fused)(z, candidate - before, before));
}

INLINE void NAME(gru_candidate_back)(int64_t H, int64_t j, int n, REAL *gates, const REAL *h, REAL *dh) {
  VECTOR z = LOAD(gates), candidate = LOAD(gates + 2 * H), d_h = LOAD(dh);
  STORE(gates, (candidate - LOAD(h)) * ((1 - z) * z) * d_h);
  STORE(gates + 2 * H, z * NAME(not_square)(candidate) * d_h);
  STORE(dh, d_h * (1 - z)); /* from here on: the gradient of the h before */
}

INLINE void NAME(gru_reset_back)(int64_t H, int64_t j, int n, REAL *gates, const REAL *h, const REAL *d_reset_h,
                                 REAL *dh) {
  VECTOR r = LOAD(gates + H), d = LOAD(d_reset_h);
  STORE(gates + H, LOAD(h) * ((1 - r) * r) * d);
  STORE(dh, NAME(fused)(d, r, LOAD(dh)));
}

INLINE void NAME(rnn_unit)(int64_t j, int n, const REAL *gates, REAL *next_h) { STORE(next_h, NAME(tanh)(LOAD(gates))); }

INLINE void NAME(rnn_unit_back)(int64_t j, int n, const REAL *h, const REAL *dh, REAL *d_gates) {
  VECTOR y = LOAD(h);
  STORE(d_gates, LOAD(dh) * NAME(not_square)(y));
}

/* Where the sums of a row of (T*B) start: at its character's row of the table (layer 1), or at the bias. */
INLINE const REAL *NAME(start_of)(const struct layer *l, int64_t row) {
  const REAL *bias = l->bias;
  return l->characters ? bias + l->characters[row] * l->num_gates * l->H : bias;
}

/* An element of an array that some cells lack. */
INLINE REAL *NAME(at)(void *array, int64_t offset) { return array ? (REAL *)array + offset : 0; }

/* n products of two numbers each. */
INLINE void NAME(multiply)(REAL *to, const REAL *a, const REAL *b, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = a[i] * b[i];
}

/* Steps from..to of the forward pass, for some rows of the batch. */
static void NAME(forward)(const struct layer *l, int64_t first, int64_t rows, int64_t from, int64_t to) {
  const int64_t B = l->B, H = l->H, D = l->D, G = l->num_gates * H, K = D + RECURRENT(l);
  const REAL *panels = l->panels, *candidate_panels = panels + ROUND_UP(2 * H, PANEL) * K, *start[CHUNK];
  REAL *packed = (REAL *)l->packed_a + first * l->packed_a_width;
  for (int64_t t = from; t < to; t++) {
    int64_t row = t * B + first;
    REAL *gates = (REAL *)l->gates + row * G, *h = NAME(at)(l->h, row * H), *next_h = NAME(at)(l->h, (row + B) * H);
    REAL *c = NAME(at)(l->c, row * H), *next_c = NAME(at)(l->c, (row + B) * H), *extra = NAME(at)(l->extra, row * H);
    for (int64_t r = 0; r < rows; r++) start[r] = NAME(start_of)(l, row + r);
    if (D) {
      const REAL *x = (const REAL *)l->x + row * D;
      if (l->mask) {
        REAL *masked = (REAL *)l->masked + row * D;
        NAME(multiply)(masked, x, (const REAL *)l->mask + row * D, rows * D);
        x = masked;
      }
      NAME(pack_left)(packed, rows, x, D, D, 0, K);
    }
    if (h) NAME(pack_left)(packed, rows, h, H, H, D, K);
    if (l->cell == GRU) {
      NAME(product)(rows, K, 2 * H, packed, panels, start, gates, G);
      for (int64_t r = 0; r < rows; r++)
        EACH_UNIT(H, NAME(gru_reset)(H, j, n, gates + r * G, h + r * H, extra + r * H))
      NAME(pack_left)(packed, rows, extra, H, H, D, K);
      for (int64_t r = 0; r < rows; r++) start[r] += 2 * H;
      NAME(product)(rows, K, H, packed, candidate_panels, start, gates + 2 * H, G);
      for (int64_t r = 0; r < rows; r++)
        EACH_UNIT(H, NAME(gru_unit)(H, j, n, gates + r * G, h + r * H, next_h + r * H))
    } else {
      NAME(product)(rows, K, G, packed, panels, start, gates, G);
      for (int64_t r = 0, at = 0; r < rows; r++, at += H)
        if (l->cell == LSTM)
          EACH_UNIT(H, NAME(lstm_unit)(H, j, n, gates + r * G, c + at, next_c + at, next_h + at, extra + at))
        else if (l->cell == RNN)
          EACH_UNIT(H, NAME(rnn_unit)(j, n, gates + at, next_h + at))
        else
          NAME(log_softmax)(gates + at, H, packed);
    }
  }
}

/* The gradient that reaches the pre-activations of step t, in place of the gates, which it is made of; dh (rows, H) is
   that of the h after the step and becomes a share of that of the h before, which lies at `before`. */
static void NAME(step_back)(const struct layer *l, int64_t first, int64_t rows, int64_t t, REAL *packed, REAL *before) {
  const int64_t B = l->B, H = l->H, G = l->num_gates * H, N = ROUND_UP(H, PANEL), row = t * B + first;
  const REAL *panels = l->back_panels, *start[CHUNK];
  const REAL *candidate_panels = panels + 2 * H * N; /* gru: after those of z and r */
  const REAL *h = (const REAL *)l->h + row * H, *next_h = h + B * H;
  const REAL *c = NAME(at)(l->c, row * H), *extra = NAME(at)(l->extra, row * H);
  REAL *gates = (REAL *)l->gates + row * G, *dh = (REAL *)l->dh + row * H, *dc = NAME(at)(l->dc, first * H);
  int64_t used = l->cell == GRU ? 2 * H : G; /* columns that h reaches directly */
  if (t == l->T - 1 && l->d_last) {
    const REAL *d_last = (const REAL *)l->d_last + first * H;
    for (int64_t i = 0; i < rows * H; i++) dh[i] += d_last[i];
  }
  for (int64_t r = 0, at = 0; r < rows; r++, at += H)
    if (l->cell == LSTM)
      EACH_UNIT(H, NAME(lstm_unit_back)(H, j, n, gates + r * G, c + at, extra + at, dh + at, dc + at))
    else if (l->cell == GRU)
      EACH_UNIT(H, NAME(gru_candidate_back)(H, j, n, gates + r * G, h + at, dh + at))
    else
      EACH_UNIT(H, NAME(rnn_unit_back)(j, n, next_h + at, dh + at, gates + at))
  if (l->cell == GRU) {
    REAL *d_reset_h = (REAL *)l->d_reset_h + first * H;
    NAME(pack_left)(packed, rows, gates + 2 * H, H, G, 0, H);
    NAME(product)(rows, H, H, packed, candidate_panels, 0, d_reset_h, H);
    for (int64_t r = 0, at = 0; r < rows; r++, at += H)
      EACH_UNIT(H, NAME(gru_reset_back)(H, j, n, gates + r * G, h + at, d_reset_h + at, dh + at))
    for (int64_t i = 0; i < rows * H; i++) before[i] = t ? before[i] + dh[i] : dh[i];
  }
  NAME(pack_left)(packed, rows, gates, used, G, 0, used);
  for (int64_t r = 0; r < rows; r++) start[r] = before + r * H;
  NAME(product)(rows, used, H, packed, panels, t || l->cell == GRU ? start : 0, before, H);
}

/* Steps to-1, ..., from of the backward pass. dh (T,B,H) comes in as the gradient of h[1:] from above and goes out, where
   the layer has an input, as the gradient of that; first_dh (B,H) becomes the gradient of h[0], dc (B,H) that of c[0].
   The decoder's gates are the gradient of its output already. */
static void NAME(backward)(const struct layer *l, int64_t first, int64_t rows, int64_t from, int64_t to) {
  const int64_t B = l->B, H = l->H, D = l->D, G = l->num_gates * H;
  const REAL *input_panels = (REAL *)l->back_panels + G * ROUND_UP(RECURRENT(l), PANEL);
  REAL *packed = (REAL *)l->packed_a + first * l->packed_a_width;
  for (int64_t t = to - 1; t >= from; t--) {
    int64_t row = t * B + first;
    REAL *before = t ? NAME(at)(l->dh, (row - B) * H) : NAME(at)(l->first_dh, first * H);
    if (l->cell != DECODER) NAME(step_back)(l, first, rows, t, packed, before);
    if (D) {
      REAL *dx = (REAL *)l->dh + row * D;
      if (l->cell == GRU || l->cell == DECODER)
        NAME(pack_left)(packed, rows, (REAL *)l->d_gates + row * G, G, G, 0, G);
      NAME(product)(rows, G, D, packed, input_panels, 0, dx, D);
      if (l->mask) NAME(multiply)(dx, dx, (const REAL *)l->mask + row * D, rows * D);
    }
  }
}

/* The sums of gradients over all rows, unit by unit: those of the biases; and where inputs are characters, of their weights,
   since a one-hot input lets the rows of d_gates add up by character. */
static void NAME(bias_gradients)(const struct layer *l, int64_t g, int64_t first, int64_t last) {
  const int64_t G = l->num_gates * l->H, all = l->T * l->B;
  const REAL *d_gates = (const REAL *)l->d_gates + g * l->H;
  REAL *bias = (REAL *)l->d_i2h_bias[g], *h_bias = (REAL *)l->d_h2h_bias[g];
  for (int64_t u = first; u < last; u++) bias[u] = 0;
  if (l->characters) {
    REAL *sums = (REAL *)l->sums + g * l->H, *weight = l->d_i2h_weight[g];
    for (int64_t v = 0; v < l->vocab; v++)
      for (int64_t u = first; u < last; u++) sums[v * G + u] = 0;
    for (int64_t row = 0; row < all; row++) {
      REAL *sum = sums + l->characters[row] * G;
      const REAL *d = d_gates + row * G;
      for (int64_t u = first; u < last; u++) sum[u] += d[u];
    }
    for (int64_t v = 0; v < l->vocab; v++)
      for (int64_t u = first; u < last; u++) {
        weight[u * l->vocab + v] = sums[v * G + u];
        bias[u] += sums[v * G + u];
      }
  } else
    for (int64_t row = 0; row < all; row++)
      for (int64_t u = first; u < last; u++) bias[u] += d_gates[row * G + u];
  if (h_bias)
    for (int64_t u = first; u < last; u++) h_bias[u] = bias[u];
}

/* Gradients of units first..first+units of every gate: of biases, and of weights as d_gates^T @ what they multiplied. */
static void NAME(gradients)(const struct layer *l, int64_t first, int64_t units, REAL *space) {
  const int64_t H = l->H, R = RECURRENT(l), D = l->D, G = l->num_gates * H, all = l->T * l->B;
  const REAL *d_gates = l->d_gates, *x = l->mask ? l->masked : l->x, *start[CHUNK];
  REAL *right[3], *left; /* panels of x, of h, and for the gru of r*h, DEPTH rows each; row blocks of d_gates */
  right[0] = space, right[1] = right[0] + DEPTH * ROUND_UP(D, PANEL);
  right[2] = right[1] + DEPTH * ROUND_UP(R, PANEL), left = right[2] + DEPTH * ROUND_UP(R, PANEL);
  for (int64_t row = 0; row < all; row += DEPTH) {
    int64_t depth = all - row < DEPTH ? all - row : DEPTH;
    if (D) NAME(pack_right)(right[0], depth, D, x + row * D, D);
    if (R) NAME(pack_right)(right[1], depth, R, (const REAL *)l->h + row * R, R);
    if (l->cell == GRU) NAME(pack_right)(right[2], depth, H, (const REAL *)l->extra + row * H, H);
    for (int64_t g = 0; g < l->num_gates; g++) {
      for (int64_t u = first; u < first + units; u += CHUNK) { /* the left factor is d_gates transposed */
        int64_t m = first + units - u < CHUNK ? first + units - u : CHUNK, blocks = NAME(blocks)(m);
        for (int64_t i = 0; i < blocks; i++) {
          int64_t r0 = NAME(block_start)(m, i), rows = NAME(block_start)(m, i + 1) - r0;
          const REAL *from = d_gates + row * G + g * H + u + r0;
          for (int64_t k = 0; k < depth; k++)
            for (int64_t r = 0; r < rows; r++) left[r0 * depth + k * rows + r] = from[k * G + r];
        }
        for (int part = D ? 0 : 1; part < (R ? 2 : 1); part++) {
          int64_t N = part ? R : D;
          REAL *to = (REAL *)(part ? l->d_h2h_weight[g] : l->d_i2h_weight[g]) + u * N;
          for (int64_t r = 0; r < m; r++) start[r] = to + r * N;
          REAL *factor = right[part && l->cell == GRU && g == 2 ? 2 : part];
          NAME(product)(m, depth, N, left, factor, row ? start : 0, to, N);
        }
      }
    }
  }
  for (int64_t g = 0; g < l->num_gates; g++) NAME(bias_gradients)(l, g, first, first + units);
}

/* -- weights, laid out for the passes: part `id` of `parts` --------------------------------------------------------- */

/* Columns of the right factor of forward: column n0 + u takes the weights of unit u of gate g, for x (D) and h (R). */
static void NAME(pack_columns)(const struct layer *l, REAL *panels, int64_t gate, int64_t gates, int64_t id,
                               int64_t parts) {
  const int64_t H = l->H, R = RECURRENT(l), D = l->D, K = D + R, N = gates * H;
  for (int64_t n0 = id * PANEL; n0 < N; n0 += parts * PANEL) {
    REAL *panel = panels + n0 * K;
    for (int64_t n = 0; n < PANEL; n++) {
      int64_t g = gate + (n0 + n) / H, u = (n0 + n) % H, inside = n0 + n < N;
      const REAL *i2h = inside && D ? (const REAL *)l->i2h_weight[g] + u * D : 0;
      const REAL *h2h = inside && R ? (const REAL *)l->h2h_weight[g] + u * R : 0;
      for (int64_t k = 0; k < D; k++) panel[k * PANEL + n] = inside ? i2h[k] : 0;
      for (int64_t k = 0; k < R; k++) panel[(D + k) * PANEL + n] = inside ? h2h[k] : 0;
    }
  }
}

/* The right factor (gates*H, N) of backward from one (H, N) matrix a gate. */
static void NAME(pack_gates)(REAL *panels, void *const *weight, int64_t gates, int64_t H, int64_t N, int64_t id,
                             int64_t parts) {
  for (int64_t n0 = id * PANEL; n0 < N; n0 += parts * PANEL) {
    REAL *panel = panels + n0 * gates * H;
    int64_t width = N - n0 < PANEL ? N - n0 : PANEL;
    for (int64_t g = 0; g < gates; g++)
      for (int64_t u = 0; u < H; u++, panel += PANEL)
        NAME(copy_row)(panel, (const REAL *)weight[g] + u * N + n0, width);
  }
}

static void NAME(workspace_sizes)(const struct layer *l, struct workspace_sizes *sizes) {
  const int64_t H = l->H, R = RECURRENT(l), D = l->D, G = l->num_gates * H, direct = (l->cell == GRU ? 2 : l->num_gates) * H;
  sizes->bias = D ? G : l->vocab * G;
  sizes->panels = (ROUND_UP(direct, PANEL) + ROUND_UP(G - direct, PANEL)) * (D + R);
  sizes->back_panels = G * (ROUND_UP(R, PANEL) + ROUND_UP(D, PANEL));
  sizes->packed_a_width = D + R > G ? D + R : G;
  sizes->workspace_width = DEPTH * (ROUND_UP(D, PANEL) + 2 * ROUND_UP(R, PANEL) + CHUNK);
}

static void NAME(prepare)(const struct layer *l, int64_t id, int64_t parts) {
  const int64_t H = l->H, R = RECURRENT(l), G = l->num_gates * H, N = ROUND_UP(R, PANEL);
  const int64_t direct = l->cell == GRU ? 2 : l->num_gates;
  REAL *bias = l->bias, *panels = l->panels, *back = l->back_panels;
  for (int64_t g = 0; g < l->num_gates; g++) {
    const REAL *i2h = l->i2h_bias[g], *h2h = l->h2h_bias[g], *weight = l->i2h_weight[g];
    for (int64_t v = id; v < (l->D ? 1 : l->vocab); v += parts)
      for (int64_t u = 0; u < H; u++) {
        REAL both = R ? i2h[u] + h2h[u] : i2h[u];
        bias[v * G + g * H + u] = l->D ? both : both + weight[u * l->vocab + v];
      }
  }
  NAME(pack_columns)(l, panels, 0, direct, id, parts);
  if (l->cell == GRU) NAME(pack_columns)(l, panels + ROUND_UP(2 * H, PANEL) * (l->D + H), 2, 1, id, parts);
  if (R) NAME(pack_gates)(back, l->h2h_weight, direct, H, H, id, parts);
  if (l->cell == GRU) NAME(pack_gates)(back + 2 * H * N, l->h2h_weight + 2, 1, H, H, id, parts);
  if (l->D) NAME(pack_gates)(back + G * N, l->i2h_weight, l->num_gates, H, l->D, id, parts);
}

/* -- the loss's gradient; clip and RMSprop -------------------------------------------------------------------------- */

/* The gradient of the mean loss for the decoder's output: exp(log_probs), less 1 where the character that came next is. */
static void NAME(loss_gradient)(const struct loss *l, int64_t first, int64_t last) {
  for (int64_t row = first; row < last; row++) {
    const REAL *log_probs = (const REAL *)l->log_probs + row * l->V;
    REAL *d = (REAL *)l->d_logits + row * l->V;
    EACH_UNIT(l->V, STORE(d, NAME(exp)(LOAD(log_probs))))
    d[l->y[row]] -= 1;
    EACH_UNIT(l->V, STORE(d, LOAD(d) / (REAL)l->batch_size))
  }
}

/* The log-likelihood of all rows, added in double precision. */
static void NAME(likelihood)(struct loss *l) {
  double sum = 0;
  for (int64_t row = 0; row < l->rows; row++) sum += ((const REAL *)l->log_probs)[row * l->V + l->y[row]];
  l->likelihood = sum;
}

/* rmsprop.py in one pass over some elements, with the sums of squares for both norms. */
static void NAME(rmsprop)(const struct update *u, int64_t first, int64_t last, double *squares) {
  REAL *gradient = (REAL *)u->gradient + first, *mean_square = (REAL *)u->mean_square + first;
  REAL *parameters = (REAL *)u->parameters + first, of_gradient[SUMS] = {0}, of_parameters[SUMS] = {0};
  const VECTOR alpha = NAME(splat)((REAL)u->alpha), rate = NAME(splat)((REAL)-u->learning_rate);
  const REAL rest = (REAL)(1 - u->alpha), epsilon = (REAL)u->epsilon, clip = (REAL)u->clip;
  EACH_UNIT(last - first, {
    VECTOR g = NAME(clamp)(LOAD(gradient), clip), w = LOAD(parameters);
    VECTOR m = NAME(fused)(LOAD(mean_square), alpha, rest * g * g);
    w = NAME(fused)(rate, g / (NAME(root)(m) + epsilon), w);
    STORE(gradient, g), STORE(mean_square, m), STORE(parameters, w);
    NAME(add_squares)(of_gradient + j % SUMS, g, n);
    NAME(add_squares)(of_parameters + j % SUMS, w, n);
  })
  squares[0] = NAME(add_up)(of_gradient), squares[1] = NAME(add_up)(of_parameters);
}

#undef LANES
#undef PANEL
#undef VECTOR
#undef TILE
#undef LOAD
#undef STORE
