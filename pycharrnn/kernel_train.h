/* The passes of one layer in one precision, for some rows of the batch: the time loops of recurrence.py with the
   products around them. kernel_passes.h divides a batch among threads; kernel_body.h has the macros. */

/* -- cells: recurrence.py for one vector of units of one row. Pointers are to the first of its n units. ------------ */

INLINE VECTOR NAME(not_square)(VECTOR x) { return FMA(-x, x, SPLAT(1)); } /* 1 - x*x, tanh' where x is tanh */

INLINE void NAME(lstm_unit)(int64_t H, int n, REAL *gates, const REAL *c, REAL *next_c, REAL *next_h, REAL *tanh_c) {
  VECTOR i = NAME(sigmoid)(LOAD(gates, n)), f = NAME(sigmoid)(LOAD(gates + H, n));
  VECTOR o = NAME(sigmoid)(LOAD(gates + 2 * H, n)), g = NAME(tanh)(LOAD(gates + 3 * H, n));
  VECTOR new_c = FMA(f, LOAD(c, n), i * g), t = NAME(tanh)(new_c);
  STORE(gates, i, n), STORE(gates + H, f, n), STORE(gates + 2 * H, o, n), STORE(gates + 3 * H, g, n);
  STORE(next_c, new_c, n), STORE(tanh_c, t, n), STORE(next_h, o * t, n);
}

/* The backward passes write the gradients of the pre-activations over the gates that they are computed from. */
INLINE void NAME(lstm_unit_back)(int64_t H, int n, REAL *gates, const REAL *c, const REAL *tanh_c, const REAL *dh,
                                 REAL *dc) {
  VECTOR i = LOAD(gates, n), f = LOAD(gates + H, n), o = LOAD(gates + 2 * H, n), g = LOAD(gates + 3 * H, n);
  VECTOR t = LOAD(tanh_c, n), d_h = LOAD(dh, n), d_c = FMA(d_h, o * NAME(not_square)(t), LOAD(dc, n));
  STORE(gates, g * ((1 - i) * i) * d_c, n);
  STORE(gates + H, LOAD(c, n) * ((1 - f) * f) * d_c, n);
  STORE(gates + 2 * H, t * ((1 - o) * o) * d_h, n);
  STORE(gates + 3 * H, i * NAME(not_square)(g) * d_c, n);
  STORE(dc, d_c * f, n);
}

INLINE void NAME(gru_reset)(int64_t H, int n, REAL *gates, const REAL *h, REAL *reset_h) {
  VECTOR z = NAME(sigmoid)(LOAD(gates, n)), r = NAME(sigmoid)(LOAD(gates + H, n));
  STORE(gates, z, n), STORE(gates + H, r, n), STORE(reset_h, r * LOAD(h, n), n);
}

INLINE VECTOR NAME(gru_next)(VECTOR z, VECTOR candidate, VECTOR h) { return FMA(z, candidate - h, h); }

INLINE void NAME(gru_unit)(int64_t H, int n, REAL *gates, const REAL *h, REAL *next_h) {
  VECTOR z = LOAD(gates, n), candidate = NAME(tanh)(LOAD(gates + 2 * H, n));
  STORE(gates + 2 * H, candidate, n), STORE(next_h, NAME(gru_next)(z, candidate, LOAD(h, n)), n);
}

INLINE void NAME(gru_candidate_back)(int64_t H, int n, REAL *gates, const REAL *h, REAL *dh) {
  VECTOR z = LOAD(gates, n), candidate = LOAD(gates + 2 * H, n), d_h = LOAD(dh, n);
  STORE(gates, (candidate - LOAD(h, n)) * ((1 - z) * z) * d_h, n);
  STORE(gates + 2 * H, z * NAME(not_square)(candidate) * d_h, n);
  STORE(dh, d_h * (1 - z), n); /* from here on: the gradient of the h before */
}

