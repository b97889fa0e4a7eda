/* Drawing: what sampler.py and lua_random.multinomial say, character after character without a return to Python. */

/* How the B streams of a reading go on, by `steps` characters at most. */
struct drawing {
  const struct reading *reading; /* of one step; its characters are `pending`, its log_probs the last scores */
  int64_t steps, reads;          /* reads: whether the pending characters have not been read yet */
  int64_t *pending;              /* (B): the last character drawn in each stream, in the end */
  const double *temperatures;    /* (steps, B) */
  const double *random;          /* (steps, B): in [0, 1) */
  const int64_t *largest, *topk; /* (B): whether to take the largest; how many of the largest to keep, 0 for all */
  const double *topp;            /* (B): keep the fewest of the largest whose sum reaches this */
  const uint8_t *pauses;         /* (V): with which characters to stop, or null */
  int64_t *indices;              /* (steps, B) */
  double *chosen;                /* (steps, B): the probabilities of these */
  double *probabilities;         /* (steps, B, V), or null */
  const int64_t *candidates;     /* (B): how many of the likeliest characters to name, up to `most`; or null for none */
  int64_t most, *likeliest;      /* (steps, B, most) */
  double *likeliest_chances;     /* (steps, B, most) */
  const int64_t *units;          /* (B): layer*H + unit, or below 0 for none; or null */
  double *activations;           /* (steps, B): of these units, after each character that has been read */
  double *space;                 /* (2*V) */
  int64_t *heap;                 /* (V) */
  int64_t drawn, failed;         /* results: how many steps; whether a probability is no number in the next one */
};

/* probabilities = exp(scores / temperature), summing to 1. */
static void softmax_of(const double *scores, double temperature, double *probabilities, int64_t V) {
  EACH_UNIT(V, PUT(probabilities, exp_of(AT(scores) / temperature)))
  double sum = sum_of(probabilities, V);
  EACH_UNIT(V, PUT(probabilities, AT(probabilities) / sum))
}

/* Whether character a comes before b in the order of falling probabilities; of equal ones, the first in the vocabulary. */
INLINE int comes_before(const double *probabilities, int64_t a, int64_t b) {
  return probabilities[a] > probabilities[b] || (probabilities[a] == probabilities[b] && a < b);
}

/* Let the character at the top of heap[0..size) sink to where it belongs. */
static void sink(int64_t *heap, int64_t size, int64_t top, const double *probabilities) {
  for (int64_t below; (below = 2 * top + 1) < size; top = below) {
    if (below + 1 < size && comes_before(probabilities, heap[below + 1], heap[below])) below++;
    if (!comes_before(probabilities, heap[below], heap[top])) return;
    int64_t held = heap[top];
    heap[top] = heap[below], heap[below] = held;
  }
}

/* 0 in place of what topk and topp leave out, and the rest summing to 1 again. heap: room for V. */
static void keep_likeliest(double *probabilities, int64_t V, int64_t topk, double topp, int64_t *heap) {
  int64_t size = V;
  double sum = 0;
  for (int64_t v = 0; v < V; v++) heap[v] = v;
  for (int64_t top = V / 2; top--;) sink(heap, V, top, probabilities);
  while (size) { /* heap[size..V) are kept, the likeliest last */
    double next = probabilities[heap[0]];
    sum += next;
    if (size < V && ((topp < 1 && sum - next >= topp) || V - size == topk)) break;
    int64_t kept = heap[0];
    heap[0] = heap[--size], heap[size] = kept;
    sink(heap, size, 0, probabilities);
  }
  for (int64_t k = 0; k < size; k++) probabilities[heap[k]] = 0;
  sum = sum_of(probabilities, V);
  EACH_UNIT(V, PUT(probabilities, AT(probabilities) / sum))
}

/* What a random number draws: the first character up to which the probabilities, as floats, sum up to it. -1 if they have
   no positive sum, as where they are no numbers. */
static int64_t draw_from(const double *probabilities, int64_t V, double random, double *sums) {
  double sum = 0;
  for (int64_t v = 0; v < V; v++) sums[v] = sum += (float)probabilities[v];
  if (!(sum > 0)) return -1;
  int64_t index = 0;
  for (int64_t v = 0; v < V - 1; v++) index += sums[v] / sum < random;
  return index;
}

/* The first `count` characters in the order of falling probabilities; count is at most V. */
static void name_likeliest(const double *probabilities, int64_t V, int64_t count, int64_t *likeliest, double *chances) {
  for (int64_t v = 0, found = 0; v < V; v++) {
    if (found == count && (!count || probabilities[v] <= chances[count - 1])) continue;
    int64_t at = found < count ? found++ : count - 1;
    for (; at && probabilities[v] > chances[at - 1]; at--) {
      likeliest[at] = likeliest[at - 1], chances[at] = chances[at - 1];
    }
    likeliest[at] = v, chances[at] = probabilities[v];
  }
}

/* The first of the largest; -1 where a score is no number. */
static int64_t first_largest(const double *scores, int64_t V) {
  int64_t index = 0;
  for (int64_t v = 0; v < V; v++) {
    if (scores[v] != scores[v]) return -1;
    if (scores[v] > scores[index]) index = v;
  }
  return index;
}

/* Draw a character in stream r at step k. Whether that can be done. */
static int draw_one(const struct drawing *d, int64_t k, int64_t r) {
  const struct reading *reading = d->reading;
  const int64_t V = reading->network->V, at = k * reading->B + r;
  const double *scores = reading->log_probs + r * V;
  double *probabilities = d->probabilities ? d->probabilities + at * V : d->space, *sums = d->space + V;
  softmax_of(scores, d->temperatures[at], probabilities, V);
  if (d->topk[r] || d->topp[r] < 1) keep_likeliest(probabilities, V, d->topk[r], d->topp[r], d->heap);
  int64_t index = d->largest[r] ? first_largest(scores, V) : draw_from(probabilities, V, d->random[at], sums);
  if (index < 0) return 0;
  if (d->candidates) {
    name_likeliest(probabilities, V, d->candidates[r], d->likeliest + at * d->most, d->likeliest_chances + at * d->most);
  }
  d->pending[r] = d->indices[at] = index, d->chosen[at] = probabilities[index];
  return 1;
}

/* The activations of d->units after what has just been read. */
static void keep_activations(const struct drawing *d, double *kept) {
  const struct reading *reading = d->reading;
  const int64_t H = reading->network->H;
  for (int64_t r = 0; r < reading->B; r++) {
    int64_t unit = d->units[r];
    if (unit >= 0) kept[r] = reading->activations[(unit / H * reading->B + r) * H + unit % H];
  }
}

static void draw_characters(struct drawing *d) {
  const struct reading *reading = d->reading;
  int pause = d->failed = 0;
  for (d->drawn = 0; d->drawn < d->steps && !pause && !d->failed; d->drawn += !d->failed) {
    if (d->drawn || d->reads) read_characters(reading);
    if (d->drawn && d->units) keep_activations(d, d->activations + (d->drawn - 1) * reading->B);
    for (int64_t r = 0; r < reading->B && !d->failed; r++) {
      if (!draw_one(d, d->drawn, r)) d->failed = 1;
      else if (d->pauses) pause |= d->pauses[d->pending[r]];
    }
  }
}

#undef LANES
#undef AT
#undef PUT
