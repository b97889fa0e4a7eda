/* Matching statistics: for each end of a passage in a sample, the longest passage that ends there and is in a text.

   The text streams through the suffix automaton of the sample (Blumer et al. 1985; Chang and Lawler 1994), in pieces
   of any size, in time linear in the text and memory in proportion to the sample. engine/matching.py has the same in
   Python.

   Threads share the parts of a piece of the text. A step waits for a cache line at an address that the step before
   found, so a part is divided into lanes, and a step is taken in each lane in turn. Each lane but the first of the
   piece begins with no passage, so it is read once more from the state at the end of the lane before it, as far as a
   passage reaches that begins before it. All threads record in the same states what they have found: the longest and
   the first of all are the same in any order. */

enum { INLINE_EDGES = 6, ROW = 256, LOCKED = -1 };
enum { TEXT_LANES = 12, MIN_LANE_BYTES = 512, MIN_PART_BYTES = 1 << 15, MAX_PARTS = 64 };
struct match_state {
  int32_t len, link; /* length of the state's longest string; suffix link, -1 in the root, state 0 */
  int32_t longest;   /* length of the longest of the state's strings that is in the text; 0: none is */
  int32_t row;       /* 0, or of a state with more edges, 1 + the row that has a target for each byte */
  uint64_t symbols;  /* bytes of the edges, the first in the lowest bits */
  int32_t targets[INLINE_EDGES]; /* of the edges, 0 after the last */
  int64_t first_longest, first_seen; /* first end in the text of the longest, and of any of the strings */
};
_Static_assert(sizeof(struct match_state) == 64, "a state is a cache line");

/* The place of an edge's target, or null. */
INLINE int32_t *edge_target(const struct matcher *m, int32_t v, uint8_t symbol) {
  struct match_state *s = m->states + v;
  if (s->row) {
    int32_t *target = m->rows + (int64_t)ROW * (s->row - 1) + symbol;
    return *target ? target : 0;
  }
  /* The lowest byte of `symbols` that equals the symbol is the lowest zero byte here, of those that are for edges. */
  const uint64_t ones = 0x010101010101u, x = s->symbols ^ ones * symbol, zeros = (x - ones) & ~x & ones << 7;
  if (!zeros) return 0;
  int32_t *target = s->targets + (__builtin_ctzll(zeros) >> 3);
  return *target ? target : 0;
}

static int32_t *new_row(struct matcher *m, struct match_state *s) {
  CHECK(m->num_rows < m->size / INLINE_EDGES + 1);
  s->row = (int32_t)++m->num_rows;
  return m->rows + (int64_t)ROW * (s->row - 1);
}

static void add_edge(struct matcher *m, int32_t v, uint8_t symbol, int32_t target) {
  struct match_state *s = m->states + v;
  int n = 0;
  if (!s->row) {
    while (n < INLINE_EDGES && s->targets[n]) n++;
    if (n < INLINE_EDGES) {
      s->targets[n] = target, s->symbols |= (uint64_t)symbol << 8 * n;
      return;
    }
    int32_t *row = new_row(m, s);
    for (n = 0; n < INLINE_EDGES; n++) row[s->symbols >> 8 * n & 255] = s->targets[n];
  }
  m->rows[(int64_t)ROW * (s->row - 1) + symbol] = target;
}

static int32_t clone_state(struct matcher *m, int32_t q, int32_t len) {
  int32_t v = (int32_t)m->num_states++;
  CHECK(v <= 2 * m->size);
  struct match_state *from = m->states + q, *to = m->states + v;
  *to = *from, to->len = len;
  if (from->row) {
    const int32_t *from_row = m->rows + (int64_t)ROW * (from->row - 1);
    int32_t *row = new_row(m, to);
    for (int c = 0; c < ROW; c++) row[c] = from_row[c];
  }
  return v;
}

