/* Dynamic evaluation: one stream reads a text in segments, and the weights learn from each segment after it was
   predicted. In float32; kernel.c includes this file after those of training and kernel_adapt_products.h.

   A batch of one row has no products of matrices to gain from, so what counts is how often the weights are read from
   the caches. There is one copy of them, row-major: a forward pass adds up along the rows, a backward pass down the
   columns, and the update takes each gradient from the registers. Rows of units are padded with zeros to a multiple of
   SUMS, and stay zeros.

   Threads share each step by units: one computes all gates of its units, their gradients, and the new weights of their
   rows, which no other thread reads. Sums do not depend on the division:
   - along a row: see kernel_adapt_products.h;
   - down a column of a layer: the units are GROUPS groups; the terms of each are added one after the other, gate by
     gate, then the sums of the groups;
   - down a column of the decoder, and over the characters of a segment: term by term.

   Source: Krause et al. 2018, "Dynamic Evaluation of Neural Sequence Models", arXiv:1709.07432. */

#include <sched.h>

#define PADDED(n) ROUND_UP(n, SUMS)
enum { GROUPS = 4, PART_WEIGHTS = 4096, SPINS = 2000 };

struct segment {
  int64_t start, T; /* its characters */
};
struct progress {
  int64_t value; /* twice the steps that are done, plus 1 while a thread has the next */
  char line[56]; /* nothing else in its cache line */
};
struct adapt_run {
  const struct adapting *a;
  struct progress progress[GROUPS];
};

INLINE float *at_float32(float *array, int64_t offset) { return array ? array + offset : 0; }

/* -- the columns of a segment's characters ------------------------------------------------------------------------ */

/* The units first..last of some parts: whole groups. */
struct share {
  int64_t first_group, last_group, first, last;
};
static struct share share_of(const struct adapting *a, int64_t part, int64_t parts) {
  const int64_t blocks = PADDED(a->H) / SUMS;
  struct share s = {PART(GROUPS, part, parts), PART(GROUPS, part + 1, parts), 0, 0};
  s.first = PART(blocks, s.first_group, GROUPS) * SUMS, s.last = PART(blocks, s.last_group, GROUPS) * SUMS;
  return s;
}

/* For each character of a segment the first step that reads it, for each step the next that reads the same; T: none. */
static void find_steps(const struct adapting *a, const struct segment *s) {
  const int64_t *characters = a->characters + s->start;
  for (int64_t t = 0; t < s->T; t++) a->first_steps[characters[t]] = s->T;
  for (int64_t t = s->T - 1; t >= 0; t--) {
    int64_t *first = &a->first_steps[characters[t]];
    a->next_steps[t] = *first, *first = t;
  }
}

/* Let the column of a character in layer 1 make up for the segments that lack it, before segment `number`. */
static void catch_up(const struct adapting *a, int64_t v, int64_t number, int64_t part, const struct share *of) {
  const int64_t S = PADDED(a->H), missed = number - a->learned[part * a->V + v];
  for (int64_t g = 0; g < a->num_gates && missed; g++)
    learn_zeros(a, a->offsets[0] + (v * a->num_gates + g) * S, missed, of->first, of->last);
  a->learned[part * a->V + v] = number;
}

/* The weights of the input of layer 1. A segment has few of the characters, and the gradients of the others are zeros:
   these learn before a segment that has them, or at the end. */
static void learn_characters(const struct adapting *a, const struct segment *s, int64_t part, const struct share *of) {
  const int64_t S = PADDED(a->H), W = a->num_gates * S, end = s->start + s->T, number = s->start / a->length;
  for (int64_t t = 0; t < s->T; t++) {
    const int64_t v = a->characters[s->start + t];
    if (a->first_steps[v] != t) continue;
    for (int64_t g = 0; g < a->num_gates; g++)
      learn_sums(a, a->offsets[0] + v * W, a->gates, W, a->next_steps, t, s->T, g * S + of->first, g * S + of->last);
    a->learned[part * a->V + v] = number + 1;
  }
  for (int64_t at = end; at < end + a->length && at < a->steps; at++)
    catch_up(a, a->characters[at], number + 1, part, of);
  for (int64_t v = 0; v < a->V && end == a->steps; v++) catch_up(a, v, number + 1, part, of);
}

