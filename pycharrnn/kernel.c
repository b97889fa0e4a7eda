/* What trains a network on the CPU, and what draws from it: the time loops of recurrence.py with the products around them,
   the decoder with the log-probabilities, the loss, RMSprop and the norms; prediction and drawing. Optional: without it
   PyTorch and NumPy do the same in more time, and recurrence.py stays the definition that all are tested against.

   A batch's rows do not depend on each other, so chunks of them go through all steps of all layers without waiting for
   the others. All buffers belong to the caller, nothing is allocated, nothing here knows PyTorch or Python, and no number
   comes from the C library.

   Source of the product's blocking: Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication". */

#include <stddef.h>
#include <stdint.h>
#if defined(__FMA__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#include "kernel_threads.h"

enum { LSTM, GRU, RNN, DECODER };

/* One layer over a batch: T time steps, B texts, H units, D inputs (0: characters, of a vocabulary of `vocab`).
   Arrays hold doubles or floats, as the pass; shapes as in recurrence.py. The decoder is a layer of V units without a
   state: its gates are the log-probabilities, its d_gates the gradient of the logits; those of all others are `gates`.
   Field for field as in kernel_structures.py. */
struct layer {
  int64_t cell, num_gates, T, B, H, D, vocab;
  const int64_t *characters;                                           /* (T, B), or null where there is an input x */
  const void *x, *mask;                                                /* (T, B, D); x is multiplied by a mask, if any */
  void *masked;                                                        /* (T, B, D), room for the product */
  void *gates, *c, *h, *extra;                                         /* extra: tanh_c of an lstm, reset_h of a gru */
  void *i2h_weight[4], *i2h_bias[4], *h2h_weight[4], *h2h_bias[4];         /* one a gate */
  void *d_i2h_weight[4], *d_i2h_bias[4], *d_h2h_weight[4], *d_h2h_bias[4]; /* their gradients */
  void *dh, *dc, *d_gates, *d_reset_h, *first_dh;
  const void *d_last;                /* (B, H), gradient of the last h from beyond the batch, or null */
  void *bias, *panels, *back_panels; /* made by prepare: (vocab, blocks*H) or (blocks*H); packed weights */
  void *packed_a, *workspace, *sums;         /* room for packed rows (B, left_width), for gradients, for sums by character */
  int64_t packed_a_width, workspace_width;   /* in elements, a row and a thread */
};

/* All layers, from the lowest to the decoder. They share dh, left and space. */
struct passes {
  int64_t layers;
  struct layer *layer;
};

/* How many elements the passes need in a layer's buffers: in those that prepare fills, in `left` for each row of the
   batch, in `space` for each thread. The sizes of all other buffers follow from the shapes above. */
struct workspace_sizes {
  int64_t bias, panels, back_panels, packed_a_width, workspace_width;
};

struct loss {
  int64_t rows, V, batch_size;
  const int64_t *y;      /* (rows) */
  const void *log_probs; /* (rows, V) */
  void *d_logits;        /* (rows, V) */
  double likelihood;
};

enum { BLOCK = 4096 }; /* elements whose squares are added up at a time, so that float32 does it well enough */
struct update {
  int64_t size;
  void *gradient, *mean_square, *parameters;
  double clip, alpha, learning_rate, epsilon;
  double *squares;     /* (blocks of BLOCK elements, 2) */
  double of_gradient, of_parameters; /* the sums of squares */
};

/* -- the passes, once for each precision and instruction set --------------------------------------------------------- */

#define ROUND_UP(n, to) (((n) + (to)-1) / (to) * (to))
#define CHUNK 64  /* rows at a time, so that a step's arrays stay in the cache */
#define DEPTH 256 /* terms of a gradient's sum at a time */
#define SUMS 16   /* partial sums, as many as the widest vector has elements */
#define RECURRENT(l) ((l)->cell == DECODER ? 0 : (l)->H) /* units that a step hands to the next */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#pragma GCC diagnostic ignored "-Wpsabi"
#endif
#define PASTE(a, b) a##b
/* Do something with elements j..j+n of H, a vector of LANES at a time; n is a constant but for the last ones. */
#define EACH_UNIT(H, ...)                                   \
  for (int64_t j = 0; j < (H); j += LANES) {                \
    if ((H) - j >= LANES) {                                 \
      const int n = LANES;                                  \
      __VA_ARGS__;                                          \
    } else {                                                \
      const int n = (int)((H) - j);                         \
      __VA_ARGS__;                                          \
    }                                                       \
  }

