/* The time loops of recurrence.py, the products around them and RMSprop, and prediction and drawing, for the CPU. Optional:
   without it PyTorch and NumPy do the same in more time, and recurrence.py stays the definition that all are tested against.

   A batch's rows do not depend on each other, so each thread takes some rows through all time steps without waiting for
   the others. All buffers belong to the caller, nothing is allocated, nothing here knows PyTorch or Python.

   Source of the product's blocking: Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication". */

#include <stddef.h>
#include <stdint.h>
#if defined(__FMA__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#endif

enum { LSTM, GRU, RNN };

/* One layer over a batch: T time steps, B texts, H units, D inputs (0: characters, of a vocabulary of `vocab`).
   Arrays hold doubles or floats, as the pass; shapes as in recurrence.py. Field for field as in kernel.py. */
struct layer {
  int64_t cell, blocks, T, B, H, D, vocab;
  const int64_t *characters;                                           /* (T, B), or null where there is an input x */
  const void *x;                                                       /* (T, B, D) */
  void *gates, *c, *h, *extra;                                         /* extra: tanh_c of an lstm, reset_h of a gru */
  void *i2h_weight[4], *i2h_bias[4], *h2h_weight[4], *h2h_bias[4];         /* one a gate */
  void *d_i2h_weight[4], *d_i2h_bias[4], *d_h2h_weight[4], *d_h2h_bias[4]; /* their gradients */
  void *dh, *dc, *d_gates, *d_reset_h, *first_dh;
  void *bias, *panels, *back_panels; /* made by prepare: (vocab, blocks*H) or (blocks*H); packed weights */
  void *left, *space, *sums;         /* room for packed rows (B, left_width), for gradients, for sums by character */
  int64_t left_width, space_width;   /* in elements, a row and a thread */
};

/* How many elements the passes need in a layer's buffers: in those that prepare fills, in `left` for each row of the
   batch, in `space` for each thread. The sizes of all other buffers follow from the shapes above. */
struct room {
  int64_t bias, panels, back_panels, left_width, space_width;
};

struct update {
  int64_t size;
  void *gradient, *mean_square, *parameters;
  double clip, alpha, learning_rate, epsilon;
  double *squares; /* (threads, 2) */
};

/* -- threads -------------------------------------------------------------------------------------------------------- */

struct task;
typedef void (*work)(const struct task *, int id);
struct task {
  work do_part;
  const void *on;
  int parts, is_double;
  int next; /* the next part that no thread has taken */
};

/* GOMP_parallel of the OpenMP runtime that PyTorch has loaded: the same threads then work for both. Null: no threads. */
typedef void (*team)(void (*)(void *), void *, unsigned threads, unsigned flags);

static void take_parts(void *data) {
  struct task *task = data;
  for (int id; (id = __atomic_fetch_add(&task->next, 1, __ATOMIC_RELAXED)) < task->parts;) task->do_part(task, id);
}

static void run(team parallel, work do_part, const void *on, int parts, int is_double) {
  struct task task = {do_part, on, parts, is_double, 0};
  if (parallel && parts > 1) parallel(take_parts, &task, (unsigned)parts, 0);
  else take_parts(&task);
}

/* -- the passes, once for each precision and instruction set --------------------------------------------------------- */

#define INLINE static inline __attribute__((always_inline))
#define ROUND_UP(n, to) (((n) + (to)-1) / (to) * (to))
#define CHUNK 64  /* rows at a time, so that a step's arrays stay in the cache */
#define DEPTH 256 /* terms of a gradient's sum at a time */
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
_Static_assert(ROWS <= 12 && ROWS <= CHUNK, "any_tile has as many cases, and a block of rows lies within a chunk");

#define NAME(x) PASTE(x, _double)
#define REAL double
#define WHOLE int64_t
#define IS_DOUBLE 1
#define SQRT __builtin_sqrt
#define FUSED FUSED_DOUBLE
#include "kernel_body.h"
#include "kernel_predict.h"
#include "kernel_draw.h"
#undef NAME
#undef REAL
#undef WHOLE
#undef IS_DOUBLE
#undef SQRT
#undef FUSED
#define NAME(x) PASTE(x, _float)
#define REAL float
#define WHOLE int32_t
#define IS_DOUBLE 0
#define SQRT __builtin_sqrtf
#define FUSED FUSED_FLOAT
#include "kernel_body.h"

/* -- what kernel.py calls -------------------------------------------------------------------------------------------- */

#define PART(n, id, parts) ((n) * (id) / (parts))

static void prepare_part(const struct task *task, int id) {
  (task->is_double ? prepare_double : prepare_float)(task->on, id, task->parts);
}

static void each_chunk(const struct task *task, int id, void (*pass)(const struct layer *, int64_t, int64_t)) {
  const struct layer *l = task->on;
  int64_t first = PART(l->B, id, task->parts), rows = PART(l->B, id + 1, task->parts) - first;
  int64_t chunks = (rows + CHUNK - 1) / CHUNK;
  for (int64_t i = 0; i < chunks; i++) {
    int64_t from = PART(rows, i, chunks);
    pass(l, first + from, PART(rows, i + 1, chunks) - from);
  }
}

static void forward_part(const struct task *task, int id) {
  each_chunk(task, id, task->is_double ? forward_double : forward_float);
}