INLINE void NAME(gru_reset_back)(int64_t H, int n, REAL *gates, const REAL *h, const REAL *d_reset_h, REAL *dh) {
  VECTOR r = LOAD(gates + H, n), d = LOAD(d_reset_h, n);
  STORE(gates + H, LOAD(h, n) * ((1 - r) * r) * d, n);
  STORE(dh, FMA(d, r, LOAD(dh, n)), n);
}

INLINE void NAME(rnn_unit)(int n, const REAL *gates, REAL *next_h) { STORE(next_h, NAME(tanh)(LOAD(gates, n)), n); }

INLINE void NAME(rnn_unit_back)(int n, const REAL *h, const REAL *dh, REAL *d_gates) {
  STORE(d_gates, LOAD(dh, n) * NAME(not_square)(LOAD(h, n)), n);
}

/* A row of logits as log-probabilities. exps: workspace of V numbers. */
static void NAME(log_softmax)(REAL *row, int64_t V, REAL *exps) {
  REAL top = NAME(max_of)(row, V), log_of_sum = NAME(log)(NAME(sum_exp)(row, V, top, exps, SUMS));
  EACH_VECTOR(LANES, V, j, n, STORE(row + j, LOAD(row + j, n) - top - log_of_sum, n))
}

INLINE void NAME(multiply)(REAL *to, const REAL *a, const REAL *b, int64_t count) {
  EACH_VECTOR(LANES, count, j, n, STORE(to + j, LOAD(a + j, n) * LOAD(b + j, n), n))
}

INLINE void NAME(add)(REAL *to, const REAL *x, int64_t count) {
  EACH_VECTOR(LANES, count, j, n, STORE(to + j, LOAD(to + j, n) + LOAD(x + j, n), n))
}

/* -- the forward pass ---------------------------------------------------------------------------------------------- */

/* Where the sums of a row of (T*B) start: at its character's row of the table (layer 1), or at the bias. */
INLINE const REAL *NAME(start_of)(const LAYER *l, int64_t row) {
  return l->characters ? l->bias + l->characters[row] * l->num_gates * l->H : l->bias;
}

/* An element of an array that some cells lack. */
INLINE REAL *NAME(at)(REAL *array, int64_t offset) { return array ? array + offset : 0; }

/* Rows of an array (T*B, width) from `row` on; zeros for those where an item begins. */
INLINE void NAME(kept_rows_of)(const REAL **rows, const LAYER *l, const REAL *array, int64_t width, int64_t row,
                               int64_t count) {
  NAME(rows_of)(rows, array + row * width, width, count);
  if (l->begins)
    for (int64_t r = 0; r < count; r++)
      if (l->begins[row + r]) rows[r] = l->zeros;
}

