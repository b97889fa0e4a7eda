/* Vectors of one precision, and the functions that they need: exp, sigmoid, tanh, log; sums and maxima of arrays. */

typedef REAL VECTOR __attribute__((vector_size(BYTES)));
typedef INT NAME(mask) __attribute__((vector_size(BYTES))); /* of a comparison: 0 or -1 */
typedef UINT NAME(bits) __attribute__((vector_size(BYTES)));

INLINE VECTOR LOAD(const REAL *p, int n) { /* p[:n], then zeros */
  VECTOR v = {0};
  if (n == LANES) __builtin_memcpy(&v, p, BYTES);
  else __builtin_memcpy(&v, p, n * sizeof(REAL));
  return v;
}

INLINE void STORE(REAL *p, VECTOR v, int n) {
  if (n == LANES) __builtin_memcpy(p, &v, BYTES);
  else __builtin_memcpy(p, &v, n * sizeof(REAL));
}

INLINE VECTOR SPLAT(REAL x) { return x - (VECTOR){0}; }

INLINE VECTOR FMA(VECTOR a, VECTOR b, VECTOR c) { return (VECTOR)FUSED(a, b, c); } /* a*b + c, rounded once */

INLINE VECTOR NAME(sqrt)(VECTOR x) {
  for (int i = 0; i < LANES; i++) x[i] = SQRT(x[i]);
  return x;
}

/* `yes` where the mask is set, else `no`. */
INLINE VECTOR NAME(choose)(NAME(mask) mask, VECTOR yes, VECTOR no) {
  return (VECTOR)((mask & (NAME(mask))yes) | (~mask & (NAME(mask))no));
}

/* The smaller and the larger of two numbers; b if one of them is NaN. */
INLINE VECTOR NAME(min)(VECTOR a, VECTOR b) { return (VECTOR)VMIN(a, b); }
INLINE VECTOR NAME(max)(VECTOR a, VECTOR b) { return (VECTOR)VMAX(a, b); }

INLINE VECTOR NAME(clamp)(VECTOR x, REAL limit) { /* NaN stays NaN */
  return NAME(min)(SPLAT(limit), NAME(max)(SPLAT(-limit), x));
}

/* -- exp, sigmoid, tanh and log ------------------------------------------------------------------------------------ */

/* exp(x) = 2^k * exp(r), |r| <= ln(2)/2. Gives 2^k, and exp(r)-1 from its Taylor series: the first term left out is
   below a quarter of the last bit. x must be clamped to where 2^k is a normal number; NaN stays NaN. */
INLINE VECTOR NAME(exp_parts)(VECTOR x, VECTOR *scale) {
#if IS_DOUBLE
  const REAL magic = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to a whole number, found in the low bits */
  const REAL ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
  const UINT bias = 1023;
#else
  const REAL magic = 12582912.0f; /* 1.5 * 2^23 */
  const REAL ln2_high = 6.93145751953125e-1f, ln2_low = 1.42860682030941723212e-6f;
  const UINT bias = 127;
#endif
  VECTOR shifted = FMA(x, SPLAT((REAL)1.44269504088896340736), SPLAT(magic));
  VECTOR k = shifted - magic;
  VECTOR r = FMA(k, SPLAT(-ln2_high), x);
  r = FMA(k, SPLAT(-ln2_low), r);
  *scale = (VECTOR)(((NAME(bits))shifted + bias) << MANTISSA);
#define TERM(x) p = FMA(p, r, SPLAT((REAL)(x)))
#if IS_DOUBLE
  VECTOR p = SPLAT(1.0 / 6227020800.0);
  TERM(1.0 / 479001600.0);
  TERM(1.0 / 39916800.0);
  TERM(1.0 / 3628800.0);
  TERM(1.0 / 362880.0);
  TERM(1.0 / 40320.0);
  TERM(1.0 / 5040.0);
#else
  VECTOR p = SPLAT(1.0f / 5040.0f);
#endif
  TERM(1.0 / 720.0);
  TERM(1.0 / 120.0);
  TERM(1.0 / 24.0);
  TERM(1.0 / 6.0);
  TERM(0.5);
  TERM(1);
#undef TERM
  return p * r;
}

