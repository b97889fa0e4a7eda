/* How the matrix products of one precision hold the numbers that they multiply: in words of the size of a REAL.

   In double and in float a word is a number. In bfloat16 it is a float that was rounded to bfloat16, the upper half of
   its bits; sums stay floats. Where the processor multiplies pairs (VDPBF16PS), a word is a pair of such numbers, the
   first in the upper half: its product is added first, and each sum is rounded, as if the numbers had come one by one.
   So the bits of a product of matrices depend neither on PAIRS nor on the processor. */

#if IS_BFLOAT16 && defined(__AVX512BF16__)
#define PAIRS 1
#else
#define PAIRS 0
#endif
#define TERMS (1 + PAIRS)                        /* numbers in a word */
#define WORDS(count) (((count) + PAIRS) / TERMS) /* words that `count` numbers take */
/* The second number of an odd count's last pair, in the left and in the right factor: their product, -0, changes no
   sum. */
#define LEFT_PAD ((REAL)-0.0)
#define RIGHT_PAD ((REAL)0.0)

#if IS_BFLOAT16 && !PAIRS
/* Floats rounded as by VCVTNEPS2BF16: to the nearest bfloat16, of two equally near ones to the even one. Subnormal
   numbers become zeros of their sign, NaN stays NaN. */
INLINE NAME(bits) NAME(rounded)(VECTOR x) {
  NAME(bits) bits = (NAME(bits))x, nearest = bits + 0x7fff + (bits >> 16 & 1);
  VECTOR number = NAME(choose)((bits & 0x7f800000) == 0, (VECTOR)(bits & 0x80000000), (VECTOR)nearest);
  return (NAME(bits))NAME(choose)(x != x, (VECTOR)(bits | 0x400000), number) & 0xffff0000;
}
#endif

/* Each element a word of a number of `first` and, of pairs, one of `second`. */
INLINE VECTOR NAME(words)(VECTOR first, VECTOR second) {
  (void)second;
#if PAIRS
  __m512i upper = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)first));
  __m512i lower = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)second));
  return (VECTOR)_mm512_or_epi32(_mm512_slli_epi32(upper, 16), lower);
#elif IS_BFLOAT16
  return (VECTOR)NAME(rounded)(first);
#else
  return first;
#endif
}

/* The words of up to LANES*TERMS numbers, which lie side by side. */
INLINE VECTOR NAME(words_at)(const REAL *from, int64_t count) {
  int n = count < LANES ? (int)count : LANES;
#if PAIRS
  int more = count - n < LANES ? (int)count - n : LANES;
  __m512bh pairs = _mm512_cvtne2ps_pbh((__m512)LOAD(from + LANES, more), (__m512)LOAD(from, n)); /* first ones below */
  return (VECTOR)_mm512_rol_epi32((__m512i)pairs, 16);
#else
  return NAME(words)(LOAD(from, n), (VECTOR){0});
#endif
}

/* Write the words of `count` numbers to every `stride`-th element. pad: LEFT_PAD or RIGHT_PAD. */
INLINE void NAME(spread_words)(REAL *to, int64_t stride, const REAL *from, int64_t count, REAL pad) {
#if IS_BFLOAT16
  for (int64_t k = 0; k < WORDS(count); k += LANES) {
    int64_t left = count - k * TERMS;
    VECTOR words = NAME(words_at)(from + k * TERMS, left);
    REAL each[LANES];
    STORE(each, words, LANES);
    for (int i = 0; i < LANES && i < WORDS(left); i++) to[(k + i) * stride] = each[i];
  }
  if (PAIRS && count % 2) to[count / 2 * stride] = NAME(words)(SPLAT(from[count - 1]), SPLAT(pad))[0];
#else
  (void)pad;
  for (int64_t k = 0; k < count; k++) to[k * stride] = from[k];
#endif
}

/* Write `width` words, each of a number of `first` and of the one below it in `second`; of the pad if that is null. */
INLINE void NAME(join_rows)(REAL *to, const REAL *first, const REAL *second, int64_t width, REAL pad) {
  EACH_VECTOR(LANES, width, j, n, {
    VECTOR below = second ? LOAD(second + j, n) : SPLAT(pad);
    STORE(to + j, NAME(words)(LOAD(first + j, n), below), n);
  })
}

/* A word in each element. Words are copied, not computed with: a pair's bits may be those of any float. */
INLINE VECTOR NAME(splat_word)(REAL word) {
#if PAIRS
  return (VECTOR)_mm512_set1_ps(word);
#else
  return SPLAT(word);
#endif
}

/* sum + a*b, in each element; of pairs, sum + a[0]*b[0] + a[1]*b[1], from the left. */
INLINE VECTOR NAME(add_products)(VECTOR a, VECTOR b, VECTOR sum) {
#if PAIRS
  return (VECTOR)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
  return FMA(a, b, sum);
#endif
}

/* VDPBF16PS takes subnormal numbers as zeros and makes zeros of subnormal sums. From here to restore_subnormals, which
   takes the result, FMA does so too. (NEON tests a sum before rounding it. So it makes zero of a sum just below the
   smallest normal number, which x86 rounds up to that number.) */
#if IS_BFLOAT16 && !PAIRS && (defined(__x86_64__) || defined(__aarch64__))
INLINE uint64_t NAME(flush_subnormals)(void) {
#if defined(__x86_64__)
  uint32_t before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | 0x8040); /* FTZ, DAZ */
#else
  uint64_t before;
  __asm__ volatile("mrs %0, fpcr" : "=r"(before));
  __asm__ volatile("msr fpcr, %0" : : "r"(before | 1 << 24)); /* FZ */
#endif
  return before;
}

INLINE void NAME(restore_subnormals)(uint64_t before) {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr((uint32_t)before);
#else
  __asm__ volatile("msr fpcr, %0" : : "r"(before));
#endif
}
#else
INLINE uint64_t NAME(flush_subnormals)(void) { return 0; }
INLINE void NAME(restore_subnormals)(uint64_t before) { (void)before; }
#endif