#if defined(__AVX512F__)
#define BYTES 64
#define ROWS 12
#elif defined(__AVX2__)
#define BYTES 32
#define ROWS 6
#else
#define BYTES 16
#define ROWS 6
#endif
/* a*b + c, rounded once where the processor can do that: which products the compiler would fuse is for it to say. */
#if defined(__AVX512F__)
#define FUSED_DOUBLE _mm512_fmadd_pd
#define FUSED_FLOAT _mm512_fmadd_ps
#elif defined(__AVX2__) && defined(__FMA__)
#define FUSED_DOUBLE _mm256_fmadd_pd
#define FUSED_FLOAT _mm256_fmadd_ps
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define FUSED_DOUBLE(a, b, c) vfmaq_f64(c, a, b)
#define FUSED_FLOAT(a, b, c) vfmaq_f32(c, a, b)
#else
#define FUSED_DOUBLE(a, b, c) ((a) * (b) + (c))
#define FUSED_FLOAT(a, b, c) ((a) * (b) + (c))
#endif
/* What `choose` says as well, in one instruction. */
#if defined(__AVX512F__)
#define SMALLER_DOUBLE _mm512_min_pd
#define LARGER_DOUBLE _mm512_max_pd
#define SMALLER_FLOAT _mm512_min_ps
#define LARGER_FLOAT _mm512_max_ps
#elif defined(__AVX2__) && defined(__FMA__)
#define SMALLER_DOUBLE _mm256_min_pd
#define LARGER_DOUBLE _mm256_max_pd
#define SMALLER_FLOAT _mm256_min_ps
#define LARGER_FLOAT _mm256_max_ps
#else
#define SMALLER_DOUBLE(a, b) choose_double((a) < (b), a, b)
#define LARGER_DOUBLE(a, b) choose_double((a) > (b), a, b)
#define SMALLER_FLOAT(a, b) choose_float((a) < (b), a, b)
#define LARGER_FLOAT(a, b) choose_float((a) > (b), a, b)
#endif
#if defined(__FMA__) || (defined(__aarch64__) && defined(__ARM_NEON))
#define FUSES 1
#define FUSED1_DOUBLE __builtin_fma
#define FUSED1_FLOAT __builtin_fmaf
#else
#define FUSES 0
#define FUSED1_DOUBLE FUSED_DOUBLE
#define FUSED1_FLOAT FUSED_FLOAT
#endif
_Static_assert(ROWS <= 12 && ROWS <= CHUNK, "any_tile has as many cases, and a block of rows lies within a chunk");

#define NAME(x) PASTE(x, _double)
#define REAL double
#define WHOLE int64_t
#define IS_DOUBLE 1
#define SQRT __builtin_sqrt
#define FUSED FUSED_DOUBLE
#define FUSED1 FUSED1_DOUBLE
#define SMALLER SMALLER_DOUBLE
#define LARGER LARGER_DOUBLE
#include "kernel_body.h"
#include "kernel_predict.h"
#include "kernel_draw.h"
#undef NAME
#undef REAL
#undef WHOLE
#undef IS_DOUBLE
#undef SQRT
#undef FUSED
#undef FUSED1
#undef SMALLER
#undef LARGER
#define NAME(x) PASTE(x, _float)
#define REAL float
#define WHOLE int32_t
#define IS_DOUBLE 0
#define SQRT __builtin_sqrtf
#define FUSED FUSED_FLOAT
#define FUSED1 FUSED1_FLOAT
#define SMALLER SMALLER_FLOAT
#define LARGER LARGER_FLOAT
#include "kernel_body.h"

/* -- what kernel.py calls -------------------------------------------------------------------------------------------- */

#define PART(n, id, parts) ((n) * (id) / (parts))

static void prepare_work(struct job *job, int worker) {
  const struct passes *n = job->on;
  int64_t pieces = job->tasks / n->layers, task;
  (void)worker;
  while (take(job, &task))
    (job->is_double ? prepare_double : prepare_float)(&n->layer[task / pieces], task % pieces, pieces);
}