/* Steps from..to of the forward pass, for some rows of the batch. */
static void NAME(forward)(const LAYER *l, int64_t first, int64_t rows, int64_t from, int64_t to) {
  const int64_t B = l->B, H = l->H, D = l->D, G = l->num_gates * H;
  const int64_t K = WORDS(D) + WORDS(RECURRENT(l));
  const REAL *panels = l->panels, *candidate_panels = panels + ROUND_UP(2 * H, NR) * K, *start[MC], *a[MC];
  const REAL *h[MC] = {0}, *c[MC] = {0}; /* what each row of a step reads */
  REAL *packed_a = l->packed_a + first * l->packed_a_width, *out[MC];
  for (int64_t t = from; t < to; t++) {
    int64_t row = t * B + first;
    REAL *gates = l->gates + row * G, *next_h = NAME(at)(l->h, (row + B) * H);
    REAL *next_c = NAME(at)(l->c, (row + B) * H), *extra = NAME(at)(l->extra, row * H);
    for (int64_t r = 0; r < rows; r++) start[r] = NAME(start_of)(l, row + r);
    if (D) {
      const REAL *x = l->x + row * D;
      if (l->mask) {
        NAME(multiply)(l->masked + row * D, x, l->mask + row * D, rows * D);
        x = l->masked + row * D;
      }
      NAME(rows_of)(a, x, D, rows);
      NAME(pack_a)(packed_a, rows, a, D, 0, K);
    }
    if (l->c) NAME(kept_rows_of)(c, l, l->c, H, row, rows);
    if (l->h) {
      NAME(kept_rows_of)(h, l, l->h, H, row, rows);
      NAME(pack_a)(packed_a, rows, h, H, WORDS(D), K);
    }
    NAME(out_rows_of)(out, gates, G, rows);
    if (l->cell == GRU) {
      NAME(gemm)(rows, K, 2 * H, packed_a, panels, start, out);
      for (int64_t r = 0; r < rows; r++)
        EACH_VECTOR(LANES, H, j, n, NAME(gru_reset)(H, n, gates + r * G + j, h[r] + j, extra + r * H + j))
      NAME(rows_of)(a, extra, H, rows);
      NAME(pack_a)(packed_a, rows, a, H, WORDS(D), K);
      for (int64_t r = 0; r < rows; r++) start[r] += 2 * H;
      NAME(out_rows_of)(out, gates + 2 * H, G, rows);
      NAME(gemm)(rows, K, H, packed_a, candidate_panels, start, out);
      for (int64_t r = 0; r < rows; r++)
        EACH_VECTOR(LANES, H, j, n, NAME(gru_unit)(H, n, gates + r * G + j, h[r] + j, next_h + r * H + j))
    } else {
      NAME(gemm)(rows, K, G, packed_a, panels, start, out);
      for (int64_t r = 0, at = 0; r < rows; r++, at += H)
        if (l->cell == LSTM)
          EACH_VECTOR(LANES, H, j, n, NAME(lstm_unit)(H, n, gates + r * G + j, c[r] + j, next_c + at + j,
                                                      next_h + at + j, extra + at + j))
        else if (l->cell == RNN)
          EACH_VECTOR(LANES, H, j, n, NAME(rnn_unit)(n, gates + at + j, next_h + at + j))
        else
          NAME(log_softmax)(gates + at, H, packed_a);
    }
  }
}

/* -- the backward pass --------------------------------------------------------------------------------------------- */

/* Set the rows (rows, H) of a gradient of the states before a step to zeros where an item begins. */
INLINE void NAME(discard)(const LAYER *l, REAL *gradient, int64_t row, int64_t rows) {
  if (l->begins)
    for (int64_t r = 0; r < rows; r++)
      if (l->begins[row + r]) __builtin_memset(gradient + r * l->H, 0, l->H * sizeof(REAL));
}

/* Compute the gradient of step t's pre-activations, in the gates' place, from dh (rows, H), the gradient of the h
   after the step; dh becomes a share of the gradient of the h before, which is written to `before`. Where an item
   begins, the gradients of the states before are zero. */
