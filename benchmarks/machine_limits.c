/* What a processor can do at most: fused multiply-adds between registers, and reading memory.

   machine_limits.py compiles this for the machine at hand and calls it from as many threads as it wants figures for. */

#include <stdint.h>
#include <time.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define CHAINS 12 /* more than a multiply-add takes cycles times what a cycle begins; they fit into 16 registers */
#define ROUNDS 4096

#if defined(__AVX512F__)
#define REGISTER(v) "+v"(v)
#elif defined(__x86_64__)
#define REGISTER(v) "+x"(v)
#else
#define REGISTER(v) "+w"(v)
#endif

typedef double doubles __attribute__((vector_size(BYTES)));
typedef float floats __attribute__((vector_size(BYTES)));

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* Floating-point operations a second of y * a + x with values that neither grow nor shrink. The empty assembly keeps the
   compiler from computing the loop's result by itself, and each y in its register. */
#define STEP(y) y = y * a + x; __asm__ volatile("" : REGISTER(y));
#define RATE(name, vector, element)                                                                   \
  double name(double seconds) {                                                                       \
    vector a = (vector){0} + (element)0.5, x = (vector){0} + (element)1;                              \
    int64_t rounds = 0;                                                                               \
    double start = now(), end;                                                                        \
    do {                                                                                              \
      vector y0 = x, y1 = x, y2 = x, y3 = x, y4 = x, y5 = x, y6 = x, y7 = x, y8 = x, y9 = x, y10 = x, \
             y11 = x;                                                                                 \
      for (int r = 0; r < ROUNDS; r++) {                                                              \
        STEP(y0) STEP(y1) STEP(y2) STEP(y3) STEP(y4) STEP(y5)                                         \
        STEP(y6) STEP(y7) STEP(y8) STEP(y9) STEP(y10) STEP(y11)                                       \
      }                                                                                               \
      rounds += ROUNDS;                                                                               \
    } while ((end = now()) - start < seconds);                                                        \
    return 2.0 * (BYTES / sizeof(element)) * CHAINS * rounds / (end - start);                         \
  }

RATE(double_rate, doubles, double)
RATE(float_rate, floats, float)

/* Bytes a second that are read of `bytes` bytes (a multiple of 1024, aligned to 64), over and over. */
double read_rate(const char *memory, int64_t bytes, double seconds) {
  doubles s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, s4 = {0}, s5 = {0}, s6 = {0}, s7 = {0};
  int64_t times = 0;
  double start = now(), end;
  do {
    for (const doubles *p = (const doubles *)memory; p < (const doubles *)(memory + bytes); p += 8) {
      s0 += p[0], s1 += p[1], s2 += p[2], s3 += p[3], s4 += p[4], s5 += p[5], s6 += p[6], s7 += p[7];
    }
    times++;
  } while ((end = now()) - start < seconds);
  s0 += s1 + s2 + s3 + s4 + s5 + s6 + s7;
  __asm__ volatile("" : REGISTER(s0));
  return (double)bytes * times / (end - start);
}