/* The passes of a chunk of rows are divided into tasks of some steps of one layer, of about QUANTUM multiplications: a
   fraction of a millisecond, so that chunks are shared out anew that often. */
#define QUANTUM (1 << 22)
#define CHUNKS 512           /* at most */
#define IN_CACHE (1 << 21)   /* bytes of a layer's weights that may be read anew for each ROWS rows */

static int64_t rows_of(const struct job *job, int64_t chunk) {
  return PART(((const struct passes *)job->on)->layer->B, chunk, job->tasks);
}

/* Into how many tasks the passes of one layer are divided. */
static int64_t slices(const struct layer *l, int64_t chunks) {
  int64_t step = (l->B + chunks - 1) / chunks * l->num_gates * l->H * (l->D + RECURRENT(l));
  int64_t steps = step < QUANTUM ? QUANTUM / step : 1;
  return (l->T + steps - 1) / steps;
}

static int64_t all_slices(const struct job *job) {
  const struct passes *n = job->on;
  int64_t sum = 0;
  for (int64_t i = 0; i < n->layers; i++) sum += slices(&n->layer[i], job->tasks);
  return sum;
}

typedef void (*pass)(const struct layer *, int64_t first, int64_t rows, int64_t from, int64_t to);

/* Some steps of one layer, for all rows of a chunk. */
static void do_slice(const struct job *job, int64_t chunk, const struct layer *l, int64_t slice, pass pass) {
  int64_t last = rows_of(job, chunk + 1), of = slices(l, job->tasks);
  for (int64_t first = rows_of(job, chunk); first < last; first += CHUNK)
    pass(l, first, last - first < CHUNK ? last - first : CHUNK, PART(l->T, slice, of), PART(l->T, slice + 1, of));
}

static void forward_work(struct job *job, int worker) {
  const struct passes *n = job->on;
  int64_t all = all_slices(job), chunk, step;
  (void)worker;
  while ((chunk = take_chunk(job, all, &step)) >= 0) {
    const struct layer *l = n->layer;
    int64_t slice = step, of;
    while (slice >= (of = slices(l, job->tasks))) slice -= of, l++;
    do_slice(job, chunk, l, slice, job->is_double ? forward_double : forward_float);
    give_chunk_back(job, chunk, step);
  }
}

static void backward_work(struct job *job, int worker) {
  const struct passes *n = job->on;
  int64_t all = all_slices(job), chunk, step;
  (void)worker;
  while ((chunk = take_chunk(job, all, &step)) >= 0) {
    const struct layer *l = n->layer + n->layers - 1;
    int64_t slice = step, of;
    while (slice >= (of = slices(l, job->tasks))) slice -= of, l--;
    do_slice(job, chunk, l, of - 1 - slice, job->is_double ? backward_double : backward_float);
    give_chunk_back(job, chunk, step);
  }
}

/* Run a pass over chunks of rows: as few as the largest tile has rows where the weights stay in the cache, else as many
   as let every thread have some. */
static void run_chunks(const struct passes *n, int threads, int is_double, work pass) {
  int32_t progress[CHUNKS] = {0};
  int64_t B = n->layer->B, chunks = (B + CHUNK - 1) / CHUNK, most = 0;
  for (int64_t i = 0; i < n->layers; i++) {
    const struct layer *l = &n->layer[i];
    int64_t bytes = l->num_gates * l->H * (l->D + RECURRENT(l)) * (is_double ? 8 : 4);
    most = bytes > most ? bytes : most;
  }
  if (threads > 1 && most <= IN_CACHE) chunks = (B + ROWS - 1) / ROWS;
  if (chunks < threads) chunks = threads;
  if (chunks > B) chunks = B;
  if (chunks > CHUNKS) chunks = CHUNKS;
  struct job job = {.do_work = pass, .on = n, .tasks = chunks, .workers = threads, .is_double = is_double};
  job.progress = progress;
  run(&job);
}

/* The number of parts, by units, of a layer's gradients: at most job->parts. */
static int64_t unit_parts(const struct job *job, const struct layer *l) {
  int64_t parts = (l->H + 15) / 16;
  return parts < job->parts ? parts : job->parts;
}