static void NAME(step_back)(const LAYER *l, int64_t first, int64_t rows, int64_t t, REAL *packed_a, REAL *before) {
  const int64_t B = l->B, H = l->H, G = l->num_gates * H, N = ROUND_UP(H, NR), row = t * B + first;
  const REAL *panels = l->back_panels, *start[MC], *a[MC], *h[MC], *c[MC];
  const REAL *candidate_panels = panels + 2 * H * N; /* gru: after those of z and r */
  const REAL *next_h = l->h + (row + B) * H, *extra = NAME(at)(l->extra, row * H);
  REAL *gates = l->gates + row * G, *dh = l->dh + row * H, *dc = NAME(at)(l->dc, first * H), *out[MC];
  int64_t direct = l->cell == GRU ? 2 * H : G; /* columns that h reaches directly */
  NAME(kept_rows_of)(h, l, l->h, H, row, rows);
  if (l->c) NAME(kept_rows_of)(c, l, l->c, H, row, rows);
  if (t == l->T - 1 && l->d_last) NAME(add)(dh, l->d_last + first * H, rows * H);
  for (int64_t r = 0, at = 0; r < rows; r++, at += H)
    if (l->cell == LSTM)
      EACH_VECTOR(LANES, H, j, n, NAME(lstm_unit_back)(H, n, gates + r * G + j, c[r] + j, extra + at + j, dh + at + j,
                                                       dc + at + j))
    else if (l->cell == GRU)
      EACH_VECTOR(LANES, H, j, n, NAME(gru_candidate_back)(H, n, gates + r * G + j, h[r] + j, dh + at + j))
    else
      EACH_VECTOR(LANES, H, j, n, NAME(rnn_unit_back)(n, next_h + at + j, dh + at + j, gates + at + j))
  if (l->cell == GRU) {
    REAL *d_reset_h = l->d_reset_h + first * H;
    NAME(rows_of)(a, gates + 2 * H, G, rows);
    NAME(pack_a)(packed_a, rows, a, H, 0, WORDS(H));
    NAME(out_rows_of)(out, d_reset_h, H, rows);
    NAME(gemm)(rows, WORDS(H), H, packed_a, candidate_panels, 0, out);
    for (int64_t r = 0, at = 0; r < rows; r++, at += H)
      EACH_VECTOR(LANES, H, j, n, NAME(gru_reset_back)(H, n, gates + r * G + j, h[r] + j, d_reset_h + at + j,
                                                       dh + at + j))
    NAME(discard)(l, dh, row, rows);
    if (t) NAME(add)(before, dh, rows * H);
    else __builtin_memcpy(before, dh, rows * H * sizeof(REAL));
  } else if (l->cell == LSTM)
    NAME(discard)(l, dc, row, rows);
  NAME(kept_rows_of)(a, l, l->gates, G, row, rows);
  NAME(pack_a)(packed_a, rows, a, direct, 0, WORDS(direct));
  NAME(rows_of)(start, before, H, rows);
  NAME(out_rows_of)(out, before, H, rows);
  NAME(gemm)(rows, WORDS(direct), H, packed_a, panels, t || l->cell == GRU ? start : 0, out);
}

/* Steps to-1, ..., from of the backward pass. dh (T,B,H) comes in as the gradient of h[1:] from above and goes out,
   where the layer has an input, as the gradient of that; first_dh (B,H) becomes the gradient of h[0], dc (B,H) that
   of c[0]. The decoder's gates are the gradient of its output already. */
static void NAME(backward)(const LAYER *l, int64_t first, int64_t rows, int64_t from, int64_t to) {
  const int64_t B = l->B, H = l->H, D = l->D, G = l->num_gates * H;
  const REAL *input_panels = l->back_panels + G * ROUND_UP(RECURRENT(l), NR), *a[MC];
  REAL *packed_a = l->packed_a + first * l->packed_a_width, *out[MC];
  for (int64_t t = to - 1; t >= from; t--) {
    int64_t row = t * B + first;
    REAL *before = t ? NAME(at)(l->dh, (row - B) * H) : NAME(at)(l->first_dh, first * H);
    if (l->cell != DECODER) NAME(step_back)(l, first, rows, t, packed_a, before);
    if (D) {
      REAL *dx = l->dh + row * D;
      if (l->cell == GRU || l->cell == DECODER || l->begins) { /* else step_back has packed them all */
        NAME(rows_of)(a, l->d_gates + row * G, G, rows);
        NAME(pack_a)(packed_a, rows, a, G, 0, WORDS(G));
      }
      NAME(out_rows_of)(out, dx, D, rows);
      NAME(gemm)(rows, WORDS(G), D, packed_a, input_panels, 0, out);
      if (l->mask) NAME(multiply)(dx, dx, l->mask + row * D, rows * D);
    }
  }
}

/* -- gradients of the weights -------------------------------------------------------------------------------------- */

/* The sums of d_gates over all rows, unit by unit: the gradients of the biases. Where inputs are characters, also of
   their weights: a one-hot input lets the rows of d_gates add up by character. */