/* -- a step of some units: units first..last, multiples of SUMS ---------------------------------------------------- */

/* A layer in a segment; rows of what belongs to characters. */
struct adapt_layer {
  int64_t H, stride, gates_width, T; /* stride: H, padded */
  const int64_t *characters;
  const int64_t *offset; /* of the weights of the input, its biases, the weights of the state, its biases */
  float *gates, *h, *c, *extra;
};

static struct adapt_layer layer_of(const struct adapting *a, const struct segment *s, int64_t layer) {
  const int64_t stride = PADDED(a->H), width = a->num_gates * stride, length = a->length;
  struct adapt_layer l = {a->H, stride, width, s->T, a->characters + s->start, a->offsets + 4 * layer, 0, 0, 0, 0};
  l.gates = a->gates + layer * length * width, l.h = a->h + layer * (length + 1) * stride;
  l.c = at_float32(a->c, layer * (length + 1) * stride), l.extra = at_float32(a->extra, layer * length * stride);
  return l;
}

/* The states before step t. */
INLINE const float *before(const struct adapting *a, const struct adapt_layer *l, const float *states, int64_t t) {
  return l->characters[t] == a->end_id ? a->zeros : states + t * l->stride;
}

/* One past the last row of a gate to compute: `last`, but at most H rounded up to DOT_ROWS. */
INLINE int64_t last_row(const struct adapt_layer *l, int64_t last) {
  return last < ROUND_UP(l->H, DOT_ROWS) ? last : ROUND_UP(l->H, DOT_ROWS);
}

/* Begin the gates of all steps, or of step t: biases, and the input's share. */
static void begin_gates(const struct adapting *a, const struct adapt_layer *l, int64_t layer, int64_t t, int64_t first,
                        int64_t last) {
  const float *weight = a->parameters + l->offset[0];
  const float *i2h = a->parameters + l->offset[1], *h2h = a->parameters + l->offset[3];
  for (int64_t g = 0; g < a->num_gates; g++) {
    int64_t gate = g * l->stride;
    for (int64_t step = layer ? 0 : t; step < (layer ? l->T : t + 1); step++) {
      float *gates = l->gates + step * l->gates_width;
      const float *of_character = layer ? a->zeros : weight + l->characters[step] * l->gates_width;
      for (int64_t j = gate + first; j < gate + last; j += ADAPT_LANES) {
        vector_float both = load_float(i2h + j, ADAPT_LANES) + load_float(h2h + j, ADAPT_LANES);
        store_float(gates + j, layer ? both : both + load_float(of_character + j, ADAPT_LANES), ADAPT_LANES);
      }
    }
    if (layer)
      add_rows(weight, l->stride, l->T, l->h - a->length * l->stride, l->gates, l->gates_width, gate + first,
               gate + last_row(l, last));
  }
}

/* A step forward; of a gru, its first half (gates z and r) or its second. */
static void step_forward(const struct adapting *a, const struct adapt_layer *l, int64_t layer, int64_t t, int half,
                         int64_t first, int64_t last) {
  const int64_t S = l->stride;
  const float *weight = a->parameters + l->offset[2], *h = before(a, l, l->h, t);
  float *gates = l->gates + t * l->gates_width, *next_h = l->h + (t + 1) * S, *extra = at_float32(l->extra, t * S);
  if (!half && (!layer || !t)) begin_gates(a, l, layer, t, first, last);
  for (int64_t g = half ? 2 : 0; g < (a->cell == GRU && !half ? 2 : a->num_gates); g++)
    add_rows(weight, S, 1, half ? extra : h, gates, 0, g * S + first, g * S + last_row(l, last));
  for (int64_t j = first; j < last; j += ADAPT_LANES)
    if (a->cell == LSTM)
      lstm_unit_float(S, ADAPT_LANES, gates + j, before(a, l, l->c, t) + j, l->c + (t + 1) * S + j, next_h + j,
                      extra + j);
    else if (a->cell == RNN)
      rnn_unit_float(ADAPT_LANES, gates + j, next_h + j);
    else if (half)
      gru_unit_float(S, ADAPT_LANES, gates + j, h + j, next_h + j);
    else
      gru_reset_float(S, ADAPT_LANES, gates + j, h + j, extra + j);
}