static void gradients_work(struct job *job, int worker) {
  const struct passes *n = job->on;
  int64_t task;
  while (take(job, &task)) {
    const struct layer *l = n->layer;
    int64_t parts;
    while (task >= (parts = unit_parts(job, l))) task -= parts, l++;
    int64_t first = PART(l->H, task, parts), units = PART(l->H, task + 1, parts) - first;
    if (job->is_double) gradients_double(l, first, units, (double *)l->workspace + worker * l->workspace_width);
    else gradients_float(l, first, units, (float *)l->workspace + worker * l->workspace_width);
  }
}

static void loss_gradient_work(struct job *job, int worker) {
  const struct loss *l = job->on;
  int64_t task;
  (void)worker;
  while (take(job, &task)) {
    int64_t first = PART(l->rows, task, job->tasks), last = PART(l->rows, task + 1, job->tasks);
    (job->is_double ? loss_gradient_double : loss_gradient_float)(l, first, last);
  }
}

static void rmsprop_work(struct job *job, int worker) {
  const struct update *u = job->on;
  int64_t task;
  (void)worker;
  while (take(job, &task)) {
    int64_t first = task * BLOCK, last = u->size - first < BLOCK ? u->size : first + BLOCK;
    (job->is_double ? rmsprop_double : rmsprop_float)(u, first, last, u->squares + 2 * task);
  }
}

#ifdef _WIN32
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

/* `threads`: at most as many as there is room for in `space`. */
PUBLIC void charrnn_forward(const struct passes *n, int threads, int is_double) {
  struct job job = {.do_work = prepare_work, .on = n, .workers = threads, .is_double = is_double};
  job.tasks = n->layers * (threads == 1 ? 1 : 4 * threads);
  run(&job);
  run_chunks(n, threads, is_double, forward_work);
}
PUBLIC void charrnn_backward(const struct passes *n, int threads, int is_double) {
  struct job job = {.do_work = gradients_work, .on = n, .workers = threads, .is_double = is_double};
  job.parts = threads == 1 ? 1 : 2 * threads;
  run_chunks(n, threads, is_double, backward_work);
  for (int64_t i = 0; i < n->layers; i++) job.tasks += unit_parts(&job, &n->layer[i]);
  run(&job);
}
PUBLIC void charrnn_likelihood(struct loss *l, int threads, int is_double) {
  (void)threads;
  (is_double ? likelihood_double : likelihood_float)(l);
}
PUBLIC void charrnn_loss_gradient(const struct loss *l, int threads, int is_double) {
  struct job job = {.do_work = loss_gradient_work, .on = l, .workers = threads, .is_double = is_double};
  job.tasks = l->rows * l->V / BLOCK + 1;
  run(&job);
}
PUBLIC void charrnn_rmsprop(struct update *u, int threads, int is_double) {
  struct job job = {.do_work = rmsprop_work, .on = u, .workers = threads, .is_double = is_double};
  job.tasks = (u->size + BLOCK - 1) / BLOCK;
  run(&job);
  u->of_gradient = u->of_parameters = 0;
  for (int64_t i = 0; i < job.tasks; i++)
    u->of_gradient += u->squares[2 * i], u->of_parameters += u->squares[2 * i + 1];
}
PUBLIC void charrnn_read(const struct reading *r) { read_characters(r); }
PUBLIC void charrnn_draw(struct drawing *d) { draw_characters(d); }
PUBLIC void charrnn_reading_room(const struct network *n, int64_t T, int64_t B, struct reading_room *room) {
  room->columns = COLUMNS, room->together = TOGETHER, room->space = space_of(n, T, B);
}
PUBLIC void charrnn_workspace_sizes(const struct layer *l, struct workspace_sizes *sizes, int is_double) {
  (is_double ? workspace_sizes_double : workspace_sizes_float)(l, sizes);
}

