/* Training and sampling on the CPU, in C: see kernel_passes.h, kernel_predict.h and kernel_sample.h. Optional:
   without it PyTorch and NumPy compute the same, slower; engine/recurrence.py is the definition that all are tested
   against. kernel_matching.h finds the passages of a sample that are in a text; kernel_passages.h keeps samples from
   having any.

   The rows of a batch are independent, so chunks of them go through all steps of all layers without waiting for the
   others. All buffers belong to the caller, nothing is allocated but threads, nothing here depends on PyTorch or
   Python, and no number comes from the C library.

   The caller guarantees, for every function (each module of engine that calls one checks its arguments;
   -DCHARRNN_CHECK makes the kernel check most of it):
   - Each pointer of a structure is null where its comment allows it, else it leads to an array of the shape in the
     comment, contiguous, aligned as its elements, that stays there for the call.
   - Arrays that are written overlap nothing, but for `d_gates` and `gates` of one layer, and what layers share.
   - T, B, H, V, layers and steps are at least 1; D is the H of the layer below, and 0 in the first layer.
   - begins is null in all layers or the same array in all but the decoder, with zeros beside it.
   - characters, targets and last_ids are in [0, V), and so are y and adapting's targets, or they are IGNORED; streams
     are in range, each once; units are below layers*H.
   - `threads` is at least 1 and at most the rows of `workspace`. `precision` is the structure's, or BFLOAT16 for passes
     with structures of FLOAT32.
   - charrnn_forward comes before charrnn_backward, with the same structure, and once for each of them.
   - One thread at a time uses a structure; structures may share what none of them writes. */

#include <stddef.h>
#include <stdint.h>
#if defined(__AVX2__) && defined(__FMA__) /* without AVX2 only scalars would be fused, and vectors give other bits */
#define X86_FMA
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#ifdef CHARRNN_CHECK
#include <stdio.h>
#include <stdlib.h>
#define CHECK(condition) \
  ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: CHECK(%s)\n", __FILE__, __LINE__, #condition), abort()))
#else
#define CHECK(condition) ((void)sizeof(condition))
#endif

enum { LSTM, GRU, RNN, DECODER };
enum { FLOAT32, FLOAT64, BFLOAT16 }; /* BFLOAT16: what matrix products multiply, all else in float32 */
enum { IGNORED = -100 }; /* a target that has no loss */
enum { BLOCK = 4096 }; /* elements whose squares are added up at a time, so that float32 does it well enough */

#include "kernel_structs.h"
#include "kernel_threads.h"

/* -- what all precisions share ------------------------------------------------------------------------------------- */

#define ROUND_UP(n, to) (((n) + (to)-1) / (to) * (to))
#define PART(n, id, parts) ((n) * (id) / (parts))
#define MC 64   /* rows of a product at a time, so that a step's arrays stay in the cache */
#define KC 256  /* terms of a gradient's sum at a time */
#define SUMS 16 /* partial sums, as many as the widest vector has elements */
#define MAX_PANELS 4
#define MAX_CHUNKS 512
/* A pass of a chunk is divided into tasks of some steps of one layer, of about so many multiplications: a fraction of a
   millisecond, after which chunks may change threads. */
#define TASK_MULTIPLICATIONS (1 << 22)
#define CACHED_BYTES (1 << 21) /* of a layer's weights that may be read anew for each MR rows */
/* Tiles fetch panels of a larger product by AHEAD elements before they read them: processors do so themselves, but only
   up to the end of a page, of 4 KB. Tiles of one to three rows would not gain from it. */
#define NEAR_BYTES (1 << 20)
#define AHEAD 4096
#define RECURRENT(l) ((l)->cell == DECODER ? 0 : (l)->H) /* units that a step hands to the next */
#define PASTE(a, b) PASTE_EXPANDED(a, b)
#define PASTE_EXPANDED(a, b) a##b
/* Before a loop whose bounds are constants. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#pragma GCC diagnostic ignored "-Wpsabi"
#endif
/* Do something with elements j..j+n of `count`, a vector of `lanes` at a time; n is a constant but for the last
   ones. */
#define EACH_VECTOR(lanes, count, j, n, ...)          \
  for (int64_t j = 0; j < (count); j += (lanes)) {    \
    if ((count)-j >= (lanes)) {                       \
      const int n = (lanes);                          \
      __VA_ARGS__;                                    \
    } else {                                          \
      const int n = (int)((count)-j);                 \
      __VA_ARGS__;                                    \
    }                                                 \
  }