INLINE VECTOR NAME(exp)(VECTOR x) { /* of x within +-708, or +-87 for floats, else of that bound */
  VECTOR scale, less_one = NAME(exp_parts)(NAME(clamp)(x, IS_DOUBLE ? 708 : 87), &scale);
  return FMA(scale, less_one, scale);
}

INLINE VECTOR NAME(sigmoid)(VECTOR x) { return 1 / (1 + NAME(exp)(-x)); }

INLINE VECTOR NAME(tanh)(VECTOR x) { /* (exp(2x)-1) / (exp(2x)+1), exact in relative terms near 0 too */
  VECTOR scale, less_one = NAME(exp_parts)(NAME(clamp)(2 * x, 60), &scale);
  VECTOR exp_less_one = FMA(scale, less_one, scale - 1);
  return exp_less_one / (exp_less_one + 2);
}

/* x = 2^k * m for x from 1 to the largest number, m from sqrt(1/2) to sqrt(2). Gives k, and log(m) = 2*artanh(s) for
   s = (m-1)/(m+1), by the terms of its series that are not below the last bit. */
INLINE REAL NAME(log_parts)(REAL x, REAL *k) {
#if IS_DOUBLE
  const UINT offset = 0x3fe6a09e667f3bce; /* bits of the number above sqrt(1/2) */
  const int terms = 11;
#else
  const UINT offset = 0x3f3504f4;
  const int terms = 5;
#endif
  UINT bits, exponent;
  __builtin_memcpy(&bits, &x, sizeof x);
  exponent = (bits - offset) >> MANTISSA;
  bits -= exponent << MANTISSA;
  REAL m;
  __builtin_memcpy(&m, &bits, sizeof m);
  REAL s = (m - 1) / (m + 1), square = s * s, series = 0;
  UNROLL
  for (int i = terms; i > 0; i--) series = FUSED1(series, square, (REAL)1 / (REAL)(2 * i + 1));
  *k = (REAL)(int)exponent;
  return 2 * FUSED1(series * square, s, s);
}

/* log(x) as training rounds it; NaN stays NaN. */
INLINE REAL NAME(log)(REAL x) {
  REAL k, of_m = NAME(log_parts)(x, &k);
  return x == x ? FUSED1(k, (REAL)0.69314718055994530942, of_m) : x;
}

/* -- sums and maxima ----------------------------------------------------------------------------------------------- */

/* The sum of a power of two of numbers, by halves, so that the width of vectors changes nothing. Changes them. */
INLINE REAL NAME(add_up)(REAL *sums, const int count) {
  for (int width = count / 2; width; width /= 2)
    for (int i = 0; i < width; i++) sums[i] += sums[i + width];
  return sums[0];
}

INLINE void NAME(add_squares)(REAL *sums, VECTOR x, int n) { /* of x[:n]; the others must be zeros */
  STORE(sums, FMA(x, x, LOAD(sums, n)), n);
}

/* Element i is added to partial sum i % partial; partial is SUMS or less. */
INLINE REAL NAME(sum)(const REAL *x, int64_t n, const int partial) {
  REAL sums[SUMS] = {0};
  int64_t i = 0;
  for (; i + partial <= n; i += partial)
    for (int k = 0; k < partial; k++) sums[k] += x[i + k];
  for (int k = 0; i < n; i++, k++) sums[k] += x[i];
  return NAME(add_up)(sums, partial);
}

/* The largest of n numbers. A NaN among them may be passed over. */
INLINE REAL NAME(max_of)(const REAL *x, int64_t n) {
  REAL largest = x[0], of_each[LANES];
  int64_t i = 0;
  if (n >= LANES) {
    VECTOR found = LOAD(x, LANES);
    for (i = LANES; i + LANES <= n; i += LANES) found = NAME(max)(LOAD(x + i, LANES), found);
    STORE(of_each, found, LANES);
    for (int k = 0; k < LANES; k++) largest = of_each[k] > largest ? of_each[k] : largest;
  }
  for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

/* The sum of exp(x - top), by so many partial sums. exps: workspace of n numbers. */
INLINE REAL NAME(sum_exp)(const REAL *x, int64_t n, REAL top, REAL *exps, const int partial) {
  EACH_VECTOR(LANES, n, j, count, STORE(exps + j, NAME(exp)(LOAD(x + j, count) - top), count))
  return NAME(sum)(exps, n, partial);
}