/* Append a byte to the automaton's string, whose state is `last`. Returns the new state. */
static int32_t extend_automaton(struct matcher *m, int32_t last, uint8_t symbol) {
  struct match_state *states = m->states;
  int32_t v = (int32_t)m->num_states++, p = last, *target = 0;
  CHECK(v <= 2 * m->size);
  states[v].len = states[last].len + 1;
  for (; p >= 0 && !(target = edge_target(m, p, symbol)); p = states[p].link) add_edge(m, p, symbol, v);
  if (p < 0) return v; /* link is the root */
  int32_t q = *target;
  if (states[p].len + 1 != states[q].len) {
    int32_t clone = clone_state(m, q, states[p].len + 1);
    for (; p >= 0 && (target = edge_target(m, p, symbol)) && *target == q; p = states[p].link) *target = clone;
    states[q].link = clone;
    q = clone;
  }
  states[v].link = q;
  return v;
}

/* Append the next `count` bytes of the sample. Until the last byte is appended, m->state is the state of the bytes
   appended so far; then it is the root. */
static void build_matcher(struct matcher *m, int64_t count) {
  if (!m->num_states) m->states[0].link = -1, m->num_states = 1;
  const int64_t done = m->states[m->state].len;
  CHECK(done + count <= m->size);
  for (int64_t i = done; i < done + count; i++) m->state = extend_automaton(m, (int32_t)m->state, m->sample[i]);
  if (done + count == m->size) m->state = 0;
}

/* A place in the text, and the longest string of the sample that ends there. */
struct lane {
  int64_t at, end; /* the next byte to read, and the one after the last */
  int32_t v, length;
  int has_come; /* whether `v` is not recorded yet: 1: by an edge, -1: by a link, so that `length` is not known yet */
};

/* Record that a string of `length` bytes, one of a state's, ends at offset `end` of the text. Several threads may call
   this at once. A thread that changes the record locks it: it sets `longest` to LOCKED meanwhile. Most calls change
   nothing and take no lock. They load `longest` before the two offsets, which a change stores before it: so an offset
   that is too new belongs to a longer string, and the comparison stays right. */
