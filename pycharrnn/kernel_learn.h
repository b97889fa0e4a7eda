/* The update of dynamic evaluation, see kernel_adapt.h: gradients of a segment's mean loss, and what the weights learn
   from them. Each weight reads and writes memory once, and no gradient does: it stays in registers until its weight has
   learned.

   A square root and a division take longer than the processor looks ahead. So a tile of weights learns while the
   gradients of the next tile are added up, a vector at a time in three stages, with products between them. */

#define ADAPT_LANES ((int)(BYTES / sizeof(float)))
#define PER_BLOCK (SUMS / ADAPT_LANES) /* vectors of SUMS elements */
#define TILE (4 * PER_BLOCK)           /* vectors of four rows by SUMS columns */
#define EVERY (USUAL / TILE)           /* steps from a vector to the next */
enum { USUAL = 20, STAGE = 2 };        /* steps of a segment, as adapt_options.py has them; from a stage to the next */
_Static_assert(EVERY * (TILE - 1) + 2 * STAGE < USUAL, "all vectors of a tile learn within a segment");

/* Numbers of the update, and the vectors that it is for. */
struct update_of {
  float *parameters, *mean_square;
  const float *trained;
  vector_float alpha, rest, rate, epsilon, pull;
};
static struct update_of update_of(const struct adapting *a) {
  return (struct update_of){
      a->parameters, a->mean_square, a->trained, splat_float((float)a->alpha), splat_float((float)(1 - a->alpha)),
      splat_float((float)-a->learning_rate), splat_float((float)a->epsilon), splat_float((float)a->pull)};
}

/* m = alpha*m + (1-alpha)*g*g. Returns its square root. */
INLINE vector_float learn_mean_square(const struct update_of *u, int64_t at, vector_float g) {
  vector_float m = fma_float(load_float(u->mean_square + at, ADAPT_LANES), u->alpha, u->rest * g * g);
  store_float(u->mean_square + at, m, ADAPT_LANES);
  return sqrt_float(m);
}

INLINE vector_float pulled(const struct update_of *u, vector_float w, vector_float trained) {
  return fma_float(u->pull, trained - w, w);
}

/* w -= rate * step; then w moves by `pull` of the way to the trained weight. */
INLINE void learn_weight(const struct update_of *u, int64_t at, vector_float step) {
  vector_float w = fma_float(u->rate, step, load_float(u->parameters + at, ADAPT_LANES));
  store_float(u->parameters + at, pulled(u, w, load_float(u->trained + at, ADAPT_LANES)), ADAPT_LANES);
}

/* All of it, from a gradient: the step is g/(sqrt(m) + epsilon). */
INLINE void learn(const struct update_of *u, int64_t at, vector_float g) {
  learn_weight(u, at, g / (learn_mean_square(u, at, g) + u->epsilon));
}

/* `count` updates of elements first..last of the vector at `offset` whose gradients are zeros: the same bits as `learn`
   gives. Weights of characters that have not occurred do not change, and are not written. */
static void learn_zeros(const struct adapting *a, int64_t offset, int64_t count, int64_t first, int64_t last) {
  static const float zeros[SUMS];
  const struct update_of u = update_of(a);
  for (int64_t at = offset + first; at < offset + last; at += SUMS) {
    vector_float m[PER_BLOCK], w[PER_BLOCK], trained[PER_BLOCK];
    UNROLL
    for (int v = 0; v < PER_BLOCK; v++) {
      m[v] = load_float(u.mean_square + at + v * ADAPT_LANES, ADAPT_LANES);
      w[v] = load_float(u.parameters + at + v * ADAPT_LANES, ADAPT_LANES);
      trained[v] = load_float(u.trained + at + v * ADAPT_LANES, ADAPT_LANES);
    }
    if (!__builtin_memcmp(w, trained, sizeof w) && !__builtin_memcmp(m, zeros, sizeof m)) continue;
    for (int64_t k = 0; k < count; k++) {
      UNROLL
      for (int v = 0; v < PER_BLOCK; v++) m[v] *= u.alpha, w[v] = pulled(&u, w[v], trained[v]);
    }
    UNROLL
    for (int v = 0; v < PER_BLOCK; v++) {
      store_float(u.mean_square + at + v * ADAPT_LANES, m[v], ADAPT_LANES);
      store_float(u.parameters + at + v * ADAPT_LANES, w[v], ADAPT_LANES);
    }
  }
}

/* Four rows of d, which lie `width` apart, and SUMS columns of x, which lie `columns` apart, in T steps. x of a
   character `zero_before` counts as zeros. */
struct products {
  const float *d, *x;
  int64_t width, columns, T;
  const int64_t *characters;
  int64_t zero_before;
};

