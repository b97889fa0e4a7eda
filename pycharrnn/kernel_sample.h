/* Sampling: sampler.py's step and lua_random.multinomial, character after character without a return to Python. */

/* exp(x): 0 below -708, where doubles lose digits, infinity above 708; NaN stays NaN. */
INLINE vector_double exp_full_range(vector_double x) {
  vector_double y = exp_double(x);
  y = choose_double(x < splat_double(-708), splat_double(0), y);
  return choose_double(x > splat_double(708), splat_double(__builtin_inf()), y);
}

static void divide(double *x, int64_t count, double by) {
  EACH_VECTOR(PREDICT_LANES, count, j, n, store_double(x + j, load_double(x + j, n) / by, n))
}

/* probs = exp((log_probs - shift) / temperature), summing to 1; NaN if all of them underflow. */
static void softmax_of(const double *log_probs, double shift, double temperature, double *probs, int64_t V) {
  EACH_VECTOR(PREDICT_LANES, V, j, n, {
    store_double(probs + j, exp_full_range((load_double(log_probs + j, n) - shift) / temperature), n);
  })
  divide(probs, V, sum_double(probs, V, PARTIAL_SUMS));
}

/* Whether character a comes before b in the order of falling probabilities; of equal ones, the first in the
   vocabulary. */
INLINE int comes_before(const double *probs, int64_t a, int64_t b) {
  return probs[a] > probs[b] || (probs[a] == probs[b] && a < b);
}

/* Sift the character at heap[top] down to its place in heap[0..size). */
static void sift_down(int64_t *heap, int64_t size, int64_t top, const double *probs) {
  for (int64_t child; (child = 2 * top + 1) < size; top = child) {
    if (child + 1 < size && comes_before(probs, heap[child + 1], heap[child])) child++;
    if (!comes_before(probs, heap[child], heap[top])) return;
    int64_t held = heap[top];
    heap[top] = heap[child], heap[child] = held;
  }
}

/* As TOPP_SLACK in distribution.py. */
#define TOPP_SLACK 1e-9

/* Set the probabilities to 0 that topk and topp leave out; the rest sum to 1 again. heap: workspace of V elements. */
static void keep_top(double *probs, int64_t V, int64_t topk, double topp, int64_t *heap) {
  int64_t size = V;
  double sum = 0;
  for (int64_t v = 0; v < V; v++) heap[v] = v;
  for (int64_t top = V / 2; top--;) sift_down(heap, V, top, probs);
  while (size) { /* heap[size..V) are kept, the most probable last */
    double next = probs[heap[0]];
    sum += next;
    if (size < V && ((topp < 1 && sum - next >= topp * (1 - TOPP_SLACK)) || V - size == topk)) break;
    int64_t kept = heap[0];
    heap[0] = heap[--size], heap[size] = kept;
    sift_down(heap, size, 0, probs);
  }
  for (int64_t k = 0; k < size; k++) probs[heap[k]] = 0;
  divide(probs, V, sum_double(probs, V, PARTIAL_SUMS));
}

/* The character that a random number selects: the first up to which the probabilities, as floats, sum up to it. -1
   if they have no positive sum, as with NaN. */
static int64_t multinomial(const double *probs, int64_t V, double random, double *sums) {
  double sum = 0;
  for (int64_t v = 0; v < V; v++) sums[v] = sum += (float)probs[v];
  if (!(sum > 0)) return -1;
  int64_t index = 0;
  for (int64_t v = 0; v < V - 1; v++) index += sums[v] / sum < random;
  return index;
}

/* The first `count` characters in the order of falling probabilities; count is at most V. */
static void top_candidates(const double *probs, int64_t V, int64_t count, int64_t *ids, double *top_probs) {
  for (int64_t v = 0, found = 0; v < V; v++) {
    if (found == count && (!count || probs[v] <= top_probs[count - 1])) continue;
    int64_t at = found < count ? found++ : count - 1;
    for (; at && probs[v] > top_probs[at - 1]; at--) ids[at] = ids[at - 1], top_probs[at] = top_probs[at - 1];
    ids[at] = v, top_probs[at] = probs[v];
  }
}

