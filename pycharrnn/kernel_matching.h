/* Matching statistics: for each end of a passage in a sample, the longest passage that ends there and is in a text.

   The text streams through the suffix automaton of the sample (Blumer et al. 1985; Chang and Lawler 1994), in pieces
   of any size, in time linear in the text and memory in proportion to the sample. engine/matching.py has the same in
   Python.

   A step waits for a cache line at an address that the step before found. So parts of a piece of the text are read
   side by side, a step of each in turn. Each part but the first begins with no passage, so it is read once more from
   the state at the end of the part before it, as far as a passage reaches that begins before it. */

enum { INLINE_EDGES = 6, ROW = 256, TEXT_LANES = 8, MIN_LANE_BYTES = 512 };
/* A cache line. */
struct match_state {
  int32_t len, link; /* length of the state's longest string; suffix link, -1 in the root, state 0 */
  int32_t longest;   /* length of the longest of the state's strings that is in the text; 0: none is */
  int32_t row;       /* 0, or of a state with more edges, 1 + the row that has a target for each byte */
  uint64_t symbols;  /* bytes of the edges, the first in the lowest bits */
  int32_t targets[INLINE_EDGES]; /* of the edges, 0 after the last */
  int64_t first_longest, first_seen; /* first end in the text of the longest, and of any of the strings */
};
_Static_assert(sizeof(struct match_state) == 64, "as in engine/matching.py");

/* The place of an edge's target, or null. */
INLINE int32_t *edge_target(const struct matcher *m, int32_t v, uint8_t symbol) {
  struct match_state *s = m->states + v;
  if (s->row) {
    int32_t *target = m->rows + (int64_t)ROW * (s->row - 1) + symbol;
    return *target ? target : 0;
  }
  /* The lowest byte of `symbols` that equals the symbol is the lowest zero byte here. */
  const uint64_t ones = 0x0101010101010101u, x = s->symbols ^ ones * symbol, zeros = (x - ones) & ~x & ones << 7;
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

static void build_matcher(struct matcher *m) {
  int32_t last = 0;
  m->states[0].link = -1, m->num_states = 1;
  for (int64_t i = 0; i < m->size; i++) last = extend_automaton(m, last, m->sample[i]);
}

/* A place in the text, and the longest string of the sample that ends there. */
struct lane {
  int64_t at, end; /* the next byte to read, and the one after the last */
  int32_t v, length;
  int has_come; /* whether `v` is not recorded yet: 1: by an edge, -1: by a link, so that `length` is not known yet */
};

/* Try to go on with the next byte: over its edge, or to a shorter string. */
INLINE void step_lane(const struct matcher *m, const uint8_t *text, struct lane *lane) {
  struct match_state *s = m->states + lane->v;
  if (lane->has_come > 0) {
    int64_t end = m->position + lane->at;
    if (!s->longest || end < s->first_seen) s->first_seen = end;
    if (lane->length > s->longest || (lane->length == s->longest && end < s->first_longest))
      s->longest = lane->length, s->first_longest = end;
  } else if (lane->has_come) {
    lane->length = s->len;
  }
  lane->has_come = 0;
  if (lane->at == lane->end) return;
  int32_t *target = edge_target(m, lane->v, text[lane->at]);
  if (target) lane->v = *target, lane->length++, lane->at++, lane->has_come = 1;
  else if (lane->v) lane->v = s->link, lane->has_come = -1;
  else lane->at++;
  __builtin_prefetch(m->states + lane->v);
}

/* Read the next bytes of the text. */
static void match_text(struct matcher *m, const uint8_t *text, int64_t count) {
  struct lane lanes[TEXT_LANES] = {{0, count, (int32_t)m->state, (int32_t)m->length, 0}};
  const int n = count < TEXT_LANES * MIN_LANE_BYTES ? 1 : TEXT_LANES;
  for (int k = 0; k < n; k++) lanes[k].at = PART(count, k, n), lanes[k].end = PART(count, k + 1, n);
  for (int reading = 1; reading;) {
    reading = 0;
    for (int k = 0; k < n; k++) {
      if (lanes[k].at == lanes[k].end && !lanes[k].has_come) continue;
      step_lane(m, text, lanes + k);
      reading = 1;
    }
  }
  struct lane whole = lanes[0];
  for (int k = 1; k < n; k++) {
    const int64_t start = lanes[k - 1].end;
    whole.end = lanes[k].end;
    while (whole.has_come || (whole.length > whole.at - start && whole.at < whole.end)) step_lane(m, text, &whole);
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
