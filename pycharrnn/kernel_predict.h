/* Prediction with trained weights, in double precision: reading characters, for log-probabilities of the next ones.
   kernel.c includes this file after the passes for double, whose exp, sigmoid and tanh it takes; kernel_draw.h draws.

   Any number of texts (streams) go side by side, each with states of its own, many of them at a time, so that a weight is
   fetched once for all of these; and layer by layer through some steps, so that one layer's weights stay in the cache. The terms of a sum are added one after the other, the bias first, then those of the
   input, then those of the state: a stream's numbers depend neither on the vectors' width, nor on the streams beside it,
   nor on how many steps are taken at once. Only without fused multiply-adds (x86-64's first instructions) they differ. */

#define TOGETHER 12
#define NEARBY 4194304        /* bytes of a layer's weights that the caches bring fast enough, step by step */
#define WIDE (BYTES / 8)      /* doubles in a vector */
#define COLUMNS (2 * WIDE)    /* of a panel of weights, (K, COLUMNS) */
#define STRIPS 4              /* panels side by side where few rows would leave registers empty */
typedef vector_double wide;
typedef float half __attribute__((vector_size(BYTES / 2))); /* as many floats */

INLINE double fused(double a, double b, double c) { /* a*b + c */
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

/* The weights, as kernel_network.py packs them: panels of doubles, or of floats if all of them are such (`narrow`), which
   halves what has to come from memory. G is blocks * H. A gru's recurrent panels are those of z and r, then the candidate's. */
struct network {
  int64_t cell, num_gates, layers, H, V, narrow;
  const double *by_character;                   /* (V, G): a character's share of the first layer's gates, with all biases */
  const double *bias;                           /* (layers-1, G): those of the layers above */
  const void *input_panels, *recurrent_panels;  /* of layers-1 and of all layers */
  int64_t input_size, recurrent_size;           /* elements of the panels of a layer */
  const double *decoder_bias;                   /* (V) */
  const void *decoder_panels;
};

/* What is read: T characters in each of B streams, of those that there are. */
struct reading {
  const struct network *network;
  int64_t T, B;
  const int64_t *streams;    /* (B): which of them */
  const int64_t *characters; /* (T, B) */
  const int64_t *following;  /* (T, B): what comes after each, or null */
  double *c, *h;             /* (streams that there are, layers, H), the states; c: null but for an lstm */
  double *log_probs;         /* (T, B, V); where those that follow are given, of these alone: (T, B) */
  double *activations;       /* (layers, T, B, H), or null: tanh(c) of an lstm, else h */
  double *space;             /* as many as charrnn_reading_room says */
};

/* What kernel_network.py must know before it lays out weights and reads T steps of B streams: the columns of a panel, how
   many streams take a step together, and how many elements `space` has. */
struct reading_room {
  int64_t columns, together, space;
};

/* -- products ------------------------------------------------------------------------------------------------------ */

INLINE wide weights(const void *panel, int64_t at, const int narrow) {
  if (!narrow) return load_double((const double *)panel + at, WIDE);
  half of_floats;
  __builtin_memcpy(&of_floats, (const float *)panel + at, BYTES / 2);
#if defined(__AVX512F__)
  return (wide)_mm512_cvtps_pd((__m256)of_floats); /* GCC makes it of two halves */
#else
  return __builtin_convertvector(of_floats, wide);
#endif
}

/* `rows` rows of out, columns column... of `strips` panels: start + packed @ panels. `full`: none lies beyond column N. */
INLINE void strips_of(const int rows, const int strips, const int narrow, const int full, int64_t K, int64_t N,
                      const double *packed, const void *panels, int64_t column, const double *const *start,
                      double *const *out) {
  wide sum[ROWS][2 * STRIPS];
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int v = 0; v < 2 * strips; v++) {
      int64_t at = column + v * WIDE, left = N - at < 0 ? 0 : N - at;
      sum[r][v] = load_double(start[r] + at, full || left >= WIDE ? WIDE : (int)left);
    }
  }
  for (int64_t k = 0; k < K; k++) {
    wide w[2 * STRIPS]; /* row by row: else compilers keep all rows' numbers, for which there are too few registers */
    UNROLL for (int v = 0; v < 2 * strips; v++)
      w[v] = weights(panels, column * K + (v / 2) * K * COLUMNS + k * COLUMNS + (v % 2) * WIDE, narrow);
    UNROLL for (int r = 0; r < rows; r++) {
      wide a = splat_double(packed[k * rows + r]);
      UNROLL for (int v = 0; v < 2 * strips; v++) sum[r][v] = fused_double(a, w[v], sum[r][v]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int v = 0; v < 2 * strips; v++) {
      int64_t at = column + v * WIDE, left = N - at < 0 ? 0 : N - at;
      store_double(out[r] + at, sum[r][v], full || left >= WIDE ? WIDE : (int)left);
    }
  }
}