/* The sums (T, S) of each group of a share, down the columns of `gates` gates of a weight. */
static void group_sums(const struct adapting *a, const struct share *of, const float *weight, int64_t gates, int64_t T,
                       const float *d, float *sums) {
  const int64_t S = PADDED(a->H), blocks = S / SUMS;
  for (int64_t group = of->first_group; group < of->last_group; group++) {
    int64_t first = PART(blocks, group, GROUPS) * SUMS, last = PART(blocks, group + 1, GROUPS) * SUMS;
    last = last < a->H ? last : a->H;
    down_columns(weight, S, gates, S, first, last, T, d, a->num_gates * S, 0, sums + group * a->length * S);
  }
}

/* Columns first..last of out (T, S) += the sums of all groups. */
static void add_groups(const struct adapting *a, const float *sums, int64_t T, float *out, const struct share *of) {
  const int64_t S = PADDED(a->H), size = a->length * S;
  for (int64_t t = 0; t < T; t++)
    for (int64_t j = t * S + of->first; j < t * S + of->last; j += ADAPT_LANES) {
      vector_float sum = load_float(sums + j, ADAPT_LANES);
      UNROLL
      for (int group = 1; group < GROUPS; group++) sum += load_float(sums + group * size + j, ADAPT_LANES);
      store_float(out + j, load_float(out + j, ADAPT_LANES) + sum, ADAPT_LANES);
    }
}

/* A step back; of a gru, its first half (the candidate) or its second. It adds the sums of the step before it, and
   leaves those for the next. */
static void step_back_of(const struct adapting *a, const struct adapt_layer *l, int64_t layer, int64_t t, int half,
                         int64_t number, const struct share *of) {
  const int64_t S = l->stride, W = l->gates_width, first = of->first, last = of->last;
  const float *weight = a->parameters + l->offset[2], *h = before(a, l, l->h, t);
  const float *sums = a->group_sums + (number + 1) % 2 * GROUPS * a->length * S;
  float *next_sums = a->group_sums + number % 2 * GROUPS * a->length * S;
  float *gates = l->gates + t * W, *dh = a->dh + t * S, *extra = at_float32(l->extra, t * S);
  int64_t ends = t == l->T - 1 || l->characters[t + 1] == a->end_id;
  if (half || ends) __builtin_memset(a->d_state + first, 0, (last - first) * sizeof(float));
  if (half)
    add_groups(a, sums, 1, a->d_state, of);
  else if (t == l->T - 1 && layer < a->layers - 1) { /* the gradient of the input of the layer above */
    for (int64_t step = 0; step < l->T; step++)
      __builtin_memset(a->dh + step * S + first, 0, (last - first) * sizeof(float));
    add_groups(a, sums, l->T, a->dh, of);
  } else if (!ends) {
    if (a->cell == GRU)
      for (int64_t j = first; j < last; j += ADAPT_LANES)
        store_float(dh + j, load_float(dh + j, ADAPT_LANES) + load_float(dh + S + j, ADAPT_LANES), ADAPT_LANES);
    add_groups(a, sums, 1, dh, of);
  }
  for (int64_t j = first; j < last; j += ADAPT_LANES)
    if (a->cell == LSTM)
      lstm_unit_back_float(S, ADAPT_LANES, gates + j, before(a, l, l->c, t) + j, extra + j, dh + j, a->d_state + j);
    else if (a->cell == RNN)
      rnn_unit_back_float(ADAPT_LANES, l->h + (t + 1) * S + j, dh + j, gates + j);
    else if (half)
      gru_reset_back_float(S, ADAPT_LANES, gates + j, h + j, a->d_state + j, dh + j);
    else
      gru_candidate_back_float(S, ADAPT_LANES, gates + j, h + j, dh + j);
  if (a->cell == GRU && !half)
    group_sums(a, of, weight + 2 * S * S, 1, 1, gates + 2 * S, next_sums);
  else if (t)
    group_sums(a, of, weight, a->cell == GRU ? 2 : a->num_gates, 1, gates, next_sums);
  else if (layer)
    group_sums(a, of, a->parameters + l->offset[0], a->num_gates, l->T, l->gates, next_sums);
}

