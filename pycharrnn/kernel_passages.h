/* Passages of a text that may not be drawn again (-max_copy N): after the last N characters of a stream, which
   characters would complete N+1 in a row of the text. An index of one text and one N answers, in one of two forms.

   Exact: the places of the passages of N+1 characters, in buckets by the hash of the first N. What a bucket holds is
   compared with the text. A full bucket has only the first place of each passage.
   Filter, for longer texts: a hash of the first N characters selects a block of 512 bits. These characters have set
   some of its bits, and they together with the next one some more. Other passages may have set the same bits by
   chance: it may forbid too much, and never too little.

   Where the characters are the bytes of UTF-8, copies end between two characters of it: the continuation bytes of a
   character may always follow its first byte. Once a byte has been forbidden, only valid UTF-8 may follow, since a
   stream that was kept from a copy goes on in ways for which the model was not trained.

   engine/array_passages.py computes the same in NumPy. */

#define FULL_BUCKET 8  /* places */
#define FILTER_WORDS 8 /* of 64 bits, in a block */
#define BITS_OF_CONTEXT 4
#define BITS_OF_PASSAGE 4
#define PREFETCHED 16 /* passages whose blocks are on their way from memory */

static uint64_t rotate_left(uint64_t x, int64_t by) { return by & 63 ? x << (by & 63) | x >> (64 - (by & 63)) : x; }

/* The hash of N characters in a row, when `next` comes and `oldest` goes; oldest is below 0 where there are fewer. */
INLINE uint64_t roll_hash(uint64_t hash, int64_t N, int64_t oldest, int64_t next) {
  uint64_t gone = oldest < 0 ? 0 : rotate_left(mix_bits((uint64_t)oldest), N);
  return rotate_left(hash, 1) ^ mix_bits((uint64_t)next) ^ gone;
}

/* -- the passages of a text, one after the other ------------------------------------------------------------------- */

struct walk {
  const int32_t *text;
  int64_t length, N;
  int64_t at;  /* the character that is read next */
  int64_t run; /* characters before it in a row, without a gap */
  uint64_t hash;
};

/* Find the next N+1 characters without a gap: text[at-N..at], with the hash of the first N. at = -1 at the end. */
INLINE int64_t next_passage(struct walk *w, uint64_t *hash) {
  while (w->at < w->length) {
    int64_t at = w->at++, next = w->text[at], found = next >= 0 && w->run >= w->N;
    *hash = w->hash;
    if (next < 0) w->run = 0, w->hash = 0;
    else w->hash = roll_hash(w->hash, w->N, w->run >= w->N ? w->text[at - w->N] : -1, next), w->run++;
    if (found) return at;
  }
  return -1;
}

static struct walk walk_of(const struct passages *p) { return (struct walk){p->text, p->length, p->N, 0, 0, 0}; }

/* -- exact --------------------------------------------------------------------------------------------------------- */

INLINE uint64_t bucket_of(const struct passages *p, uint64_t hash) { return mix_bits(hash) >> (64 - p->bucket_bits); }

/* Whether the passages that begin at two places are the same, with the character that follows. */
static int is_same_passage(const struct passages *p, int64_t a, int64_t b) {
  return p->text[a + p->N] == p->text[b + p->N] &&
         !__builtin_memcmp(p->text + a, p->text + b, p->N * sizeof(int32_t));
}

/* Fill starts and places. */
static void index_passages(const struct passages *p) {
  int64_t buckets = (int64_t)1 << p->bucket_bits, at;
  uint64_t hash;
  uint32_t *starts = p->starts, *places = p->places, kept = 0;
  CHECK(p->N >= 1 && p->length < UINT32_MAX && p->bucket_bits >= 1 && p->bucket_bits < 32);
  __builtin_memset(starts, 0, (buckets + 1) * sizeof(uint32_t));
  for (struct walk w = walk_of(p); next_passage(&w, &hash) >= 0;) starts[bucket_of(p, hash) + 1]++;
  for (int64_t b = 0; b < buckets; b++) starts[b + 1] += starts[b];
  for (struct walk w = walk_of(p); (at = next_passage(&w, &hash)) >= 0;) {
    places[starts[bucket_of(p, hash)]++] = (uint32_t)(at - p->N);
  }
  /* Each start is now the next one's. */
  for (int64_t b = 0, from = 0; b < buckets; b++) {
    int64_t to = starts[b], first = kept, is_full = to - from > FULL_BUCKET;
    for (starts[b] = kept; from < to; from++) {
      int64_t same = is_full ? first : kept;
      while (same < kept && !is_same_passage(p, places[same], places[from])) same++;
      if (same == kept) places[kept++] = places[from];
    }
  }
  starts[buckets] = kept;
}

/* Whether the last N characters of a stream are those at a place of the text. */
static int ends_with(const struct copy_limit *limit, int64_t place) {
  const struct passages *p = limit->passages;
  int64_t oldest = limit->seen % p->N, older = p->N - oldest; /* recent is a ring */
  return !__builtin_memcmp(p->text + place, limit->recent + oldest, older * sizeof(int32_t)) &&
         !__builtin_memcmp(p->text + place + older, limit->recent, oldest * sizeof(int32_t));
}

/* -- filter -------------------------------------------------------------------------------------------------------- */

INLINE uint64_t *block_of(const struct passages *p, uint64_t hash) {
  return p->filter + ((mix_bits(hash) >> 32) * (uint64_t)p->blocks >> 32) * FILTER_WORDS;
}