#define ROWS_OF(rows, strips)                                                                                     \
  case rows:                                                                                                      \
    for (; column + strips * COLUMNS <= end; column += strips * COLUMNS)                                          \
      strips_of(rows, strips, narrow, 1, K, N, packed, panels, column, start, out);                               \
    for (; column + COLUMNS <= end; column += COLUMNS)                                                            \
      strips_of(rows, 1, narrow, 1, K, N, packed, panels, column, start, out);                                    \
    if (column < end) strips_of(rows, 1, narrow, 0, K, N, packed, panels, column, start, out);                    \
    break;

/* Columns column..end of `rows` rows; `column` is the first of a panel, and `end` the last of one, or N. */
INLINE void columns_of(const int narrow, int rows, int64_t K, int64_t N, const double *packed, const void *panels,
                       int64_t column, int64_t end, const double *const *start, double *const *out) {
  switch (rows) {
    ROWS_OF(1, STRIPS) ROWS_OF(2, 2) ROWS_OF(3, 2) ROWS_OF(4, 1) ROWS_OF(5, 1) ROWS_OF(6, 1)
#if ROWS > 6
    ROWS_OF(7, 1) ROWS_OF(8, 1) ROWS_OF(9, 1) ROWS_OF(10, 1) ROWS_OF(11, 1) ROWS_OF(12, 1)
#endif
  }
}

/* Each panel, while it is in the first cache, is multiplied with all row blocks. */
INLINE void product_of(const int narrow, int64_t rows, int64_t K, int64_t N, const double *packed, const void *panels,
                       const double *const *start, double *const *out) {
  int64_t blocks = blocks_double(rows), width = blocks > 1 ? COLUMNS : N;
  for (int64_t column = 0; column < N; column += width) {
    for (int64_t i = 0; i < blocks; i++) {
      int64_t first = block_start_double(rows, i), some = block_start_double(rows, i + 1) - first;
      columns_of(narrow, (int)some, K, N, packed + first * K, panels, column, N - column < width ? N : column + width,
                 start + first, out + first);
    }
  }
}

static void product_narrow(int64_t rows, int64_t K, int64_t N, const double *packed, const void *panels,
                           const double *const *start, double *const *out) {
  product_of(1, rows, K, N, packed, panels, start, out);
}

static void product_wide(int64_t rows, int64_t K, int64_t N, const double *packed, const void *panels,
                         const double *const *start, double *const *out) {
  product_of(0, rows, K, N, packed, panels, start, out);
}

/* out (rows, N) = start + left @ panels, for up to CHUNK rows, each where its pointer says. packed: room for (rows, K). */
static void product_of_rows(const struct network *n, int64_t rows, int64_t K, int64_t N, const double *const *left,
                            const void *panels, const double *const *start, double *const *out, double *packed) {
  for (int64_t i = 0; i < blocks_double(rows); i++) {
    int64_t first = block_start_double(rows, i), some = block_start_double(rows, i + 1) - first;
    double *to = packed + first * K;
    for (int64_t r = 0; r < some; r++)
      for (int64_t k = 0; k < K; k++) to[k * some + r] = left[first + r][k];
  }
  (n->narrow ? product_narrow : product_wide)(rows, K, N, packed, panels, start, out);
}

