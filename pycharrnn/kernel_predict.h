/* Prediction with trained weights, in double precision: reading characters, for log-probabilities of the next ones.
   kernel.c includes this file after training in double precision, whose vectors, functions and products it uses.

   Any number of streams of characters go side by side, each with a state of its own: many at a time, so that a
   weight is loaded once for all of them, and layer by layer through some steps, so that one layer's weights stay in
   the cache. The terms of a sum are added one after the other, the bias first, then those of the input, then those
   of the state: a stream's numbers depend neither on the vectors' width, nor on the streams beside it, nor on how
   many steps are taken at once. Only without fused multiply-adds (x86-64's first instructions) they differ. */

#define ROWS_PER_STEP 12
#define L2_BYTES 4194304 /* of a layer's weights, which the caches bring fast enough, step by step */
#define PREDICT_LANES (BYTES / 8)
#define PREDICT_NR (2 * PREDICT_LANES) /* columns of a panel */
#define PARTIAL_SUMS 8                 /* of a softmax, where training has SUMS: sampled characters are recorded */

/* -- products ------------------------------------------------------------------------------------------------------ */

static void gemm_float32(int64_t rows, int64_t K, int64_t N, const double *packed_a, const void *panels,
                         const double *const *start, double *const *out) {
  gemm_of_double(1, 0, rows, K, N, packed_a, panels, start, out);
}

/* out (rows, N) = start + a @ panels, for up to MC rows, each at its pointer. packed_a: workspace of (rows, K). */
static void product_of_rows(const struct network *n, int64_t rows, int64_t K, int64_t N, const double *const *a,
                            const void *panels, const double *const *start, double *const *out, double *packed_a) {
  pack_a_double(packed_a, rows, a, K, 0, K);
  if (n->is_float32) gemm_float32(rows, K, N, packed_a, panels, start, out);
  else gemm_double(rows, K, N, packed_a, panels, start, out);
}

static const void *panels_at(const struct network *n, const void *panels, int64_t element) {
  return (const char *)panels + element * (int64_t)(n->is_float32 ? sizeof(float) : sizeof(double));
}

/* -- cells: recurrence.py for one step of one stream --------------------------------------------------------------- */

/* Loop over units per gate: exp is a long dependency chain, and independent units hide its latency. The rounding of c'
   differs from training's lstm_unit in which product is fused; both are recorded. */
INLINE void lstm_stream(int64_t H, double *gates, double *c, double *h, double *tanh_c) {
  EACH_VECTOR(PREDICT_LANES, 3 * H, j, n, store_double(gates + j, sigmoid_double(load_double(gates + j, n)), n))
  double *candidate = gates + 3 * H;
  EACH_VECTOR(PREDICT_LANES, H, j, n, store_double(candidate + j, tanh_double(load_double(candidate + j, n)), n))
  EACH_VECTOR(PREDICT_LANES, H, j, n, {
    vector_double kept = load_double(gates + H + j, n) * load_double(c + j, n);
    vector_double new_c = fma_double(load_double(gates + j, n), load_double(candidate + j, n), kept);
    vector_double t = tanh_double(new_c);
    store_double(c + j, new_c, n), store_double(h + j, load_double(gates + 2 * H + j, n) * t, n);
    if (tanh_c) store_double(tanh_c + j, t, n);
  })
}

INLINE void gru_stream_reset(int64_t H, const double *gates, const double *h, double *reset_h) {
  EACH_VECTOR(PREDICT_LANES, H, j, n, {
    store_double(reset_h + j, sigmoid_double(load_double(gates + H + j, n)) * load_double(h + j, n), n);
  })
}

INLINE void gru_stream(int64_t H, const double *gates, double *h) {
  EACH_VECTOR(PREDICT_LANES, H, j, n, {
    vector_double z = sigmoid_double(load_double(gates + j, n));
    vector_double candidate = tanh_double(load_double(gates + 2 * H + j, n));
    store_double(h + j, gru_next_double(z, candidate, load_double(h + j, n)), n);
  })
}

INLINE void rnn_stream(int64_t H, const double *gates, double *h) {
  EACH_VECTOR(PREDICT_LANES, H, j, n, rnn_unit_double(n, gates + j, h + j))
}

/* -- the network --------------------------------------------------------------------------------------------------- */

