/* Zeroes weights at random for a batch, in one precision: weight_drop.py. */

#define DRAWS 256 /* made at a time */

/* Draws first.. of SplitMix64: each of its outputs is two, the one in the lower half first. `first` is even. */
INLINE void NAME(make_draws)(uint32_t *draws, uint64_t seed, uint64_t first) {
  for (int i = 0; i < DRAWS / 2; i++) {
    uint64_t output = mix_bits(seed + (first / 2 + i) * STATE_STEP);
    draws[2 * i] = (uint32_t)output, draws[2 * i + 1] = (uint32_t)(output >> 32);
  }
}

/* Before the batch, save weights first..last and multiply them by their mask. After it, put them back and multiply
   their gradient. */
static void NAME(drop_weights)(const DROP *d, int64_t first, int64_t last) {
  const REAL factor = (REAL)d->factor;
  const uint32_t highest = (uint32_t)(d->limit - 1);
  uint32_t draws[DRAWS];
  for (int64_t j = first; j < last;) {
    int64_t of_first = d->first + j, skipped = of_first % 2; /* the half of an output that belongs to others */
    int64_t count = last - j < DRAWS - skipped ? last - j : DRAWS - skipped;
    NAME(make_draws)(draws, d->seed, (uint64_t)(of_first - skipped));
    REAL *weights = d->weights + j, *whole = d->whole + j;
    if (d->gradient) {
      REAL *gradient = d->gradient + j;
      for (int64_t k = 0; k < count; k++) {
        weights[k] = whole[k];
        gradient[k] *= draws[skipped + k] <= highest ? factor : 0;
      }
    } else
      for (int64_t k = 0; k < count; k++) {
        whole[k] = weights[k];
        weights[k] *= draws[skipped + k] <= highest ? factor : 0;
      }
    j += count;
  }
}
#undef DRAWS

static void NAME(drop_work)(struct job *job, int worker) {
  const DROP *d = job->on;
  int64_t task;
  (void)worker;
  while (take(job, &task)) {
    int64_t first = task * BLOCK;
    NAME(drop_weights)(d, first, d->size - first < BLOCK ? d->size : first + BLOCK);
  }
}

static void NAME(run_drop)(const DROP *d, int threads) {
  struct job job = {.do_work = NAME(drop_work), .on = d, .max_workers = threads};
  CHECK(d->size >= 0 && d->first >= 0 && d->limit >= 1 && d->limit <= (int64_t)1 << 32);
  job.tasks = (d->size + BLOCK - 1) / BLOCK;
  run(&job);
}
