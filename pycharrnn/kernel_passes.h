/* Whole passes over all layers in one precision, divided among threads. */

/* -- the work of the threads --------------------------------------------------------------------------------------- */

static void NAME(prepare_work)(struct job *job, int worker) {
  const PASSES *n = job->on;
  int64_t task;
  (void)worker;
  while (take(job, &task)) NAME(prepare)(&n->layer[task / job->parts], task % job->parts, job->parts);
}

INLINE int64_t NAME(rows_before)(const struct job *job, int64_t chunk) {
  return PART(((const PASSES *)job->on)->layer->B, chunk, job->tasks);
}

/* The tasks, some steps each, that a pass of one layer over a chunk is divided into. */
static int64_t NAME(slices)(const LAYER *l, int64_t chunks) {
  int64_t step = (l->B + chunks - 1) / chunks * l->num_gates * l->H * (l->D + RECURRENT(l));
  int64_t steps = step < TASK_MULTIPLICATIONS ? TASK_MULTIPLICATIONS / step : 1;
  return (l->T + steps - 1) / steps;
}

/* Slice `slice` of the steps of one layer, for all rows of a chunk. */
INLINE void NAME(do_slice)(const struct job *job, int64_t chunk, const LAYER *l, int64_t slice, int64_t slices,
                           void (*pass)(const LAYER *, int64_t, int64_t, int64_t, int64_t)) {
  int64_t last = NAME(rows_before)(job, chunk + 1);
  for (int64_t first = NAME(rows_before)(job, chunk); first < last; first += MC)
    pass(l, first, last - first < MC ? last - first : MC, PART(l->T, slice, slices), PART(l->T, slice + 1, slices));
}

static void NAME(forward_work)(struct job *job, int worker) {
  const PASSES *n = job->on;
  int64_t chunk, step;
  (void)worker;
  while ((chunk = take_chunk(job, job->parts, &step)) >= 0) {
    const LAYER *l = n->layer;
    int64_t slice = step, slices;
    for (; slice >= (slices = NAME(slices)(l, job->tasks)); l++) slice -= slices;
    CHECK(l < n->layer + n->layers);
    NAME(do_slice)(job, chunk, l, slice, slices, NAME(forward));
    give_chunk_back(job, chunk, step);
  }
}

static void NAME(backward_work)(struct job *job, int worker) {
  const PASSES *n = job->on;
  int64_t chunk, step;
  (void)worker;
  while ((chunk = take_chunk(job, job->parts, &step)) >= 0) {
    const LAYER *l = n->layer + n->layers - 1;
    int64_t slice = step, slices;
    for (; slice >= (slices = NAME(slices)(l, job->tasks)); l--) slice -= slices;
    CHECK(l >= n->layer);
    NAME(do_slice)(job, chunk, l, slices - 1 - slice, slices, NAME(backward));
    give_chunk_back(job, chunk, step);
  }
}

/* Run a pass over chunks of rows: of about MR rows where the weights stay in the cache, else as many chunks as there
   are threads. */
static void NAME(run_chunks)(const PASSES *n, int threads, work pass) {
  int32_t progress[MAX_CHUNKS] = {0};
  int64_t B = n->layer->B, chunks = (B + MC - 1) / MC, most = 0;
  for (int64_t i = 0; i < n->layers; i++) {
    const LAYER *l = &n->layer[i];
    int64_t bytes = l->num_gates * l->H * WORDS(l->D + RECURRENT(l)) * (int64_t)sizeof(REAL);
    most = bytes > most ? bytes : most;
  }
  if (threads > 1 && most <= CACHED_BYTES) chunks = (B + MR - 1) / MR;
  if (chunks < threads) chunks = threads;
  if (chunks > B) chunks = B;
  if (chunks > MAX_CHUNKS) chunks = MAX_CHUNKS;
  struct job job = {.do_work = pass, .on = n, .tasks = chunks, .max_workers = threads, .progress = progress};
  for (int64_t i = 0; i < n->layers; i++) job.parts += NAME(slices)(&n->layer[i], chunks);
  run(&job);
}

/* The parts, by units, that the gradients of a layer are divided into. */
INLINE int64_t NAME(unit_parts)(const struct job *job, const LAYER *l) {
  int64_t parts = (l->H + 15) / 16;
  return parts < job->parts ? parts : job->parts;
}

static void NAME(gradients_work)(struct job *job, int worker) {
  const PASSES *n = job->on;
  int64_t task;
  CHECK(worker < job->max_workers);
  while (take(job, &task)) {
    const LAYER *l = n->layer;
    int64_t parts;
    for (; task >= (parts = NAME(unit_parts)(job, l)); l++) task -= parts;
    CHECK(l < n->layer + n->layers);
    int64_t first = PART(l->H, task, parts), units = PART(l->H, task + 1, parts) - first;
    NAME(gradients)(l, first, units, l->workspace + worker * l->workspace_width);
  }
}

/* -- whole passes -------------------------------------------------------------------------------------------------- */

static void NAME(check_passes)(const PASSES *n, int threads) {
  CHECK(n->layers >= 2 && threads >= 1);
  for (int64_t i = 0; i < n->layers; i++) {
    const LAYER *l = &n->layer[i];
    struct workspace_sizes sizes;
    CHECK(l->T >= 1 && l->B >= 1 && l->H >= 1 && l->vocab >= 1 && l->num_gates >= 1 && l->num_gates <= MAX_GATES);
    CHECK(l->T == n->layer->T && l->B == n->layer->B && l->D == (i ? n->layer->H : 0));
    CHECK((l->cell == DECODER) == (i == n->layers - 1) && !l->characters == (i > 0));
    CHECK(!l->begins || (l->zeros && l->cell != DECODER));
    NAME(workspace_sizes)(l, &sizes);
    CHECK(l->packed_a_width >= sizes.packed_a_width && l->workspace_width >= sizes.workspace_width);
  }
  for (int64_t row = 0; row < n->layer->T * n->layer->B; row++)
    CHECK(n->layer->characters[row] >= 0 && n->layer->characters[row] < n->layer->vocab);
}

static void NAME(run_forward)(const PASSES *n, int threads) {
  NAME(check_passes)(n, threads);
  struct job job = {.do_work = NAME(prepare_work), .on = n, .max_workers = threads};
  job.parts = threads == 1 ? 1 : 4 * threads;
  job.tasks = n->layers * job.parts;
  run(&job);
  NAME(run_chunks)(n, threads, NAME(forward_work));
}

static void NAME(run_backward)(const PASSES *n, int threads) {
  NAME(check_passes)(n, threads);
  NAME(run_chunks)(n, threads, NAME(backward_work));
  struct job job = {.do_work = NAME(gradients_work), .on = n, .max_workers = threads};
  job.parts = threads == 1 ? 1 : 2 * threads;
  for (int64_t i = 0; i < n->layers; i++) job.tasks += NAME(unit_parts)(&job, &n->layer[i]);
  run(&job);
}