static void backward_part(const struct task *task, int id) {
  each_chunk(task, id, task->is_double ? backward_double : backward_float);
}

static void gradients_part(const struct task *task, int id) {
  const struct layer *l = task->on;
  int64_t first = PART(l->H, id, task->parts), units = PART(l->H, id + 1, task->parts) - first;
  if (task->is_double) gradients_double(l, first, units, (double *)l->space + id * l->space_width);
  else gradients_float(l, first, units, (float *)l->space + id * l->space_width);
}

static void rmsprop_part(const struct task *task, int id) {
  const struct update *u = task->on;
  int64_t first = PART(u->size, id, task->parts), last = PART(u->size, id + 1, task->parts);
  (task->is_double ? rmsprop_double : rmsprop_float)(u, first, last, u->squares + 2 * id);
}

#ifdef _WIN32
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

PUBLIC void charrnn_prepare(team t, const struct layer *l, int parts, int is_double) {
  run(t, prepare_part, l, parts, is_double);
}
PUBLIC void charrnn_forward(team t, const struct layer *l, int parts, int is_double) {
  run(t, forward_part, l, parts, is_double);
}
PUBLIC void charrnn_backward(team t, const struct layer *l, int parts, int is_double) {
  run(t, backward_part, l, parts, is_double);
}
PUBLIC void charrnn_gradients(team t, const struct layer *l, int parts, int is_double) {
  run(t, gradients_part, l, parts, is_double);
}
PUBLIC void charrnn_rmsprop(team t, const struct update *u, int parts, int is_double) {
  run(t, rmsprop_part, u, parts, is_double);
}
PUBLIC void charrnn_read(const struct reading *r) { read_characters(r); }
PUBLIC void charrnn_draw(struct drawing *d) { draw_characters(d); }
PUBLIC void charrnn_reading_room(const struct network *n, int64_t T, int64_t B, struct reading_room *room) {
  room->columns = COLUMNS, room->together = TOGETHER, room->space = space_of(n, T, B);
}
PUBLIC void charrnn_room(const struct layer *l, struct room *room, int is_double) {
  (is_double ? room_double : room_float)(l, room);
}

/* What kernel.py compares before it calls anything: where the fields of the structures lie, and their sizes. */
struct fact {
  const char *name;
  int64_t value;
};
#define SIZE(structure) {#structure, sizeof(struct structure)}
#define LAYER(field) {"layer." #field, offsetof(struct layer, field)}
#define ROOM(field) {"room." #field, offsetof(struct room, field)}
#define UPDATE(field) {"update." #field, offsetof(struct update, field)}
#define NETWORK(field) {"network." #field, offsetof(struct network, field)}
#define READING_ROOM(field) {"reading_room." #field, offsetof(struct reading_room, field)}
#define READING(field) {"reading." #field, offsetof(struct reading, field)}
#define DRAWING(field) {"drawing." #field, offsetof(struct drawing, field)}
PUBLIC const struct fact charrnn_facts[] = {
    SIZE(layer), LAYER(cell), LAYER(blocks), LAYER(T), LAYER(B), LAYER(H), LAYER(D), LAYER(vocab), LAYER(characters),
    LAYER(x), LAYER(gates), LAYER(c), LAYER(h), LAYER(extra), LAYER(i2h_weight), LAYER(i2h_bias), LAYER(h2h_weight),
    LAYER(h2h_bias), LAYER(d_i2h_weight), LAYER(d_i2h_bias), LAYER(d_h2h_weight), LAYER(d_h2h_bias), LAYER(dh),
    LAYER(dc), LAYER(d_gates), LAYER(d_reset_h), LAYER(first_dh), LAYER(bias), LAYER(panels), LAYER(back_panels),
    LAYER(left), LAYER(space), LAYER(sums), LAYER(left_width), LAYER(space_width),
    SIZE(room), ROOM(bias), ROOM(panels), ROOM(back_panels), ROOM(left_width), ROOM(space_width),
    SIZE(update), UPDATE(size), UPDATE(gradient), UPDATE(mean_square), UPDATE(parameters), UPDATE(clip), UPDATE(alpha),
    UPDATE(learning_rate), UPDATE(epsilon), UPDATE(squares),
    SIZE(network), NETWORK(cell), NETWORK(blocks), NETWORK(layers), NETWORK(H), NETWORK(V), NETWORK(narrow),
    NETWORK(by_character), NETWORK(bias), NETWORK(input_panels), NETWORK(recurrent_panels), NETWORK(input_size),
    NETWORK(recurrent_size), NETWORK(decoder_bias), NETWORK(decoder_panels),
    SIZE(reading_room), READING_ROOM(columns), READING_ROOM(together), READING_ROOM(space),
    SIZE(reading), READING(network), READING(T), READING(B), READING(streams), READING(characters), READING(c), READING(h),
    READING(log_probs), READING(activations), READING(space),
    SIZE(drawing), DRAWING(reading), DRAWING(steps), DRAWING(reads), DRAWING(pending), DRAWING(temperatures),
    DRAWING(random), DRAWING(largest), DRAWING(topk), DRAWING(topp), DRAWING(pauses), DRAWING(indices), DRAWING(chosen),
    DRAWING(probabilities), DRAWING(space), DRAWING(heap), DRAWING(drawn), DRAWING(failed), {0, 0}};

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