/* g (4, SUMS) += the product of four elements of d and SUMS elements of x. */
INLINE void add_product(const float *d, const float *x, vector_float *g) {
  vector_float of_x[PER_BLOCK];
  UNROLL
  for (int v = 0; v < PER_BLOCK; v++) of_x[v] = load_float(x + v * ADAPT_LANES, ADAPT_LANES);
  UNROLL
  for (int r = 0; r < 4; r++) {
    vector_float factor = splat_float(d[r]);
    UNROLL
    for (int v = 0; v < PER_BLOCK; v++) g[r * PER_BLOCK + v] = fma_float(factor, of_x[v], g[r * PER_BLOCK + v]);
  }
}

/* Where vector i of a tile is. */
INLINE int64_t in_tile(int64_t tile, int64_t columns, int i) {
  return tile + i / PER_BLOCK * columns + i % PER_BLOCK * ADAPT_LANES;
}

/* Add up the gradients of a tile, and let the tile before it learn from those in `ready`, if it is not negative. Leaves
   the gradients in `ready`. */
INLINE void learn_tile(const struct update_of *u, const struct products *p, int64_t before, vector_float *ready) {
  vector_float g[TILE] = {{0}};
  const float *d = p->d, *x = p->x;
  for (int64_t t = 0; t < p->T; t++, d += p->width, x += p->columns) {
    if (t < TILE && before >= 0) learn(u, in_tile(before, p->columns, (int)t), ready[t]);
    if (p->characters[t] != p->zero_before) add_product(d, x, g);
  }
  for (int t = (int)p->T; t < TILE && before >= 0; t++) learn(u, in_tile(before, p->columns, t), ready[t]);
  __builtin_memcpy(ready, g, sizeof g);
}

/* The same for USUAL steps, none of them of zeros, and a tile before, without branches. */
INLINE void learn_usual_tile(const struct update_of *u, const struct products *p, int64_t before, vector_float *ready) {
  vector_float g[TILE] = {{0}}, roots[TILE];
  const float *d = p->d, *x = p->x;
  UNROLL
  for (int five = 0; five < USUAL; five += 5) {
    UNROLL
    for (int t = five; t < five + 5; t++) {
      const int third = (t - 2 * STAGE) / EVERY, second = (t - STAGE) / EVERY, first = t / EVERY;
      if (t >= 2 * STAGE && (t - 2 * STAGE) % EVERY == 0 && third < TILE)
        learn_weight(u, in_tile(before, p->columns, third), ready[third]);
      if (t >= STAGE && (t - STAGE) % EVERY == 0 && second < TILE) ready[second] /= roots[second] + u->epsilon;
      if (t % EVERY == 0 && first < TILE)
        roots[first] = learn_mean_square(u, in_tile(before, p->columns, first), ready[first]);
      add_product(d, x, g);
      d += p->width, x += p->columns;
      __asm__("" : "+r"(d), "+r"(x)); /* else twenty addresses would take all registers */
    }
  }
  __builtin_memcpy(ready, g, sizeof g);
}

/* Rows first..last of the weight (.., columns) at `offset`, from the gradients d (T, width) of the products with x (T,
   columns). */
static void learn_rows(const struct adapting *a, int64_t offset, int64_t columns, const float *d, int64_t width,
                       const float *x, const int64_t *characters, int64_t zero_before, int64_t T, int64_t first,
                       int64_t last) {
  const struct update_of u = update_of(a);
  vector_float ready[TILE];
  int64_t before = -1;
  int usual = T == USUAL;
  for (int64_t t = 0; t < T && usual; t++) usual = characters[t] != zero_before;
  for (int64_t n = first; n < last; n += 4) {
    float factors[USUAL * 4]; /* close together: d may be so wide that its rows drive each other from the cache */
    for (int t = 0; t < USUAL && usual; t++) __builtin_memcpy(factors + 4 * t, d + t * width + n, 4 * sizeof(float));
    for (int64_t k = 0; k < columns; k += SUMS) {
      struct products p = {d + n, x + k, width, columns, T, characters, zero_before};
      if (usual && before >= 0) {
        p.d = factors, p.width = 4;
        learn_usual_tile(&u, &p, before, ready);
      } else
        learn_tile(&u, &p, before, ready);
      before = offset + n * columns + k;
    }
  }
  for (int i = 0; i < TILE && before >= 0; i++) learn(&u, in_tile(before, columns, i), ready[i]);
}

/* Elements first..last of the vector at `offset`, from the sum of the rows t, next[t], ... below T of d (T, width). */
static void learn_sums(const struct adapting *a, int64_t offset, const float *d, int64_t width, const int64_t *next,
                       int64_t t, int64_t T, int64_t first, int64_t last) {
  const struct update_of u = update_of(a);
  for (int64_t j = first; j < last; j += ADAPT_LANES) {
    vector_float g = {0};
    for (int64_t row = t; row < T; row = next ? next[row] : row + 1) g += load_float(d + row * width + j, ADAPT_LANES);
    learn(&u, offset + j, g);
  }
}