/* What selects the bits of N characters, and of those with the next one: 9 bits of it for each. */
INLINE uint64_t bits_of_context(uint64_t hash) { return mix_bits(~hash); }
INLINE uint64_t bits_of_passage(uint64_t hash, int64_t next) { return mix_bits(hash + mix_bits(~(uint64_t)next)); }

INLINE void set_bits(uint64_t *block, uint64_t bits, int count) {
  for (int k = 0; k < count; k++, bits >>= 9) block[bits >> 6 & 7] |= (uint64_t)1 << (bits & 63);
}

INLINE int has_bits(const uint64_t *block, uint64_t bits, int count) {
  for (int k = 0; k < count; k++, bits >>= 9) {
    if (!(block[bits >> 6 & 7] >> (bits & 63) & 1)) return 0;
  }
  return 1;
}

/* Add the passages of a piece of the text, p->text. */
static void filter_passages(const struct passages *p) {
  struct { uint64_t *block, context, passage; } waiting[PREFETCHED] = {{0}};
  struct walk w = walk_of(p);
  uint64_t hash;
  CHECK(p->N >= 1 && p->blocks >= 1 && p->blocks < UINT32_MAX);
  for (int64_t n = 0, at = 0, left = PREFETCHED; left; n++) {
    int64_t k = n % PREFETCHED;
    if (waiting[k].block) {
      set_bits(waiting[k].block, waiting[k].context, BITS_OF_CONTEXT);
      set_bits(waiting[k].block, waiting[k].passage, BITS_OF_PASSAGE);
      waiting[k].block = 0;
    }
    if (at >= 0) at = next_passage(&w, &hash);
    if (at < 0) {
      left--;
      continue;
    }
    waiting[k].block = block_of(p, hash);
    waiting[k].context = bits_of_context(hash), waiting[k].passage = bits_of_passage(hash, p->text[at]);
    __builtin_prefetch(waiting[k].block, 1);
  }
}

/* -- drawing ------------------------------------------------------------------------------------------------------- */

/* Set to -infinity the log-probabilities, (V), of the characters that would complete a copy. Returns how many there
   are. */
static int64_t forbid_copies(const struct copy_limit *limit, double *log_probs) {
  const struct passages *p = limit->passages;
  const double never = -__builtin_inf();
  int64_t count = 0;
  if (p->filter) {
    const uint64_t *block = block_of(p, limit->hash);
    if (!has_bits(block, bits_of_context(limit->hash), BITS_OF_CONTEXT)) return 0;
    for (int64_t v = 0; v < p->V; v++) {
      if (v == p->free_id || !has_bits(block, bits_of_passage(limit->hash, v), BITS_OF_PASSAGE)) continue;
      log_probs[v] = never, count++;
    }
    return count;
  }
  uint64_t bucket = bucket_of(p, limit->hash);
  for (uint32_t k = p->starts[bucket]; k < p->starts[bucket + 1]; k++) {
    int64_t next = p->text[p->places[k] + p->N];
    CHECK(next >= 0 && next < p->V);
    if (ends_with(limit, p->places[k])) log_probs[next] = never, count++;
  }
  return count;
}

/* Whether a byte may follow in UTF-8. */
INLINE int is_utf8_after(const struct copy_limit *limit, uint8_t byte) {
  if (limit->due) return byte >= limit->lowest && byte <= limit->highest;
  return byte < 0x80 || (byte >= 0xc2 && byte <= 0xf4);
}

/* Append a byte to those of a stream of UTF-8, as the decoder of the WHATWG's Encoding Standard does. */
static void append_byte(struct copy_limit *limit, uint8_t byte) {
  if (limit->due && is_utf8_after(limit, byte)) limit->due--;
  else limit->due = byte > 0xf4 ? 0 : (byte >= 0xc2) + (byte >= 0xe0) + (byte >= 0xf0);
  limit->lowest = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
  limit->highest = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
}

/* Set to -infinity the log-probabilities, (V), of the characters that may not follow. Returns how many there are. */
static int64_t forbid_characters(struct copy_limit *limit, double *log_probs) {
  const struct passages *p = limit->passages;
  int64_t count = limit->seen < p->N || limit->due ? 0 : forbid_copies(limit, log_probs);
  limit->is_changed |= count > 0;
  if (!p->bytes || !limit->is_changed) return count;
  for (int64_t v = 0; v < p->V; v++) {
    if (!is_utf8_after(limit, p->bytes[v])) log_probs[v] = -__builtin_inf(), count++;
  }
  return count;
}

/* Append a character to those of a stream. */
static void append_character(struct copy_limit *limit, int64_t id) {
  int64_t N = limit->passages->N;
  int32_t *place = limit->recent + limit->seen % N;
  limit->hash = roll_hash(limit->hash, N, limit->seen >= N ? *place : -1, id);
  *place = (int32_t)id, limit->seen++;
  if (limit->passages->bytes) append_byte(limit, limit->passages->bytes[id]);
}

/* Leave out the copies of a text and scale the others up, so that the most probable has log-probability 0. Returns 0
   where nothing is left out, 1 where something is, -1 where no character is left. NaN stays. */
static int leave_out_copies(struct copy_limit *limit, double *log_probs, int64_t V) {
  if (!forbid_characters(limit, log_probs)) return 0;
  double top = -__builtin_inf();
  for (int64_t v = 0; v < V; v++) {
    if (log_probs[v] != log_probs[v]) return 1;
    if (log_probs[v] > top) top = log_probs[v];
  }
  if (top == -__builtin_inf()) return -1;
  for (int64_t v = 0; v < V; v++) log_probs[v] -= top;
  return 1;
}