/* The decoder, forward and back, for steps first..last of a segment; what it returns goes to log_probs and dh. */
static void decode_and_back(const struct adapting *a, const struct segment *s, int64_t first, int64_t last) {
  const int64_t S = PADDED(a->H), V = a->V, N = PADDED(V);
  const int64_t *y = a->targets + s->start;
  const int64_t *offset = a->offsets + 4 * a->layers;
  const float *weight = a->parameters + offset[0], *bias = a->parameters + offset[1];
  const float *h = a->h + ((a->layers - 1) * (a->length + 1) + 1) * S;
  for (int64_t t = first; t < last; t++) __builtin_memcpy(a->logits + t * N, bias, N * sizeof(float));
  add_rows(weight, S, last - first, h + first * S, a->logits + first * N, N, 0, ROUND_UP(V, DOT_ROWS));
  for (int64_t t = first; t < last; t++) {
    float *row = a->logits + t * N, *d = a->d_logits + t * N;
    log_softmax_float(row, V, d);
    a->log_probs[s->start + t] = y[t] == IGNORED ? 0 : row[y[t]];
    loss_gradient_float(&(struct loss_float){1, V, s->T, y + t, row, d, 1, 0}, 0, 1);
  }
  __builtin_memset(a->dh + first * S, 0, (last - first) * S * sizeof(float));
  down_columns(weight, S, 1, 0, 0, V, last - first, a->d_logits + first * N, N, 1, a->dh + first * S);
}

/* Learn the weights of the units of a part, and of its rows of the decoder. */
static void learn_units(const struct adapting *a, const struct segment *s, int64_t part, int64_t parts) {
  const struct share of = share_of(a, part, parts);
  const int64_t S = PADDED(a->H), N = PADDED(a->V), *offset = a->offsets + 4 * a->layers;
  const int64_t v0 = PART(N / SUMS, part, parts) * SUMS, v1 = PART(N / SUMS, part + 1, parts) * SUMS;
  const float *below = 0;
  learn_characters(a, s, part, &of);
  for (int64_t layer = 0; layer < a->layers; layer++) {
    struct adapt_layer l = layer_of(a, s, layer);
    const int64_t W = l.gates_width;
    for (int64_t g = 0; g < a->num_gates; g++) {
      int64_t from = g * S + of.first, to = g * S + of.last, row = g * S + last_row(&l, of.last);
      const float *state = a->cell == GRU && g == 2 ? l.extra : l.h;
      learn_rows(a, l.offset[2], S, l.gates, W, state, l.characters, a->end_id, l.T, from, row);
      if (layer) learn_rows(a, l.offset[0], S, l.gates, W, below, l.characters, -1, l.T, from, row);
      for (int bias = 1; bias <= 3; bias += 2) learn_sums(a, l.offset[bias], l.gates, W, 0, 0, l.T, from, to);
    }
    below = l.h + S;
  }
  int64_t rows = ROUND_UP(a->V, 4);
  learn_rows(a, offset[0], S, a->d_logits, N, below, a->characters, -1, s->T, v0, v1 < rows ? v1 : rows);
  learn_sums(a, offset[1], a->d_logits, N, 0, 0, s->T, v0, v1);
}

/* The states after a segment become those before the next. */
static void carry_states(const struct adapting *a, int64_t T, int64_t first, int64_t last) {
  const int64_t S = PADDED(a->H);
  for (int64_t layer = 0; layer < a->layers; layer++)
    for (int array = 0; array < (a->c ? 2 : 1); array++) {
      float *states = (array ? a->c : a->h) + layer * (a->length + 1) * S;
      __builtin_memcpy(states + first, states + T * S + first, (last - first) * sizeof(float));
    }
}

/* -- the steps of a text, one after the other, each in parts ------------------------------------------------------- */

INLINE int64_t halves_of(const struct adapting *a) { return a->cell == GRU ? 2 : 1; }
/* Forward, decoder, back, weights, states. */
INLINE int64_t steps_of(const struct adapting *a, int64_t T) { return 2 * a->layers * T * halves_of(a) + 3; }

