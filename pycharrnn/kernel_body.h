/* Training in one precision. kernel.c includes this file three times, with IS_DOUBLE, IS_BFLOAT16 or neither 1, and has
   defined for its instruction set

     BYTES  of a vector register
     MR     rows of the largest register tile: MR x 2 vectors of sums, and a few more, fit the registers

   Every result is the same to the last bit whatever the width of the vectors, the number of threads and the division
   of the work: each sum adds its terms in one order, each product that is added to something is FUSED, and IEEE 754
   rounds everything else in one way. Compilers must not fuse anything else: see setup.py. */

#if IS_DOUBLE
#define NAME(x) PASTE(x, _double)
#define REAL double
#define INT int64_t
#define UINT uint64_t
#define MANTISSA 52
#define SQRT __builtin_sqrt
#define FUSED FUSED_DOUBLE
#define FUSED1 FUSED1_DOUBLE
#define VMIN MIN_DOUBLE
#define VMAX MAX_DOUBLE
#else
#if IS_BFLOAT16
#define NAME(x) PASTE(x, _bfloat16)
#else
#define NAME(x) PASTE(x, _float)
#endif
#define REAL float
#define INT int32_t
#define UINT uint32_t
#define MANTISSA 23
#define SQRT __builtin_sqrtf
#define FUSED FUSED_FLOAT
#define FUSED1 FUSED1_FLOAT
#define VMIN MIN_FLOAT
#define VMAX MAX_FLOAT
#endif
#define LANES ((int)(BYTES / sizeof(REAL)))
#define NR (2 * LANES) /* columns of a panel */
#define VECTOR NAME(vector)
#define LOAD NAME(load)
#define STORE NAME(store)
#define SPLAT NAME(splat)
#define FMA NAME(fma)
#define LAYER struct PASTE(layer_, REAL)
#define PASSES struct PASTE(passes_, REAL)
#define LOSS struct PASTE(loss_, REAL)
#define UPDATE struct PASTE(update_, REAL)
#define DROP struct PASTE(drop_, REAL)
#include "kernel_math.h"
#include "kernel_factors.h"
#include "kernel_gemm.h"
#include "kernel_train.h"
#include "kernel_passes.h"
#if !IS_BFLOAT16 /* all else is that of float */
#include "kernel_loss.h"
#include "kernel_drop.h"
#endif
#undef NAME
#undef REAL
#undef INT
#undef UINT
#undef MANTISSA
#undef SQRT
#undef FUSED
#undef FUSED1
#undef VMIN
#undef VMAX
#undef LANES
#undef NR
#undef VECTOR
#undef LOAD
#undef STORE
#undef SPLAT
#undef FMA
#undef LAYER
#undef PASSES
#undef LOSS
#undef UPDATE
#undef DROP
#undef PAIRS
#undef TERMS
#undef WORDS
#undef LEFT_PAD
#undef RIGHT_PAD