/* The first of the largest; -1 if there is a NaN. */
static int64_t argmax(const double *log_probs, int64_t V) {
  int64_t index = 0;
  for (int64_t v = 0; v < V; v++) {
    if (log_probs[v] != log_probs[v]) return -1;
    if (log_probs[v] > log_probs[index]) index = v;
  }
  return index;
}

/* A random number of 0 makes multinomial choose the first character, even a forbidden one: take the first allowed
   one. */
static int64_t skip_left_out(const double *log_probs, const double *probs, int64_t index) {
  if (log_probs[index] == -__builtin_inf()) {
    while (!((float)probs[index] > 0)) index++;
  }
  return index;
}

/* Sample a character in stream r at step k, -1 if none is left. Returns whether its probabilities have a positive
   sum. */
static int sample_one(const struct sampling *s, int64_t k, int64_t r) {
  const struct reading *reading = s->reading;
  const int64_t V = reading->network->V, at = k * reading->B + r;
  double *log_probs = reading->log_probs + r * V;
  double *probs = s->probs ? s->probs + at * V : s->workspace, *sums = s->workspace + V;
  struct copy_limit *limit = s->limits ? s->limits[r] : 0;
  int left_out = limit ? leave_out_copies(limit, log_probs, V) : 0;
  if (left_out < 0) {
    __builtin_memset(probs, 0, V * sizeof(double));
    s->token_ids[at] = -1, s->token_probs[at] = 0;
    return 1;
  }
  int64_t most_probable = s->greedy[r] ? argmax(log_probs, V) : -1;
  softmax_of(log_probs, 0, s->temperatures[at], probs, V);
  if (most_probable >= 0 && probs[0] != probs[0]) {  // the choice is defined all the same, and so is its probability
    softmax_of(log_probs, log_probs[most_probable], s->temperatures[at], probs, V);
  }
  if (s->topk[r] || s->topp[r] < 1) keep_top(probs, V, s->topk[r], s->topp[r], s->heap);
  int64_t index = s->greedy[r] ? most_probable : multinomial(probs, V, s->random[at], sums);
  if (index < 0) return 0;
  if (left_out) index = skip_left_out(log_probs, probs, index);
  if (s->num_candidates) {
    CHECK(s->num_candidates[r] >= 0 && s->num_candidates[r] <= s->max_candidates && s->num_candidates[r] <= V);
    int64_t first = at * s->max_candidates;
    top_candidates(probs, V, s->num_candidates[r], s->top_candidates + first, s->top_probs + first);
  }
  s->last_ids[r] = s->token_ids[at] = index, s->token_probs[at] = probs[index];
  if (limit) append_character(limit, index);
  return 1;
}

/* Copy the activations of s->units after the last characters read. */
static void copy_activations(const struct sampling *s, double *activations) {
  const struct reading *reading = s->reading;
  const int64_t H = reading->network->H;
  for (int64_t r = 0; r < reading->B; r++) {
    int64_t unit = s->units[r];
    CHECK(unit < reading->network->layers * H);
    if (unit >= 0) activations[r] = reading->activations[(unit / H * reading->B + r) * H + unit % H];
  }
}

static void sample_characters(struct sampling *s) {
  const struct reading *reading = s->reading;
  CHECK(reading->T == 1 && reading->characters == s->last_ids);
  int pause = s->failed = 0;
  for (s->sampled = 0; s->sampled < s->steps && !pause && !s->failed; s->sampled += !s->failed) {
    if (s->sampled || s->must_read) read_characters(reading);
    if (s->sampled && s->units) copy_activations(s, s->activations + (s->sampled - 1) * reading->B);
    for (int64_t r = 0; r < reading->B && !s->failed; r++) {
      if (!sample_one(s, s->sampled, r)) s->failed = 1;
      else if (s->token_ids[s->sampled * reading->B + r] < 0) pause = 1;
      else if (s->pause_after) pause |= s->pause_after[s->last_ids[r]];
    }
  }
}