/* What is read at once: `steps` steps, from step t, of streams first..first+rows. At most MC rows for all steps. */
struct piece {
  int64_t t, steps, first, rows;
};

/* Parts of a reading's workspace. */
struct piece_buffers {
  double *gates;    /* (steps, rows, G) */
  double *x;        /* (steps, rows, H): a layer's output, the next one's input */
  double *reset_h;  /* (rows, H) */
  double *packed_a; /* (steps, rows, H) */
  double *logits;   /* (steps, rows, V), only for a reading with targets */
  double *exps;     /* (V) */
};

/* Rows that are read at once: steps * streams. */
static int64_t rows_at_once(int64_t T, int64_t B) { return T * B < MC ? T * B : MC; }

static int64_t reading_workspace(const struct network *n, int64_t T, int64_t B) {
  return rows_at_once(T, B) * ((n->num_gates + 3) * n->H + n->V) + n->V;
}

static struct piece_buffers buffers_in(double *workspace, const struct network *n, int64_t T, int64_t B) {
  const int64_t H = n->H, rows = rows_at_once(T, B);
  double *x = workspace + rows * n->num_gates * H, *reset_h = x + rows * H, *packed_a = reset_h + rows * H;
  double *logits = packed_a + rows * H;
  return (struct piece_buffers){workspace, x, reset_h, packed_a, logits, logits + rows * n->V};
}

/* The input's share of a layer's gates, from the layer below: rows of H -> rows of G, for all steps. */
static void input_share(const struct network *n, int64_t layer, int64_t rows, const struct piece_buffers *w) {
  const int64_t H = n->H, G = n->num_gates * H;
  const double *a[MC], *start[MC];
  double *out[MC];
  rows_of_double(a, w->x, H, rows), rows_of_double(start, n->bias + (layer - 1) * G, 0, rows);
  out_rows_of_double(out, w->gates, G, rows);
  const void *panels = panels_at(n, n->input_panels, (layer - 1) * n->input_size);
  product_of_rows(n, rows, H, G, a, panels, start, out, w->packed_a);
}

/* One layer over all steps of a piece. */
static void read_layer(const struct reading *p, int64_t layer, struct piece piece, const struct piece_buffers *w) {
  const struct network *n = p->network;
  const int64_t H = n->H, G = n->num_gates * H, rows = piece.rows;
  const void *panels = panels_at(n, n->recurrent_panels, layer * n->recurrent_size);
  const void *candidate_panels = panels_at(n, panels, ROUND_UP(2 * H, PREDICT_NR) * H); /* of a gru */
  double *h[MC], *c[MC], *gates[MC], *reset_h[MC], *candidate[MC];
  const double *start[MC];
  if (layer) input_share(n, layer, piece.steps * rows, w);
  for (int64_t r = 0; r < rows; r++) {
    int64_t state = (p->streams[piece.first + r] * n->layers + layer) * H;
    h[r] = p->h + state, c[r] = p->c ? p->c + state : 0, reset_h[r] = w->reset_h + r * H;
  }
  for (int64_t t = 0; t < piece.steps; t++) {
    int64_t at = (piece.t + t) * p->B + piece.first; /* in (T, B) */
    for (int64_t r = 0; r < rows; r++) {
      if (p->characters[at + r] == n->end_id) {
        __builtin_memset(h[r], 0, H * sizeof(double));
        if (c[r]) __builtin_memset(c[r], 0, H * sizeof(double));
      }
      gates[r] = w->gates + (t * rows + r) * G, candidate[r] = gates[r] + 2 * H;
      start[r] = layer ? gates[r] : n->by_character + p->characters[at + r] * G;
    }
    int64_t direct = n->cell == GRU ? 2 * H : G; /* columns that h reaches directly */
    product_of_rows(n, rows, H, direct, (const double *const *)h, panels, start, gates, w->packed_a);
    if (n->cell == GRU) {
      for (int64_t r = 0; r < rows; r++) gru_stream_reset(H, gates[r], h[r], reset_h[r]), start[r] += 2 * H;
      product_of_rows(n, rows, H, H, (const double *const *)reset_h, candidate_panels, start, candidate, w->packed_a);
    }
    for (int64_t r = 0; r < rows; r++) {
      double *kept = p->activations ? p->activations + (layer * p->T * p->B + at + r) * H : 0;
      if (n->cell == LSTM) lstm_stream(H, gates[r], c[r], h[r], kept);
      else if (n->cell == GRU) gru_stream(H, gates[r], h[r]);
      else rnn_stream(H, gates[r], h[r]);
      if (kept && n->cell != LSTM) __builtin_memcpy(kept, h[r], H * sizeof(double));
      __builtin_memcpy(w->x + (t * rows + r) * H, h[r], H * sizeof(double));
    }
  }
}