static void NAME(bias_gradients)(const LAYER *l, int64_t g, int64_t first, int64_t last) {
  const int64_t H = l->H, G = l->num_gates * H, all = l->T * l->B, units = last - first;
  const REAL *d_gates = l->d_gates + g * H + first;
  REAL *bias = l->d_i2h_bias[g] + first, *h_bias = l->d_h2h_bias[g];
  __builtin_memset(bias, 0, units * sizeof(REAL));
  if (l->characters) {
    REAL *sums = l->sums + g * H + first, *weight = l->d_i2h_weight[g] + first * l->vocab;
    for (int64_t v = 0; v < l->vocab; v++) __builtin_memset(sums + v * G, 0, units * sizeof(REAL));
    for (int64_t row = 0; row < all; row++) NAME(add)(sums + l->characters[row] * G, d_gates + row * G, units);
    for (int64_t v = 0; v < l->vocab; v++) {
      for (int64_t u = 0; u < units; u++) weight[u * l->vocab + v] = sums[v * G + u];
      NAME(add)(bias, sums + v * G, units);
    }
  } else
    for (int64_t row = 0; row < all; row++) NAME(add)(bias, d_gates + row * G, units);
  if (h_bias) __builtin_memcpy(h_bias + first, bias, units * sizeof(REAL));
}

/* Gradients of units first..first+units of every gate: of biases, and of weights as d_gates^T @ their inputs. */
static void NAME(gradients)(const LAYER *l, int64_t first, int64_t units, REAL *workspace) {
  const int64_t H = l->H, R = RECURRENT(l), D = l->D, G = l->num_gates * H, all = l->T * l->B;
  const REAL *x = l->mask ? l->masked : l->x, *start[MC], *from_row[KC];
  REAL *b[3], *packed_a, *out[MC]; /* b: panels of x, of h, and for the gru of r*h, KC rows each */
  b[0] = workspace, b[1] = b[0] + KC * ROUND_UP(D, NR);
  b[2] = b[1] + KC * ROUND_UP(R, NR), packed_a = b[2] + KC * ROUND_UP(R, NR);
  for (int64_t row = 0; row < all; row += KC) {
    int64_t depth = all - row < KC ? all - row : KC;
    if (D) {
      NAME(rows_of)(from_row, x + row * D, D, depth);
      NAME(pack_b)(b[0], depth, D, from_row);
    }
    if (R) {
      NAME(kept_rows_of)(from_row, l, l->h, R, row, depth);
      NAME(pack_b)(b[1], depth, R, from_row);
    }
    if (l->cell == GRU) {
      NAME(rows_of)(from_row, l->extra + row * H, H, depth);
      NAME(pack_b)(b[2], depth, H, from_row);
    }
    for (int64_t g = 0; g < l->num_gates; g++) {
      for (int64_t u = first; u < first + units; u += MC) { /* the left factor is d_gates transposed */
        int64_t m = first + units - u < MC ? first + units - u : MC, K = WORDS(depth);
        NAME(pack_transposed)(packed_a, m, depth, l->d_gates + row * G + g * H + u, G);
        for (int part = D ? 0 : 1; part < (R ? 2 : 1); part++) {
          int64_t N = part ? R : D;
          REAL *to = (part ? l->d_h2h_weight[g] : l->d_i2h_weight[g]) + u * N;
          NAME(rows_of)(start, to, N, m);
          NAME(out_rows_of)(out, to, N, m);
          NAME(gemm)(m, K, N, packed_a, b[part && l->cell == GRU && g == 2 ? 2 : part], row ? start : 0, out);
        }
      }
    }
  }
  for (int64_t g = 0; g < l->num_gates; g++) NAME(bias_gradients)(l, g, first, first + units);
}

/* -- weights, packed for the passes: part `id` of `parts` ---------------------------------------------------------- */