static void do_step(const struct adapting *a, int64_t step, int64_t part, int64_t parts) {
  const int64_t whole = steps_of(a, a->length), halves = halves_of(a);
  const struct share share = share_of(a, part, parts);
  struct segment s = {step / whole * a->length, a->length};
  step %= whole;
  if (a->steps - s.start < s.T) s.T = a->steps - s.start;
  int64_t of_layer = s.T * halves, forward = a->layers * of_layer;
  if (step < forward || (step > forward && step <= 2 * forward)) {
    int64_t back = step > forward, k = back ? 2 * forward - step : step, layer = k / of_layer, half = k % halves;
    struct adapt_layer l = layer_of(a, &s, layer);
    if (back) step_back_of(a, &l, layer, k % of_layer / halves, halves == 2 && !half, k, &share);
    else step_forward(a, &l, layer, k % of_layer / halves, (int)half, share.first, share.last);
  } else if (step == forward) {
    if (!part) find_steps(a, &s);
    decode_and_back(a, &s, PART(s.T, part, parts), PART(s.T, part + 1, parts));
  } else if (step == 2 * forward + 1)
    learn_units(a, &s, part, parts);
  else
    carry_states(a, s.T, share.first, share.last);
}

/* Take a part of the first step that is not done: `own` if nobody has, else another. Waits while all its parts are
   taken. Returns -1 after the last step. */
static int64_t take_part(struct adapt_run *run, int64_t own, int64_t parts, int64_t steps, int64_t *step) {
  for (int64_t spins = 1;; spins++) {
    int64_t least = INT64_MAX, chosen = -1, value = 0;
    for (int64_t k = 0; k < parts; k++) {
      int64_t now = __atomic_load_n(&run->progress[k].value, __ATOMIC_ACQUIRE);
      least = now / 2 < least ? now / 2 : least;
    }
    if (least >= steps) return -1;
    for (int64_t k = 0; k < parts && chosen < 0; k++) {
      int64_t of = (own + k) % parts, *progress = &run->progress[of].value;
      value = 2 * least;
      if (__atomic_load_n(progress, __ATOMIC_RELAXED) == value &&
          __atomic_compare_exchange_n(progress, &value, value + 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        chosen = of;
    }
    if (chosen >= 0) {
      *step = least;
      return chosen;
    }
    if (spins % SPINS) relax();
    else sched_yield();
  }
}

static void adapt_work(struct job *job, int worker) {
  struct adapt_run *run = (struct adapt_run *)job->on;
  int64_t part, step;
  while ((part = take_part(run, worker, job->tasks, job->parts, &step)) >= 0) {
    do_step(run->a, step, part, job->tasks);
    __atomic_store_n(&run->progress[part].value, 2 * (step + 1), __ATOMIC_RELEASE);
  }
}

static void read_and_learn(const struct adapting *a, int threads) {
  const int64_t S = PADDED(a->H), weights = a->num_gates * S * S;
  CHECK(a->length >= 1 && a->steps >= 0 && a->layers >= 1 && a->H >= 1 && a->V >= 1 && a->end_id < a->V);
  CHECK(threads >= 1);
  CHECK(a->offsets[4 * a->layers + 1] + PADDED(a->V) <= a->size && a->cell != DECODER);
  for (int64_t at = 0; at < a->steps; at++) {
    CHECK(a->characters[at] >= 0 && a->characters[at] < a->V);
    CHECK(a->targets[at] == IGNORED || (a->targets[at] >= 0 && a->targets[at] < a->V));
  }
  __builtin_memset(a->learned, 0, GROUPS * a->V * sizeof *a->learned);
  struct adapt_run of = {.a = a};
  int64_t parts = GROUPS, rest = a->steps % a->length;
  while (parts > 1 && (parts > threads || parts > S / SUMS || parts * PART_WEIGHTS > weights)) parts /= 2;
  struct job job = {.do_work = adapt_work, .on = &of, .tasks = parts, .max_workers = (int)parts};
  job.parts = a->steps / a->length * steps_of(a, a->length) + (rest ? steps_of(a, rest) : 0);
  run(&job);
}