/* -- log-softmax --------------------------------------------------------------------------------------------------- */

/* The logarithm of the sum of exp(logits). exps: workspace of V numbers. ln(2) has two parts here, and one in
   training's log, whose rounding is recorded as well. */
static double log_sum_exp(const double *logits, int64_t V, double *exps) {
  double k, top = max_of_double(logits, V), sum = sum_exp_double(logits, V, top, exps, PARTIAL_SUMS);
  double of_m = log_parts_double(sum, &k), low = FUSED1_DOUBLE(k, 1.90821492927058770002e-10, of_m);
  return top + (sum != sum ? sum : FUSED1_DOUBLE(k, 6.93147180369123816490e-01, low));
}

/* Log-probabilities of the decoder's logits, in place. exps: workspace of V numbers. */
static void log_softmax_of(double *logits, int64_t V, double *exps) {
  double log_sum = log_sum_exp(logits, V, exps);
  EACH_VECTOR(PREDICT_LANES, V, j, n, store_double(logits + j, load_double(logits + j, n) - log_sum, n))
}

/* The decoder for all steps of a piece. */
static void decode(const struct reading *p, struct piece piece, const struct piece_buffers *w) {
  const struct network *n = p->network;
  const int64_t H = n->H, V = n->V;
  const double *a[MC] = {0}, *start[MC] = {0};
  double *out[MC] = {0};
  int64_t rows = 0, at[MC]; /* at: in (T, B) */
  for (int64_t t = piece.t; t < piece.t + piece.steps; t++)
    for (int64_t stream = piece.first; stream < piece.first + piece.rows; stream++, rows++) {
      at[rows] = t * p->B + stream, a[rows] = w->x + rows * H, start[rows] = n->decoder_bias;
      out[rows] = p->targets ? w->logits + rows * V : p->log_probs + at[rows] * V;
    }
  product_of_rows(n, rows, H, V, a, n->decoder_panels, start, out, w->packed_a);
  for (int64_t r = 0; r < rows; r++) {
    if (p->targets) p->log_probs[at[r]] = out[r][p->targets[at[r]]] - log_sum_exp(out[r], V, w->exps);
    else log_softmax_of(out[r], V, w->exps);
  }
}

/* Streams that take a step at once: few, so that their numbers stay in the cache; or many, where the weights come from
   further away. */
static int64_t streams_at_once(const struct network *n) {
  return n->recurrent_size * (n->is_float32 ? 4 : 8) <= L2_BYTES ? ROWS_PER_STEP : MC;
}

static void check_reading(const struct reading *p) {
  const struct network *n = p->network;
  CHECK(p->T >= 1 && p->B >= 0 && n->layers >= 1 && n->H >= 1 && n->V >= 1 && n->end_id < n->V);
  CHECK(n->cell != LSTM || p->c);
  for (int64_t at = 0; at < p->T * p->B; at++) {
    CHECK(p->characters[at] >= 0 && p->characters[at] < n->V);
    CHECK(!p->targets || (p->targets[at] >= 0 && p->targets[at] < n->V));
  }
}

static void read_characters(const struct reading *p) {
  const struct network *n = p->network;
  check_reading(p);
  const struct piece_buffers w = buffers_in(p->workspace, n, p->T, p->B);
  int64_t most = streams_at_once(n), groups = (p->B + most - 1) / most;
  for (int64_t i = 0; i < groups; i++) {
    struct piece piece = {.first = p->B * i / groups};
    piece.rows = p->B * (i + 1) / groups - piece.first;
    for (; piece.t < p->T; piece.t += piece.steps) {
      piece.steps = MC / piece.rows < p->T - piece.t ? MC / piece.rows : p->T - piece.t;
      for (int64_t layer = 0; layer < n->layers; layer++) read_layer(p, layer, piece, &w);
      decode(p, piece, &w);
    }
  }
}