INLINE void record_string(struct match_state *s, int32_t length, int64_t end) {
  int32_t longest = __atomic_load_n(&s->longest, __ATOMIC_ACQUIRE);
  int64_t first_longest = __atomic_load_n(&s->first_longest, __ATOMIC_RELAXED);
  if (longest > 0 && end >= __atomic_load_n(&s->first_seen, __ATOMIC_RELAXED) &&
      (length < longest || (length == longest && end >= first_longest)))
    return;
  do {
    while ((longest = __atomic_load_n(&s->longest, __ATOMIC_RELAXED)) == LOCKED) relax();
  } while (!__atomic_compare_exchange_n(&s->longest, &longest, LOCKED, 1, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
  if (!longest || end < s->first_seen) __atomic_store_n(&s->first_seen, end, __ATOMIC_RELAXED);
  if (length > longest || (length == longest && end < s->first_longest)) {
    __atomic_store_n(&s->first_longest, end, __ATOMIC_RELAXED);
    longest = length;
  }
  __atomic_store_n(&s->longest, longest, __ATOMIC_RELEASE);
}

/* Try to go on with the next byte: over its edge, or to a shorter string. */
INLINE void step_lane(const struct matcher *m, const uint8_t *text, struct lane *lane) {
  struct match_state *s = m->states + lane->v;
  if (lane->has_come > 0) record_string(s, lane->length, m->position + lane->at);
  else if (lane->has_come) lane->length = s->len;
  lane->has_come = 0;
  if (lane->at == lane->end) return;
  int32_t *target = edge_target(m, lane->v, text[lane->at]);
  if (target) lane->v = *target, lane->length++, lane->at++, lane->has_come = 1;
  else if (lane->v) lane->v = s->link, lane->has_come = -1;
  else lane->at++;
  __builtin_prefetch(m->states + lane->v);
}

/* A piece of the text, and the lanes of its parts, one after the other. */
struct text_piece {
  const struct matcher *m;
  const uint8_t *text;
  struct lane *lanes;
  int64_t num_lanes;
};

static void match_parts(struct job *job, int worker) {
  const struct text_piece *piece = job->on;
  int64_t part;
  (void)worker;
  while (take(job, &part)) {
    const int64_t first = part * TEXT_LANES, left = piece->num_lanes - first, n = left < TEXT_LANES ? left : TEXT_LANES;
    struct lane lanes[TEXT_LANES]; /* of this thread's own cache lines */
    for (int64_t k = 0; k < n; k++) lanes[k] = piece->lanes[first + k];
    for (int reading = 1; reading;) {
      reading = 0;
      for (int64_t k = 0; k < n; k++) {
        if (lanes[k].at == lanes[k].end && !lanes[k].has_come) continue;
        step_lane(piece->m, piece->text, lanes + k);
        reading = 1;
      }
    }
    for (int64_t k = 0; k < n; k++) piece->lanes[first + k] = lanes[k];
  }
}

/* Read the next bytes of the text. */
static void match_text(struct matcher *m, const uint8_t *text, int64_t count, int threads) {
  struct lane lanes[MAX_PARTS * TEXT_LANES] = {{0, count, (int32_t)m->state, (int32_t)m->length, 0}};
  int64_t parts = count / MIN_PART_BYTES;
  parts = parts < 1 ? 1 : parts < MAX_PARTS ? parts : MAX_PARTS;
  const int64_t n = count < TEXT_LANES * MIN_LANE_BYTES ? 1 : parts * TEXT_LANES;
  for (int64_t k = 0; k < n; k++) lanes[k].at = PART(count, k, n), lanes[k].end = PART(count, k + 1, n);
  const struct text_piece piece = {m, text, lanes, n};
  struct job job = {.do_work = match_parts, .on = &piece, .tasks = parts, .max_workers = threads};
  run(&job);
  struct lane whole = lanes[0];
  for (int64_t k = 1; k < n; k++) {
    const int64_t start = lanes[k - 1].end;
    whole.end = lanes[k].end;
    while (whole.has_come < 0 || (whole.length > whole.at - start && (whole.has_come || whole.at < whole.end)))
      step_lane(m, text, &whole);
    if (whole.length <= whole.at - start) whole = lanes[k];
  }
  m->state = whole.v, m->length = whole.length, m->position += count;
}

/* lengths, positions: (size), for the passage that ends at each byte; 0 and -1 where there is none. by_length:
   (states), counts: (size + 1) zeros, workspace. Ends the matching. */
static void finish_matching(struct matcher *m, int32_t *lengths, int64_t *positions, int32_t *by_length,
                            int32_t *counts) {
  struct match_state *states = m->states;
  int64_t n = m->num_states;
  for (int64_t v = 1; v < n; v++) counts[states[v].len]++;
  for (int64_t len = 1, sum = 0; len <= m->size; len++) {
    int32_t count = counts[len];
    counts[len] = (int32_t)sum, sum += count;
  }
  for (int64_t v = 1; v < n; v++) by_length[counts[states[v].len]++] = (int32_t)v;
  /* A string is in the text wherever a longer one is that ends with it. */
  for (int64_t k = n - 2; k >= 0; k--) {
    int32_t v = by_length[k], p = states[v].link;
    if (!states[v].longest || !p) continue;
    int64_t seen = states[v].first_seen;
    if (states[p].longest < states[p].len || seen < states[p].first_longest) states[p].first_longest = seen;
    if (!states[p].longest || seen < states[p].first_seen) states[p].first_seen = seen;
    states[p].longest = states[p].len;
  }
  for (int64_t k = 0; k < n - 1; k++) {
    struct match_state *s = states + by_length[k], *p = states + s->link;
    if (!s->longest) s->longest = p->longest, s->first_longest = p->first_longest;
  }
  int32_t v = 0;
  for (int64_t i = 0; i < m->size; i++) {
    v = *edge_target(m, v, m->sample[i]);
    lengths[i] = states[v].longest;
    positions[i] = states[v].longest ? states[v].first_longest - states[v].longest : -1;
  }
}