static const void *panels_at(const struct network *n, const void *panels, int64_t element) {
  return n->narrow ? (const void *)((const float *)panels + element) : (const void *)((const double *)panels + element);
}

/* -- cells: what recurrence.py says, for one stream ------------------------------------------------------------------ */

#define LANES WIDE
#define AT(p) load_double((p) + j, n)
#define PUT(p, v) store_double((p) + j, v, n)

/* One gate after the other: a long chain of operations makes a gate of some units, and those of more units than a loop over
   all gates lets the processor see go on side by side. */
INLINE void lstm_stream(int64_t H, double *gates, double *c, double *h, double *tanh_c) {
  EACH_UNIT(3 * H, PUT(gates, sigmoid_double(AT(gates))))
  EACH_UNIT(H, PUT(gates + 3 * H, tanh_double(AT(gates + 3 * H))))
  EACH_UNIT(H, {
    wide new_c = fused_double(AT(gates), AT(gates + 3 * H), AT(gates + H) * AT(c)), t = tanh_double(new_c);
    PUT(c, new_c), PUT(h, AT(gates + 2 * H) * t);
    if (tanh_c) PUT(tanh_c, t);
  })
}

INLINE void gru_stream_reset(int64_t H, const double *gates, const double *h, double *reset_h) {
  EACH_UNIT(H, PUT(reset_h, sigmoid_double(AT(gates + H)) * AT(h)))
}

INLINE void gru_stream(int64_t H, const double *gates, double *h) {
  EACH_UNIT(H, {
    wide z = sigmoid_double(AT(gates)), candidate = tanh_double(AT(gates + 2 * H)), before = AT(h);
    PUT(h, fused_double(z, candidate - before, before));
  })
}

INLINE void rnn_stream(int64_t H, const double *gates, double *h) { EACH_UNIT(H, PUT(h, tanh_double(AT(gates)))) }

/* -- the network ---------------------------------------------------------------------------------------------------- */

/* What is read at once: `steps` steps, from step t, of streams first..first+rows. At most CHUNK rows for all steps. */
struct piece {
  int64_t t, steps, first, rows;
};

/* Where a piece finds room; all of it within the reading's `space`. */
struct workplace {
  double *gates;   /* (steps, rows, G) */
  double *x;       /* (steps, rows, H): what a layer gives to the next one */
  double *reset_h; /* (rows, H) */
  double *packed;  /* (steps, rows, H) */
  double *scores;  /* (steps, rows, V), of the decoder, where only those of what follows are asked for */
  double *exps;    /* (V) */
};

/* Rows that are read at once: steps * streams. */
static int64_t rows_at_once(int64_t T, int64_t B) { return T * B < CHUNK ? T * B : CHUNK; }

static int64_t space_of(const struct network *n, int64_t T, int64_t B) {
  return rows_at_once(T, B) * ((n->num_gates + 3) * n->H + n->V) + n->V;
}

static struct workplace workplace_in(double *space, const struct network *n, int64_t T, int64_t B) {
  const int64_t H = n->H, rows = rows_at_once(T, B);
  double *x = space + rows * n->num_gates * H, *reset_h = x + rows * H, *packed = reset_h + rows * H, *scores = packed + rows * H;
  return (struct workplace){space, x, reset_h, packed, scores, scores + rows * n->V};
}