/* Columns of the right factor of forward: column n0 + u takes the weights of unit u of gate g, for x (D) and h (R). */
static void NAME(pack_columns)(const LAYER *l, REAL *panels, int64_t gate, int64_t gates, int64_t id, int64_t parts) {
  const int64_t H = l->H, R = RECURRENT(l), D = l->D, K = WORDS(D) + WORDS(R), N = gates * H;
  for (int64_t n0 = id * NR; n0 < N; n0 += parts * NR) {
    REAL *panel = panels + n0 * K;
    for (int64_t n = 0; n < NR; n++) {
      int64_t g = gate + (n0 + n) / H, u = (n0 + n) % H, inside = n0 + n < N;
      if (inside && D) NAME(spread_words)(panel + n, NR, l->i2h_weight[g] + u * D, D, RIGHT_PAD);
      if (inside && R) NAME(spread_words)(panel + WORDS(D) * NR + n, NR, l->h2h_weight[g] + u * R, R, RIGHT_PAD);
      for (int64_t k = 0; !inside && k < K; k++) panel[k * NR + n] = 0;
    }
  }
}

/* The right factor (gates*H, N) of backward from one (H, N) matrix a gate. */
static void NAME(pack_gates)(REAL *panels, const REAL *const *weight, int64_t gates, int64_t H, int64_t N, int64_t id,
                             int64_t parts) {
  for (int64_t n0 = id * NR; n0 < N; n0 += parts * NR) {
    REAL *panel = panels + n0 * WORDS(gates * H);
    int64_t width = N - n0 < NR ? N - n0 : NR;
    for (int64_t k = 0; k < gates * H; k += TERMS, panel += NR) {
      int64_t next = k + PAIRS;
      const REAL *first = weight[k / H] + k % H * N + n0;
      const REAL *second = next < gates * H ? weight[next / H] + next % H * N + n0 : 0;
      NAME(pack_rows)(panel, first, second, width);
    }
  }
}

static void NAME(workspace_sizes)(const LAYER *l, struct workspace_sizes *sizes) {
  const int64_t H = l->H, R = RECURRENT(l), D = l->D, G = l->num_gates * H;
  const int64_t direct = (l->cell == GRU ? 2 : l->num_gates) * H;
  sizes->bias = D ? G : l->vocab * G;
  sizes->panels = (ROUND_UP(direct, NR) + ROUND_UP(G - direct, NR)) * (D + R);
  sizes->back_panels = G * (ROUND_UP(R, NR) + ROUND_UP(D, NR));
  sizes->packed_a_width = D + R > G ? D + R : G;
  sizes->workspace_width = KC * (ROUND_UP(D, NR) + 2 * ROUND_UP(R, NR) + MC);
}

static void NAME(prepare)(const LAYER *l, int64_t id, int64_t parts) {
  const int64_t H = l->H, R = RECURRENT(l), G = l->num_gates * H, N = ROUND_UP(R, NR);
  const int64_t direct = l->cell == GRU ? 2 : l->num_gates;
  REAL *candidate_panels = l->panels + ROUND_UP(2 * H, NR) * (WORDS(l->D) + WORDS(R));
  for (int64_t g = 0; g < l->num_gates; g++) {
    const REAL *i2h = l->i2h_bias[g], *h2h = l->h2h_bias[g], *weight = l->i2h_weight[g];
    for (int64_t v = id; v < (l->D ? 1 : l->vocab); v += parts)
      for (int64_t u = 0; u < H; u++) {
        REAL both = R ? i2h[u] + h2h[u] : i2h[u];
        l->bias[v * G + g * H + u] = l->D ? both : both + weight[u * l->vocab + v];
      }
  }
  NAME(pack_columns)(l, l->panels, 0, direct, id, parts);
  if (l->cell == GRU) NAME(pack_columns)(l, candidate_panels, 2, 1, id, parts);
  if (R) NAME(pack_gates)(l->back_panels, l->h2h_weight, direct, H, H, id, parts);
  if (l->cell == GRU) NAME(pack_gates)(l->back_panels + 2 * H * N, l->h2h_weight + 2, 1, H, H, id, parts);
  if (l->D) NAME(pack_gates)(l->back_panels + G * N, l->i2h_weight, l->num_gates, H, l->D, id, parts);
}
