/* The loss, its gradient, and RMSprop with clipping, in one precision. */

/* The gradient of the mean loss with respect to the logits: exp(log_probs), less 1 at the target; zeros where that is
   ignored. */
static void NAME(loss_gradient)(const LOSS *l, int64_t first, int64_t last) {
  for (int64_t row = first; row < last; row++) {
    const REAL *log_probs = l->log_probs + row * l->V;
    REAL *d = l->d_logits + row * l->V;
    if (l->y[row] == IGNORED) {
      for (int64_t j = 0; j < l->V; j++) d[j] = 0;
      continue;
    }
    EACH_VECTOR(LANES, l->V, j, n, STORE(d + j, NAME(exp)(LOAD(log_probs + j, n)), n))
    d[l->y[row]] -= 1;
    EACH_VECTOR(LANES, l->V, j, n, STORE(d + j, LOAD(d + j, n) / (REAL)l->batch_size, n))
  }
}

/* The logarithm of the sum of exp(log_probs / temperature). work: (V). */
static REAL NAME(log_sum_at)(const REAL *log_probs, int64_t V, REAL temperature, REAL *work) {
  EACH_VECTOR(LANES, V, j, n, STORE(work + j, LOAD(log_probs + j, n) / temperature, n))
  REAL top = NAME(max_of)(work, V);
  return top + NAME(log)(NAME(sum_exp)(work, V, top, work, SUMS));
}

/* The log-likelihood of all rows whose target is not ignored, of softmax(log_probs / temperature), added in double
   precision. With a temperature other than 1, d_logits is a workspace of V numbers. */
static void NAME(likelihood)(LOSS *l) {
  const REAL temperature = (REAL)l->temperature;
  double sum = 0;
  CHECK(temperature == 1 || (temperature > 0 && l->d_logits));
  for (int64_t row = 0; row < l->rows; row++) {
    if (l->y[row] == IGNORED) continue;
    CHECK(l->y[row] >= 0 && l->y[row] < l->V);
    const REAL *log_probs = l->log_probs + row * l->V;
    REAL of_target = log_probs[l->y[row]];
    if (temperature != 1)
      of_target = of_target / temperature - NAME(log_sum_at)(log_probs, l->V, temperature, l->d_logits);
    sum += of_target;
  }
  l->likelihood = sum;
}

static void NAME(loss_gradient_work)(struct job *job, int worker) {
  const LOSS *l = job->on;
  int64_t task;
  (void)worker;
  while (take(job, &task)) NAME(loss_gradient)(l, PART(l->rows, task, job->tasks), PART(l->rows, task + 1, job->tasks));
}

static void NAME(run_loss_gradient)(const LOSS *l, int threads) {
  struct job job = {.do_work = NAME(loss_gradient_work), .on = l, .max_workers = threads};
  for (int64_t row = 0; row < l->rows; row++) CHECK(l->y[row] == IGNORED || (l->y[row] >= 0 && l->y[row] < l->V));
  job.tasks = l->rows * l->V / BLOCK + 1;
  run(&job);
}

/* rmsprop.py in one pass over some elements, with the sums of squares for both norms. */
static void NAME(rmsprop)(const UPDATE *u, int64_t first, int64_t last, double *squares) {
  REAL *gradient = u->gradient + first, *mean_square = u->mean_square + first, *parameters = u->parameters + first;
  REAL of_gradient[SUMS] = {0}, of_parameters[SUMS] = {0};
  const VECTOR alpha = SPLAT((REAL)u->alpha), rate = SPLAT((REAL)-u->learning_rate);
  const REAL rest = (REAL)(1 - u->alpha), epsilon = (REAL)u->epsilon, clip = (REAL)u->clip;
  EACH_VECTOR(LANES, last - first, j, n, {
    VECTOR g = NAME(clamp)(LOAD(gradient + j, n), clip), w = LOAD(parameters + j, n);
    VECTOR m = FMA(LOAD(mean_square + j, n), alpha, rest * g * g);
    w = FMA(rate, g / (NAME(sqrt)(m) + epsilon), w);
    STORE(gradient + j, g, n), STORE(mean_square + j, m, n), STORE(parameters + j, w, n);
    NAME(add_squares)(of_gradient + j % SUMS, g, n);
    NAME(add_squares)(of_parameters + j % SUMS, w, n);
  })
  squares[0] = NAME(add_up)(of_gradient, SUMS), squares[1] = NAME(add_up)(of_parameters, SUMS);
}

static void NAME(rmsprop_work)(struct job *job, int worker) {
  const UPDATE *u = job->on;
  int64_t task;
  (void)worker;
  while (take(job, &task)) {
    int64_t first = task * BLOCK, last = u->size - first < BLOCK ? u->size : first + BLOCK;
    NAME(rmsprop)(u, first, last, u->squares + 2 * task);
  }
}

static void NAME(run_rmsprop)(UPDATE *u, int threads) {
  struct job job = {.do_work = NAME(rmsprop_work), .on = u, .max_workers = threads};
  CHECK(u->size >= 0);
  job.tasks = (u->size + BLOCK - 1) / BLOCK;
  run(&job);
  u->of_gradient = u->of_parameters = 0;
  for (int64_t i = 0; i < job.tasks; i++)
    u->of_gradient += u->squares[2 * i], u->of_parameters += u->squares[2 * i + 1];
}