/* The output of SplitMix64 (Steele, Lea and Flood, 2014) from the state x; the next state is x + STATE_STEP. */
#define STATE_STEP 0x9e3779b97f4a7c15u
INLINE uint64_t mix_bits(uint64_t x) {
  x += STATE_STEP;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

#if defined(__AVX512F__)
#define BYTES 64
#define MR 12
#elif defined(__AVX2__)
#define BYTES 32
#define MR 6
#elif defined(__aarch64__)
#define BYTES 16
#define MR 12 /* of 32 registers too */
#else
#define BYTES 16
#define MR 6
#endif
_Static_assert(MR <= 12 && MR <= MC, "tiles has as many cases, and a block of rows lies within MC");

/* a*b + c, rounded once where the processor can: we choose which products are fused, and -ffp-contract=off keeps the
   compiler from fusing others. */
#if defined(__AVX512F__)
#define FUSED_DOUBLE _mm512_fmadd_pd
#define FUSED_FLOAT _mm512_fmadd_ps
#elif defined(X86_FMA)
#define FUSED_DOUBLE _mm256_fmadd_pd
#define FUSED_FLOAT _mm256_fmadd_ps
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define FUSED_DOUBLE(a, b, c) vfmaq_f64(c, a, b)
#define FUSED_FLOAT(a, b, c) vfmaq_f32(c, a, b)
#else
#define FUSED_DOUBLE(a, b, c) ((a) * (b) + (c))
#define FUSED_FLOAT(a, b, c) ((a) * (b) + (c))
#endif
/* Minimum and maximum as single instructions; NaN as with choose(). */
#if defined(__AVX512F__)
#define MIN_DOUBLE _mm512_min_pd
#define MAX_DOUBLE _mm512_max_pd
#define MIN_FLOAT _mm512_min_ps
#define MAX_FLOAT _mm512_max_ps
#elif defined(X86_FMA)
#define MIN_DOUBLE _mm256_min_pd
#define MAX_DOUBLE _mm256_max_pd
#define MIN_FLOAT _mm256_min_ps
#define MAX_FLOAT _mm256_max_ps
#else
#define MIN_DOUBLE(a, b) NAME(choose)((a) < (b), a, b)
#define MAX_DOUBLE(a, b) NAME(choose)((a) > (b), a, b)
#define MIN_FLOAT(a, b) NAME(choose)((a) < (b), a, b)
#define MAX_FLOAT(a, b) NAME(choose)((a) > (b), a, b)
#endif
#if defined(X86_FMA) || (defined(__aarch64__) && defined(__ARM_NEON))
#define FUSES 1
#define FUSED1_DOUBLE __builtin_fma
#define FUSED1_FLOAT __builtin_fmaf
#else
#define FUSES 0
#define FUSED1_DOUBLE FUSED_DOUBLE
#define FUSED1_FLOAT FUSED_FLOAT
#endif
typedef float narrow_vec __attribute__((vector_size(BYTES / 2))); /* floats, as many as there are doubles in a vector */

#define IS_DOUBLE 1
#define IS_BFLOAT16 0
#include "kernel_body.h"
#undef IS_DOUBLE
#undef IS_BFLOAT16
#define IS_DOUBLE 0
#define IS_BFLOAT16 0
#include "kernel_body.h"
#undef IS_BFLOAT16
#define IS_BFLOAT16 1
#include "kernel_body.h"
#include "kernel_predict.h"
#include "kernel_passages.h"
#include "kernel_sample.h"
#include "kernel_learn.h"
#include "kernel_adapt_products.h"
#include "kernel_adapt.h"
#include "kernel_matching.h"

/* -- what Python calls --------------------------------------------------------------------------------------------- */

#ifdef _WIN32
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

PUBLIC void charrnn_forward(const void *passes, int threads, int precision) {
  if (precision == FLOAT64) run_forward_double(passes, threads);
  else if (precision == BFLOAT16) run_forward_bfloat16(passes, threads);
  else run_forward_float(passes, threads);
}
PUBLIC void charrnn_backward(const void *passes, int threads, int precision) {
  if (precision == FLOAT64) run_backward_double(passes, threads);
  else if (precision == BFLOAT16) run_backward_bfloat16(passes, threads);
  else run_backward_float(passes, threads);
}
PUBLIC void charrnn_likelihood(void *loss, int threads, int precision) {
  (void)threads;
  if (precision == FLOAT64) likelihood_double(loss);
  else likelihood_float(loss);
}
PUBLIC void charrnn_loss_gradient(const void *loss, int threads, int precision) {
  if (precision == FLOAT64) run_loss_gradient_double(loss, threads);
  else run_loss_gradient_float(loss, threads);
}
PUBLIC void charrnn_rmsprop(void *update, int threads, int precision) {
  if (precision == FLOAT64) run_rmsprop_double(update, threads);
  else run_rmsprop_float(update, threads);
}
PUBLIC void charrnn_drop(const void *drop, int threads, int precision) {
  if (precision == FLOAT64) run_drop_double(drop, threads);
  else run_drop_float(drop, threads);
}
PUBLIC void charrnn_workspace_sizes(const void *layer, struct workspace_sizes *sizes, int precision) {
  if (precision == FLOAT64) workspace_sizes_double(layer, sizes);
  else workspace_sizes_float(layer, sizes);
}
PUBLIC void charrnn_read(const struct reading *reading) { read_characters(reading); }
PUBLIC void charrnn_adapt(const struct adapting *adapting, int threads) { read_and_learn(adapting, threads); }
PUBLIC void charrnn_sample(struct sampling *sampling) { sample_characters(sampling); }
PUBLIC void charrnn_build_matcher(struct matcher *m, int64_t count) { build_matcher(m, count); }
PUBLIC void charrnn_match(struct matcher *m, const uint8_t *text, int64_t count, int threads) {
  match_text(m, text, count, threads);
}
PUBLIC void charrnn_finish_matching(struct matcher *m, int32_t *lengths, int64_t *positions, int32_t *by_length,
                                    int32_t *counts) {
  finish_matching(m, lengths, positions, by_length, counts);
}
PUBLIC void charrnn_index_passages(const struct passages *passages) { index_passages(passages); }
PUBLIC void charrnn_filter_passages(const struct passages *passages) { filter_passages(passages); }
PUBLIC void charrnn_append(struct copy_limit *limit, const int64_t *ids, int64_t count) {
  for (int64_t k = 0; k < count; k++) append_character(limit, ids[k]);
}
PUBLIC void charrnn_forbid(struct copy_limit *limit, double *log_probs) {
  limit->forbidden = forbid_characters(limit, log_probs);
}
PUBLIC void charrnn_reading_sizes(const struct network *n, int64_t T, int64_t B, struct reading_sizes *sizes) {
  sizes->panel_width = PREDICT_NR, sizes->rows_per_step = ROWS_PER_STEP, sizes->workspace = reading_workspace(n, T, B);
}

/* Sizes of the structures, offsets of their fields, and the constants by which Python sizes arrays;
   kernel_library.py compares them with its own before any call. */
struct layout {
  const char *name;
  int64_t value;
};
PUBLIC const struct layout charrnn_layout[] = {
    WHOLE_LAYOUT{"block", BLOCK},
    {"ignored", IGNORED},
    {"sums", SUMS},
    {"groups", GROUPS},
    {"match_state", sizeof(struct match_state)},
    {"inline_edges", INLINE_EDGES},
    {"filter_words", FILTER_WORDS},
    {0, 0}};

/* Whether each product that is added to something is rounded once, so that results are the same bits everywhere. */
PUBLIC const int64_t charrnn_fuses = FUSES;

/* A hash of the sources; setup.py gives it. */
#ifndef SOURCES
#define SOURCES "unknown"
#endif
PUBLIC const char *const charrnn_sources = SOURCES;

/* Which of kernel_library.LEVELS the processor has, from 0. */
PUBLIC int charrnn_best_level(void) {
#if defined(__x86_64__) || defined(_M_X64)
  unsigned int eax = 0, ebx, ecx, edx;
  int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  /* Bit 5 of EAX says AVX512_BF16; older compilers don't know its name. */
  int avx512bf16 = __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && eax >> 5 & 1;
  return avx2 + (avx2 && avx512) + (avx2 && avx512 && avx512bf16);
#else
  return 0;
#endif
}