/* The input's share of a layer's gates, from the layer below: rows of H -> rows of G, for all steps. */
static void input_share(const struct network *n, int64_t layer, int64_t rows, const struct workplace *w) {
  const int64_t H = n->H, G = n->num_gates * H;
  const double *left[CHUNK], *start[CHUNK];
  double *out[CHUNK];
  for (int64_t r = 0; r < rows; r++)
    left[r] = w->x + r * H, start[r] = n->bias + (layer - 1) * G, out[r] = w->gates + r * G;
  const void *panels = panels_at(n, n->input_panels, (layer - 1) * n->input_size);
  product_of_rows(n, rows, H, G, left, panels, start, out, w->packed);
}

/* One layer over all steps of a piece. */
static void read_layer(const struct reading *p, int64_t layer, struct piece piece, const struct workplace *w) {
  const struct network *n = p->network;
  const int64_t H = n->H, G = n->num_gates * H, rows = piece.rows;
  const void *panels = panels_at(n, n->recurrent_panels, layer * n->recurrent_size);
  const void *candidate_panels = panels_at(n, panels, ROUND_UP(2 * H, COLUMNS) * H); /* of a gru */
  double *h[CHUNK], *c[CHUNK], *gates[CHUNK], *reset_h[CHUNK], *candidate[CHUNK];
  const double *start[CHUNK];
  if (layer) input_share(n, layer, piece.steps * rows, w);
  for (int64_t r = 0; r < rows; r++) {
    int64_t state = (p->streams[piece.first + r] * n->layers + layer) * H;
    h[r] = p->h + state, c[r] = p->c ? p->c + state : 0, reset_h[r] = w->reset_h + r * H;
  }
  for (int64_t t = 0; t < piece.steps; t++) {
    int64_t at = (piece.t + t) * p->B + piece.first; /* in (T, B) */
    for (int64_t r = 0; r < rows; r++) {
      gates[r] = w->gates + (t * rows + r) * G, candidate[r] = gates[r] + 2 * H;
      start[r] = layer ? gates[r] : n->by_character + p->characters[at + r] * G;
    }
    int64_t direct = n->cell == GRU ? 2 * H : G; /* columns that h reaches directly */
    product_of_rows(n, rows, H, direct, (const double *const *)h, panels, start, gates, w->packed);
    if (n->cell == GRU) {
      for (int64_t r = 0; r < rows; r++) gru_stream_reset(H, gates[r], h[r], reset_h[r]), start[r] += 2 * H;
      product_of_rows(n, rows, H, H, (const double *const *)reset_h, candidate_panels, start, candidate, w->packed);
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

/* -- log-softmax ---------------------------------------------------------------------------------------------------- */

/* log(x) for a normal x > 0: 2^k * m with m near 1, and log(m) = 2 artanh((m-1)/(m+1)) from its Taylor series, of which the
   first term left out is below a quarter of the last bit. A NaN stays one. */
INLINE double log_of(double x) {
  int64_t bits, k;
  __builtin_memcpy(&bits, &x, 8);
  k = (bits - 0x3fe6a09e667f3bcd) >> 52; /* m from sqrt(1/2) to sqrt(2) */
  bits -= (int64_t)((uint64_t)k << 52);
  double m, sum = 0;
  __builtin_memcpy(&m, &bits, 8);
  double s = (m - 1) / (m + 1), square = s * s;
  for (int term = 23; term > 1; term -= 2) sum = fused(sum, square, 1.0 / term);
  double low = fused((double)k, 1.90821492927058770002e-10, 2 * fused(sum * square, s, s));
  return x != x ? x : fused((double)k, 6.93147180369123816490e-01, low);
}

/* Eight sums, of every eighth element, so that vectors of any width add alike. */
INLINE double sum_of(const double *values, int64_t V) {
  double sums[8] = {0};
  int64_t v = 0;
  for (; v + 8 <= V; v += 8)
    for (int i = 0; i < 8; i++) sums[i] += values[v + i];
  for (int i = 0; v + i < V; i++) sums[i] += values[v + i];
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

/* exp(x): 0 below -708, where doubles lose digits, infinity above 708; a NaN stays one. */
INLINE wide exp_of(wide x) {
  wide scale, less_one = exp_parts_double(clamp_double(x, 708), &scale), y = fused_double(scale, less_one, scale);
  y = choose_double(x < splat_double(-708), splat_double(0), y);
  return choose_double(x > splat_double(708), splat_double(__builtin_inf()), y);
}

/* The largest of V numbers. A NaN among them may be passed over. */
INLINE double largest_of(const double *values, int64_t V) {
  double largest = values[0], of_each[WIDE];
  int64_t v = 0;
  if (V >= WIDE) {
    wide found = load_double(values, WIDE);
    for (v = WIDE; v + WIDE <= V; v += WIDE) found = larger_double(load_double(values + v, WIDE), found);
    store_double(of_each, found, WIDE);
    for (int i = 0; i < WIDE; i++) largest = of_each[i] > largest ? of_each[i] : largest;
  }
  for (; v < V; v++) largest = values[v] > largest ? values[v] : largest;
  return largest;
}

/* The logarithm of the sum of exp(scores). exps: room for V numbers. */
static double log_sum_exp(const double *scores, int64_t V, double *exps) {
  double largest = largest_of(scores, V);
  EACH_UNIT(V, PUT(exps, exp_of(AT(scores) - largest)))
  return largest + log_of(sum_of(exps, V));
}

/* Log-probabilities of the decoder's output, in place. exps: room for V numbers. */
static void log_softmax_of(double *scores, int64_t V, double *exps) {
  double log_sum = log_sum_exp(scores, V, exps);
  EACH_UNIT(V, PUT(scores, AT(scores) - log_sum))
}

/* -- what kernel_network.py calls ----------------------------------------------------------------------------------- */

/* What the decoder says of all steps of a piece. */
static void decode(const struct reading *p, struct piece piece, const struct workplace *w) {
  const struct network *n = p->network;
  const int64_t H = n->H, V = n->V;
  const double *left[CHUNK] = {0}, *start[CHUNK] = {0};
  double *out[CHUNK] = {0};
  int64_t rows = 0, at[CHUNK]; /* at: in (T, B) */
  for (int64_t t = piece.t; t < piece.t + piece.steps; t++)
    for (int64_t stream = piece.first; stream < piece.first + piece.rows; stream++, rows++) {
      at[rows] = t * p->B + stream, left[rows] = w->x + rows * H, start[rows] = n->decoder_bias;
      out[rows] = p->following ? w->scores + rows * V : p->log_probs + at[rows] * V;
    }
  product_of_rows(n, rows, H, V, left, n->decoder_panels, start, out, w->packed);
  for (int64_t r = 0; r < rows; r++) {
    if (p->following) p->log_probs[at[r]] = out[r][p->following[at[r]]] - log_sum_exp(out[r], V, w->exps);
    else log_softmax_of(out[r], V, w->exps);
  }
}

/* How many streams to take through a step at once. Few, so that their numbers stay in the cache; or many, where it is the
   weights that come from further away. */
static int64_t streams_at_once(const struct network *n) {
  return n->recurrent_size * (n->narrow ? 4 : 8) <= NEARBY ? TOGETHER : CHUNK;
}

static void read_characters(const struct reading *p) {
  const struct network *n = p->network;
  const struct workplace w = workplace_in(p->space, n, p->T, p->B);
  int64_t most = streams_at_once(n), groups = (p->B + most - 1) / most;
  for (int64_t i = 0; i < groups; i++) {
    struct piece piece = {.first = p->B * i / groups};
    piece.rows = p->B * (i + 1) / groups - piece.first;
    for (; piece.t < p->T; piece.t += piece.steps) {
      piece.steps = CHUNK / piece.rows < p->T - piece.t ? CHUNK / piece.rows : p->T - piece.t;
      for (int64_t layer = 0; layer < n->layers; layer++) read_layer(p, layer, piece, &w);
      decode(p, piece, &w);
    }
  }
}
