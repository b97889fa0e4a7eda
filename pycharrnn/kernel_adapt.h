/* Dynamic evaluation: one stream reads a text in segments, and the weights learn from each segment after it was
   predicted. In float32, with the passes of training; kernel.c includes this file after them.

   Source: Krause et al. 2018, "Dynamic Evaluation of Neural Sequence Models", arXiv:1709.07432. */

#define ADAPT_LANES ((int)(BYTES / sizeof(float)))

/* m = alpha*m + (1-alpha)*g*g; w -= rate * g/(sqrt(m) + epsilon); then w moves by `pull` of the way to the trained weight. */
static void adapt_weights(const struct adapting *a, int64_t first, int64_t last) {
  const float *gradient = a->gradient + first, *trained = a->trained + first;
  float *mean_square = a->mean_square + first, *parameters = a->parameters + first;
  const vector_float alpha = splat_float((float)a->alpha), rate = splat_float((float)-a->learning_rate);
  const vector_float pull = splat_float((float)a->pull);
  const float rest = (float)(1 - a->alpha), epsilon = (float)a->epsilon;
  EACH_VECTOR(ADAPT_LANES, last - first, j, n, {
    vector_float g = load_float(gradient + j, n), w = load_float(parameters + j, n);
    vector_float m = fma_float(load_float(mean_square + j, n), alpha, rest * g * g);
    w = fma_float(rate, g / (sqrt_float(m) + epsilon), w);
    w = fma_float(pull, load_float(trained + j, n) - w, w);
    store_float(mean_square + j, m, n), store_float(parameters + j, w, n);
  })
}

static void adapt_work(struct job *job, int worker) {
  const struct adapting *a = job->on;
  int64_t task;
  (void)worker;
  while (take(job, &task)) adapt_weights(a, PART(a->size, task, job->tasks), PART(a->size, task + 1, job->tasks));
}

/* A segment of layer->T characters from `start` on. */
static void read_segment(const struct adapting *a, int64_t start, int threads) {
  struct passes_float *passes = a->passes;
  struct layer_float *decoder = &passes->layer[passes->layers - 1];
  const int64_t T = decoder->T, V = decoder->H, *y = a->targets + start;
  for (int64_t t = 0; t < T; t++) a->begins[t] = a->characters[start + t] == a->end_id;
  passes->layer[0].characters = a->characters + start;
  run_forward_float(passes, threads);
  for (int64_t t = 0; t < T; t++) a->log_probs[start + t] = y[t] == IGNORED ? 0 : decoder->gates[t * V + y[t]];
  loss_gradient_float(&(struct loss_float){T, V, T, y, decoder->gates, a->d_logits, 0}, 0, T);
  run_backward_float(passes, threads);
  struct job job = {.do_work = adapt_work, .on = a, .max_workers = threads, .tasks = (a->size + 4 * BLOCK - 1) / (4 * BLOCK)};
  run(&job);
}

static void read_and_learn(const struct adapting *a, int threads) {
  struct passes_float *passes = a->passes;
  const int64_t V = passes->layer[passes->layers - 1].H;
  CHECK(a->length >= 1 && a->steps >= 0 && a->size >= 1 && a->end_id < V && passes->layer[0].B == 1);
  for (int64_t at = 0; at < a->steps; at++) {
    CHECK(a->characters[at] >= 0 && a->characters[at] < V);
    CHECK(a->targets[at] == IGNORED || (a->targets[at] >= 0 && a->targets[at] < V));
  }
  for (int64_t start = 0; start < a->steps; start += a->length) {
    int64_t T = a->steps - start < a->length ? a->steps - start : a->length;
    for (int64_t i = 0; i < passes->layers; i++) {
      struct layer_float *l = &passes->layer[i];
      l->T = T;
      if (l->dc) __builtin_memset(l->dc, 0, l->H * sizeof(float));
    }
    read_segment(a, start, threads);
    for (struct layer_float *l = passes->layer; l->cell != DECODER; l++) {
      __builtin_memcpy(l->h, l->h + T * l->H, l->H * sizeof(float));
      if (l->c) __builtin_memcpy(l->c, l->c + T * l->H, l->H * sizeof(float));
    }
  }
}