/* What kernel.py compares before it calls anything: where the fields of the structures lie, and their sizes. */
struct fact {
  const char *name;
  int64_t value;
};
#define SIZE(structure) {#structure, sizeof(struct structure)}
#define LAYER(field) {"layer." #field, offsetof(struct layer, field)}
#define PASSES(field) {"passes." #field, offsetof(struct passes, field)}
#define WORKSPACE_SIZES(field) {"workspace_sizes." #field, offsetof(struct workspace_sizes, field)}
#define LOSS(field) {"loss." #field, offsetof(struct loss, field)}
#define UPDATE(field) {"update." #field, offsetof(struct update, field)}
#define NETWORK(field) {"network." #field, offsetof(struct network, field)}
#define READING_ROOM(field) {"reading_room." #field, offsetof(struct reading_room, field)}
#define READING(field) {"reading." #field, offsetof(struct reading, field)}
#define DRAWING(field) {"drawing." #field, offsetof(struct drawing, field)}
PUBLIC const struct fact charrnn_facts[] = {
    SIZE(layer), LAYER(cell), LAYER(num_gates), LAYER(T), LAYER(B), LAYER(H), LAYER(D), LAYER(vocab), LAYER(characters),
    LAYER(x), LAYER(mask), LAYER(masked), LAYER(gates), LAYER(c), LAYER(h), LAYER(extra), LAYER(i2h_weight),
    LAYER(i2h_bias), LAYER(h2h_weight), LAYER(h2h_bias), LAYER(d_i2h_weight), LAYER(d_i2h_bias), LAYER(d_h2h_weight),
    LAYER(d_h2h_bias), LAYER(dh), LAYER(dc), LAYER(d_gates), LAYER(d_reset_h), LAYER(first_dh), LAYER(d_last),
    LAYER(bias), LAYER(panels), LAYER(back_panels), LAYER(packed_a), LAYER(workspace), LAYER(sums), LAYER(packed_a_width),
    LAYER(workspace_width),
    SIZE(passes), PASSES(layers), PASSES(layer),
    SIZE(workspace_sizes), WORKSPACE_SIZES(bias), WORKSPACE_SIZES(panels), WORKSPACE_SIZES(back_panels), WORKSPACE_SIZES(packed_a_width), WORKSPACE_SIZES(workspace_width),
    SIZE(loss), LOSS(rows), LOSS(V), LOSS(batch_size), LOSS(y), LOSS(log_probs), LOSS(d_logits), LOSS(likelihood),
    SIZE(update), UPDATE(size), UPDATE(gradient), UPDATE(mean_square), UPDATE(parameters), UPDATE(clip), UPDATE(alpha),
    UPDATE(learning_rate), UPDATE(epsilon), UPDATE(squares), UPDATE(of_gradient), UPDATE(of_parameters),
    SIZE(network), NETWORK(cell), NETWORK(num_gates), NETWORK(layers), NETWORK(H), NETWORK(V), NETWORK(narrow),
    NETWORK(by_character), NETWORK(bias), NETWORK(input_panels), NETWORK(recurrent_panels), NETWORK(input_size),
    NETWORK(recurrent_size), NETWORK(decoder_bias), NETWORK(decoder_panels),
    SIZE(reading_room), READING_ROOM(columns), READING_ROOM(together), READING_ROOM(space),
    SIZE(reading), READING(network), READING(T), READING(B), READING(streams), READING(characters),
    READING(following), READING(c), READING(h), READING(log_probs), READING(activations), READING(space),
    SIZE(drawing), DRAWING(reading), DRAWING(steps), DRAWING(reads), DRAWING(pending), DRAWING(temperatures),
    DRAWING(random), DRAWING(largest), DRAWING(topk), DRAWING(topp), DRAWING(pauses), DRAWING(indices), DRAWING(chosen),
    DRAWING(probabilities), DRAWING(candidates), DRAWING(most), DRAWING(likeliest), DRAWING(likeliest_chances),
    DRAWING(units), DRAWING(activations), DRAWING(space), DRAWING(heap), DRAWING(drawn), DRAWING(failed),
    {"block", BLOCK}, {0, 0}};

/* Whether each product that is added to something is rounded once only, so that results are the same bits everywhere. */
PUBLIC const int64_t charrnn_fuses = FUSES;

/* A hash of this file and of those that it includes, as they were compiled; setup.py gives it. */
#ifndef SOURCES
#define SOURCES "unknown"
#endif
PUBLIC const char *const charrnn_sources = SOURCES;

/* Which of kernel_library.LEVELS the processor has, from 0. */
PUBLIC int charrnn_best_level(void) {
#if defined(__x86_64__) || defined(_M_X64)
  int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  return avx2 + (avx2 && avx512);
#else
  return 0;
#endif
}
