/* A character-level language model in C99, weights included. `pycharrnn convert` wrote this file from a checkpoint.

     cc -O3 -march=native model.c -o model -lm
     ./model -seed 5 -length 300 -temperature 0.5

   Another program compiles this file with -DMODEL_NO_MAIN and defines MODEL_HEADER where it includes it, for the
   declarations alone. Nothing here allocates memory or opens a file, and only the weights are global.

   The model reads a text character by character. After each one it computes the probabilities of the next one. To
   write a text, the program draws a character from these and lets the model read it. All that the model knows of the
   characters before is its state: MODEL_UNITS numbers in each of MODEL_LAYERS layers.

   From top to bottom: the interface, the weights' names, exp and tanh, products of matrices and vectors, a layer, the
   network, random numbers, sampling, exact multiply-add, the command line, the vocabulary, the weights' values. For how
   the network works, read "a layer" and "the network" first. The names in capitals are sizes: V characters in the
   vocabulary, H units in a layer, LAYERS layers, and for each unit GATES sums.

   Every product that is added to something is a fused multiply-add, rounded once. So the results are the same for all
   compilers and processors with IEEE 754 arithmetic. x86 processors have an instruction for it that compilers use with
   -march=native; without it, a function takes many times as long. */

#ifdef __FAST_MATH__
#error "-ffast-math changes results: compile this file without it"
#endif
#if defined __FLT_EVAL_METHOD__ && (__FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2)
#error "arithmetic more precise than the numbers changes results: on x86, compile this file with -msse2 -mfpmath=sse"
#endif
#if defined __DBL_MANT_DIG__ && __DBL_MANT_DIG__ != 53
#error "double has to be the binary64 of IEEE 754"
#endif
#ifndef MODEL_INTERFACE
#define MODEL_INTERFACE

#include <stdint.h>

/* INSERT constants */

#if DOUBLE
typedef double model_real;
#else
typedef float model_real;
#endif

/* A text that the model reads or writes. INSERT size bytes. */
struct model_state {
  model_real h[MODEL_LAYERS][MODEL_UNITS]; /* hidden state */
#if LSTM
  model_real c[MODEL_LAYERS][MODEL_UNITS]; /* cell state */
#endif
  model_real sums[MODEL_GATES * MODEL_UNITS]; /* of weighted inputs, in one layer */
  model_real log_probs[MODEL_CHARACTERS];     /* logarithms of the probabilities of the next character */
  model_real probs[MODEL_CHARACTERS];         /* its probabilities at the temperature of the last draw */
  uint32_t random[624];                       /* words of the random number generator */
  int32_t next_random;                        /* index of the next of these words */
#if INT8
  int16_t rounded[MODEL_UNITS]; /* the vector of a product, as integers */
#endif
};

/* A character of the vocabulary: a byte, or the bytes of a code point. Its index in the vocabulary is its id. */
struct model_character {
  unsigned char size;
  char bytes[MODEL_LONGEST + 1];
};

#ifdef __cplusplus
extern "C" {
#endif
extern const struct model_character model_vocabulary[MODEL_CHARACTERS];

#if ITEMS
/* Begin an item. Until the first draw, the program may feed characters for it to begin with. */
#else
/* Begin a text: the state is zero, and all characters are equally probable. */
#endif
void model_start(struct model_state *state, uint32_t seed);

/* The id of the longest character of the vocabulary with which `text` begins; -1 if there is none. */
int model_find(const char *text);

/* Read a character. id: from 0 to MODEL_CHARACTERS - 1. */
void model_feed(struct model_state *state, int id);

/* Draw the next character, read it, and return its id. temperature: above 0; 1 keeps the model's probabilities, less
#if DOUBLE
   favors probable characters. Returns -1 if the temperature is so extreme that no probability is a positive number. */
#else
   favors probable characters. Returns -1 if the probabilities are NaN. */
#endif
int model_next(struct model_state *state, model_real temperature);
#if ITEMS

#define MODEL_HAS_ITEMS /* the model is one of items, not of a text */

/* Draw the rest of an item into a buffer of `size` bytes, size > 0, with a zero byte after it, and begin the next item.
   The item is cut where a character does not fit. Returns the number of bytes before the zero byte, or -1 as model_next
   does. */
int model_item(struct model_state *state, model_real temperature, char *buffer, int size);
#endif
#ifdef __cplusplus
}
#endif
#endif
#ifndef MODEL_HEADER

#include <math.h>
#include <string.h>

typedef model_real real;
#if DOUBLE
typedef uint64_t real_bits; /* the bits of a real number: sign, exponent, fraction */
#else
typedef uint32_t real_bits; /* the bits of a real number: sign, exponent, fraction */
#endif
enum { V = MODEL_CHARACTERS, H = MODEL_UNITS, LAYERS = MODEL_LAYERS, GATES = MODEL_GATES };

/* -- the weights --------------------------------------------------------------------------------------------------- */

#if INT8
/* A row of a matrix: H weights, each an integer from -127 to 127 that counts times a scale. The values are written as a
   string, which a compiler reads faster than a list of numbers; its zero byte comes last. */
typedef signed char int8_row[H + 1];

struct model_weights {
  int8_row input[V][GATES]; /* of layer 1: rows for each character; a scale for each sum */
  real input_scale[GATES * H];
#if DEEP
  int8_row below[LAYERS - 1][GATES * H]; /* of layers 2, 3, ...: a row, with a scale, for each sum */
  real below_scale[LAYERS - 1][GATES * H];
#endif
  real bias[LAYERS][GATES * H];
#if GRU
  int8_row recurrent[LAYERS][2 * H]; /* a row, with a scale, for each sum of the gates */
  real recurrent_scale[LAYERS][2 * H];
  int8_row candidate[LAYERS][H]; /* a row, with a scale, for each sum of the candidates */
  real candidate_scale[LAYERS][H];
#else
  int8_row recurrent[LAYERS][GATES * H]; /* a row, with a scale, for each sum */
  real recurrent_scale[LAYERS][GATES * H];
#endif
  int8_row decoder[V]; /* a row, with a scale, for each character that may come next */
  real decoder_scale[V];
  real decoder_bias[V];
};
#else
/* The weights of a matrix are stored as the bits of their numbers, in hexadecimal. A compiler needs half as much memory
   for these as for decimal fractions. */
struct model_weights {
  real_bits input[V][GATES * H]; /* of layer 1: a row for each character, bias included */
#if DEEP
  real_bits below[LAYERS - 1][H][GATES * H]; /* of layers 2, 3, ...: a row for each unit of the layer below */
  real bias[LAYERS - 1][GATES * H];
#endif
#if GRU
  real_bits recurrent[LAYERS][H][2 * H]; /* of the gates: a row for each unit of the state */
  real_bits candidate[LAYERS][H][H];     /* of the candidates: a row for each unit of the state after reset */
#else
  real_bits recurrent[LAYERS][H][GATES * H]; /* a row for each unit of the state */
#endif
  real_bits decoder[H][V]; /* a row for each unit of the last layer */
  real decoder_bias[V];
};
#endif

extern const struct model_weights model_weights; /* at the end of this file */

/* -- exp, sigmoid, tanh, log: not those of the C library, whose last digits differ --------------------------------- */

#if DOUBLE
enum { FRACTION_BITS = 52, EXPONENT_BIAS = 1023, EXP_TERMS = 13, LOG_TERMS = 11 };
#define SHIFT 6755399441055744.0 /* 1.5 * 2^52: a sum with it is rounded to a whole number, held in the lowest bits */
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define SQRT_HALF_BITS 0x3fe6a09e667f3bceU /* of the number above sqrt(1/2) */
#define LARGEST_EXPONENT 708               /* 2^k of larger ones overflows */
#else
enum { FRACTION_BITS = 23, EXPONENT_BIAS = 127, EXP_TERMS = 7, LOG_TERMS = 5 };
#define SHIFT 12582912.0F /* 1.5 * 2^23: a sum with it is rounded to a whole number, held in the lowest bits */
#define LN2_HIGH 6.93145751953125e-1F
#define LN2_LOW 1.42860682030941723212e-6F
#define SQRT_HALF_BITS 0x3f3504f4U /* of the number above sqrt(1/2) */
#define LARGEST_EXPONENT 87        /* 2^k of larger ones overflows */
#endif

/* a * b + c, rounded once. Where the C library's function may round twice, below is another one. */
#if DOUBLE
#if defined __FP_FAST_FMA || defined __FMA__ || defined __GLIBC__ || defined __APPLE__
static real multiply_add(real a, real b, real c) { return fma(a, b, c); }
#else
#define MODEL_EXACT_MULTIPLY_ADD
static real multiply_add(real a, real b, real c);
#endif
#else
#if defined __FP_FAST_FMAF || defined __FMA__ || defined __ARM_FEATURE_FMA || defined __GLIBC__ || defined __APPLE__
static real multiply_add(real a, real b, real c) { return fmaf(a, b, c); }
#else
#define MODEL_EXACT_MULTIPLY_ADD
static real multiply_add(real a, real b, real c);
#endif
#endif

/* The real number with these bits, and the bits of a real number. */
static real from_bits(real_bits bits) {
  real x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static real_bits to_bits(real x) {
  real_bits bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* x within -limit..limit. */
static real clamp(real x, int limit) {
  if (x < (real)-limit) return (real)-limit;
  return x > (real)limit ? (real)limit : x;
}

/* exp(x) = 2^k * exp(r), with a whole number k and |r| <= ln(2)/2. Stores 2^k in `power` and returns exp(r) - 1, from
   its Taylor series r + r^2/2! + r^3/3! + ... */
static real exp_parts(real x, real *power) {
  static const real inverse_factorials[] = {
#if DOUBLE
      1, 1, 0.5, 0.16666666666666666, 0.041666666666666664, 0.008333333333333333, 0.001388888888888889,
      0.0001984126984126984, 2.48015873015873e-05, 2.7557319223985893e-06, 2.755731922398589e-07,
      2.505210838544172e-08, 2.08767569878681e-09, 1.6059043836821613e-10};
#else
      1, 1, 0.5F, 0.16666667F, 0.041666668F, 0.008333334F, 0.0013888889F, 0.0001984127F};
#endif
  real shifted = multiply_add(x, (real)1.4426950408889634, SHIFT); /* x / ln(2) */
  real k = shifted - SHIFT;
  real r = multiply_add(k, -LN2_LOW, multiply_add(k, -LN2_HIGH, x));
  real series = inverse_factorials[EXP_TERMS];
  int n;
  for (n = EXP_TERMS - 1; n >= 1; n--) series = multiply_add(series, r, inverse_factorials[n]);
  *power = from_bits((to_bits(shifted) + EXPONENT_BIAS) << FRACTION_BITS);
  return series * r;
}

/* exp(x), for x within the range in which 2^k does not overflow. */
static real exp_of(real x) {
  real power, less_one = exp_parts(clamp(x, LARGEST_EXPONENT), &power);
  return multiply_add(power, less_one, power);
}
#if GATED

static real sigmoid(real x) { return 1 / (1 + exp_of(-x)); }
#endif

/* tanh(x) = (exp(2x) - 1) / (exp(2x) + 1) */
static real tanh_of(real x) {
  real power, less_one = exp_parts(clamp(2 * x, 60), &power);
  real exp_less_one = multiply_add(power, less_one, power - 1);
  return exp_less_one / (exp_less_one + 2);
}

/* log(x) = k * ln(2) + log(m) for x = 2^k * m >= 1, m from sqrt(1/2) to sqrt(2), and with s = (m - 1) / (m + 1)
   log(m) = 2 * (s + s^3/3 + s^5/5 + ...). */
static real log_of(real x) {
  static const real inverses[] = {
#if DOUBLE
      1, 0.3333333333333333, 0.2, 0.14285714285714285, 0.1111111111111111, 0.09090909090909091, 0.07692307692307693,
      0.06666666666666667, 0.058823529411764705, 0.05263157894736842, 0.047619047619047616, 0.043478260869565216};
#else
      1, 0.33333334F, 0.2F, 0.14285715F, 0.11111111F, 0.09090909F};
#endif
  real_bits exponent = (to_bits(x) - SQRT_HALF_BITS) >> FRACTION_BITS;
  real m = from_bits(to_bits(x) - (exponent << FRACTION_BITS));
  real s = (m - 1) / (m + 1), square = s * s, series = 0, k;
  int n;
  for (n = LOG_TERMS; n >= 1; n--) series = multiply_add(series, square, inverses[n]);
  k = (real)(int)exponent;
  return multiply_add(k, LN2_HIGH, multiply_add(k, LN2_LOW, 2 * multiply_add(series * square, s, s)));
}

/* -- products of matrices and vectors, sums ------------------------------------------------------------------------ */

#if INT8
#define ROUNDING_UNIT (1.0F / 4096) /* of vectors that are rounded for a product */

/* sums[j] += the product of row j of a matrix with a rounded vector, for each row. */
static void add_product(real *sums, const int8_row *matrix, const real *scales, int rows, const int16_t *rounded) {
  int j, k;
  for (j = 0; j < rows; j++) {
    int32_t sum = 0;
    for (k = 0; k < H; k++) sum += (int32_t)matrix[j][k] * rounded[k]; /* int may have 16 bits */
    sums[j] = multiply_add(scales[j] * ROUNDING_UNIT, (real)sum, sums[j]);
  }
}

/* H numbers from -1 to 1, as multiples of ROUNDING_UNIT. */
static const int16_t *round_to_integers(const real *x, int16_t *rounded) {
  int k;
  for (k = 0; k < H; k++) rounded[k] = (int16_t)(x[k] / ROUNDING_UNIT + (x[k] < 0 ? -0.5F : 0.5F));
  return rounded;
}
#else
/* sums += the product of a matrix of H rows with x: row k times x[k], one row after the other. */
static void add_product(real *sums, const real_bits *matrix, int columns, const real *x) {
  int j, k;
  for (k = 0; k < H; k++, matrix += columns)
    for (j = 0; j < columns; j++) sums[j] = multiply_add(from_bits(matrix[j]), x[k], sums[j]);
}
#endif

/* The sum of V numbers: eight partial sums, then the sums of their halves. */
static real sum_of(const real *x) {
  real partial[8] = {0};
  int k, width;
  for (k = 0; k < V; k++) partial[k % 8] += x[k];
  for (width = 4; width >= 1; width /= 2)
    for (k = 0; k < width; k++) partial[k] += partial[k + width];
  return partial[0];
}

/* -- a layer ------------------------------------------------------------------------------------------------------- */

#if LSTM
/* An LSTM's step. Of each unit there are four sums of weighted inputs. Three of them become gates, numbers from 0 to 1:

     i = sigmoid(sum)        input gate: how much of the candidate enters the cell
     f = sigmoid(sum)        forget gate: how much of the cell remains
     o = sigmoid(sum)        output gate: how much of the cell is visible outside
     g = tanh(sum)           candidate, from -1 to 1
     c = f * c + i * g       cell state
     h = o * tanh(c)         hidden state: what the next layer reads, and this one at the next character

   Since f can stay near 1, a cell can hold a number over hundreds of characters, such as that a quotation is open. */
static void step(struct model_state *s, int layer) {
  real *h = s->h[layer], *c = s->c[layer];
  const real *i = s->sums, *f = i + H, *o = f + H, *g = o + H;
  int k;
#if INT8
  add_product(s->sums, model_weights.recurrent[layer], model_weights.recurrent_scale[layer], GATES * H,
              round_to_integers(h, s->rounded));
#else
  add_product(s->sums, model_weights.recurrent[layer][0], GATES * H, h);
#endif
  for (k = 0; k < H; k++) {
    c[k] = multiply_add(sigmoid(i[k]), tanh_of(g[k]), sigmoid(f[k]) * c[k]);
    h[k] = sigmoid(o[k]) * tanh_of(c[k]);
  }
}
#elif GRU
/* A GRU's step. Of each unit there are three sums of weighted inputs. Two of them become gates, numbers from 0 to 1:

     z = sigmoid(sum)              update gate: how much of the state is replaced
     r = sigmoid(sum)              reset gate: how much of the state the candidate takes into account
     g = tanh(sum)                 candidate, from -1 to 1, whose sum has r * h in the place of h
     h = z * g + (1 - z) * h       hidden state: what the next layer reads, and this one at the next character

   Since z can stay near 0, a unit can hold a number over hundreds of characters, such as that a quotation is open. */
static void step(struct model_state *s, int layer) {
  real *h = s->h[layer], *z = s->sums, *r = z + H, *g = r + H;
  int k;
#if INT8
  add_product(z, model_weights.recurrent[layer], model_weights.recurrent_scale[layer], 2 * H,
              round_to_integers(h, s->rounded));
#else
  add_product(z, model_weights.recurrent[layer][0], 2 * H, h);
#endif
  for (k = 0; k < H; k++) r[k] = sigmoid(r[k]) * h[k];
#if INT8
  add_product(g, model_weights.candidate[layer], model_weights.candidate_scale[layer], H,
              round_to_integers(r, s->rounded));
#else
  add_product(g, model_weights.candidate[layer][0], H, r);
#endif
  for (k = 0; k < H; k++) h[k] = multiply_add(sigmoid(z[k]), tanh_of(g[k]) - h[k], h[k]);
}
#elif RNN
/* A plain RNN's step: h = tanh(sum of weighted inputs). h is what the next layer reads, and this one at the next
   character. */
static void step(struct model_state *s, int layer) {
  real *h = s->h[layer];
  int k;
#if INT8
  add_product(s->sums, model_weights.recurrent[layer], model_weights.recurrent_scale[layer], H,
              round_to_integers(h, s->rounded));
#else
  add_product(s->sums, model_weights.recurrent[layer][0], H, h);
#endif
  for (k = 0; k < H; k++) h[k] = tanh_of(s->sums[k]);
}
#endif

/* -- the network --------------------------------------------------------------------------------------------------- */

/* Begin the sums of layer 1 with its bias and the weights of a character. */
static void begin_with_character(struct model_state *s, int id) {
#if INT8
  const int8_row *row = model_weights.input[id];
  int gate, k, j = 0;
  for (gate = 0; gate < GATES; gate++)
    for (k = 0; k < H; k++, j++)
      s->sums[j] = multiply_add(model_weights.input_scale[j], row[gate][k], model_weights.bias[0][j]);
#else
  memcpy(s->sums, model_weights.input[id], sizeof s->sums);
#endif
}
#if DEEP

/* Begin the sums of a layer above, 1, 2, ..., with its bias and the weighted hidden state of the layer below. */
static void begin_with_layer_below(struct model_state *s, int layer) {
#if INT8
  memcpy(s->sums, model_weights.bias[layer], sizeof s->sums);
  add_product(s->sums, model_weights.below[layer - 1], model_weights.below_scale[layer - 1], GATES * H,
              round_to_integers(s->h[layer - 1], s->rounded));
#else
  memcpy(s->sums, model_weights.bias[layer - 1], sizeof s->sums);
  add_product(s->sums, model_weights.below[layer - 1][0], GATES * H, s->h[layer - 1]);
#endif
}
#endif

static real largest_of(const real *x) {
  real largest = x[0];
  int k;
  for (k = 1; k < V; k++) largest = x[k] > largest ? x[k] : largest;
  return largest;
}

/* logits -> log-probabilities, in place: log(exp(x) / the sum of all exp(x)). A common number subtracted from all x
   changes nothing; with the largest, no exp overflows. */
static void log_softmax(real *x, real *exps) {
  real largest = largest_of(x), log_sum;
  int k;
  for (k = 0; k < V; k++) exps[k] = exp_of(x[k] - largest);
  log_sum = largest + log_of(sum_of(exps));
  for (k = 0; k < V; k++) x[k] -= log_sum;
}

void model_feed(struct model_state *state, int id) {
#if DEEP
  int layer;
#endif
#if ITEMS
  if (id == MODEL_END) { /* items are independent */
    memset(state->h, 0, sizeof state->h);
#if LSTM
    memset(state->c, 0, sizeof state->c);
#endif
  }
#endif
  begin_with_character(state, id);
  step(state, 0);
#if DEEP
  for (layer = 1; layer < LAYERS; layer++) {
    begin_with_layer_below(state, layer);
    step(state, layer);
  }
#endif
  memcpy(state->log_probs, model_weights.decoder_bias, sizeof state->log_probs);
#if INT8
  add_product(state->log_probs, model_weights.decoder, model_weights.decoder_scale, V,
              round_to_integers(state->h[LAYERS - 1], state->rounded));
#else
  add_product(state->log_probs, model_weights.decoder[0], V, state->h[LAYERS - 1]);
#endif
  log_softmax(state->log_probs, state->probs);
}

/* -- random numbers: the Mersenne Twister of Matsumoto & Nishimura 1998, as Torch7 has it -------------------------- */

static void set_seed(struct model_state *s, uint32_t seed) {
  uint32_t k;
  s->random[0] = seed;
  for (k = 1; k < 624; k++) {
    uint32_t before = s->random[k - 1];
    s->random[k] = 1812433253U * (before ^ (before >> 30)) + k;
  }
  s->next_random = 624;
}

/* The next random number, from 0 to 2^32 - 1. */
static uint32_t random_word(struct model_state *s) {
  uint32_t *words = s->random, word;
  if (s->next_random == 624) {
    int k;
    for (k = 0; k < 624; k++) {
      uint32_t mixed = (words[k] & 0x80000000U) | (words[(k + 1) % 624] & 0x7fffffffU);
      words[k] = words[(k + 397) % 624] ^ (mixed >> 1) ^ ((mixed & 1U) ? 0x9908b0dfU : 0U);
    }
    s->next_random = 0;
  }
  word = words[s->next_random++];
  word ^= word >> 11;
  word ^= (word << 7) & 0x9d2c5680U;
  word ^= (word << 15) & 0xefc60000U;
  return word ^ (word >> 18);
}

/* -- sampling ------------------------------------------------------------------------------------------------------ */

void model_start(struct model_state *state, uint32_t seed) {
  int k;
  memset(state, 0, sizeof *state);
  set_seed(state, seed);
#if ITEMS
  (void)k;
  model_feed(state, MODEL_END);
#else
  for (k = 0; k < V; k++) state->log_probs[k] = 1 / (real)V; /* equal numbers, whatever they are */
#endif
}

int model_find(const char *text) {
  int id, found = -1;
  for (id = 0; id < V; id++) {
    const struct model_character *c = &model_vocabulary[id];
    if (memchr(c->bytes, '\0', c->size)) continue; /* a text ends before it */
    if (strncmp(text, c->bytes, c->size) == 0 && (found < 0 || c->size > model_vocabulary[found].size)) found = id;
  }
  return found;
}

/* The probabilities at a temperature: exp(log_probs / temperature), scaled to the sum 1. */
static void set_probs(struct model_state *s, real temperature) {
#if DOUBLE
  const real subtracted = 0;
#else
  const real subtracted = largest_of(s->log_probs); /* else all exps would be 0 in a float at a low temperature */
#endif
  real sum;
  int k;
  for (k = 0; k < V; k++) {
    real x = (s->log_probs[k] - subtracted) / temperature;
    s->probs[k] = x < -LARGEST_EXPONENT ? 0 : exp_of(x);
  }
  sum = sum_of(s->probs);
  for (k = 0; k < V; k++) s->probs[k] /= sum;
}

int model_next(struct model_state *state, real temperature) {
  real total = 0, sum = 0, u = (real)random_word(state) * (real)2.3283064365386963e-10; /* from 0 to 1 */
  int id;
  set_probs(state, temperature);
  for (id = 0; id < V; id++) total += (real)(float)state->probs[id];
  if (!(total > 0)) return -1; /* NaN too */
  for (id = 0; id < V - 1; id++) {
    sum += (real)(float)state->probs[id];
    if (sum / total >= u) break;
  }
  model_feed(state, id);
  return id;
}
#if ITEMS

int model_item(struct model_state *state, real temperature, char *buffer, int size) {
  int used = 0, id;
  while ((id = model_next(state, temperature)) != MODEL_END) {
    const struct model_character *c = &model_vocabulary[id < 0 ? 0 : id];
    if (id < 0) return -1;
    if (c->size > size - 1 - used) {
      model_feed(state, MODEL_END); /* a model may go on for long, so the rest is not drawn */
      break;
    }
    memcpy(buffer + used, c->bytes, c->size);
    used += c->size;
  }
  buffer[used] = '\0';
  return used;
}
#endif

/* -- exact multiply-add, where neither the processor nor the C library has it -------------------------------------- */

#ifdef MODEL_EXACT_MULTIPLY_ADD
#if DOUBLE
enum { NOT_FINITE = 0x7ff }; /* exponent of infinity and NaN */
#define SIGN ((uint64_t)1 << 63)

/* A whole number of 128 bits. */
struct wide {
  uint64_t high, low;
};

static struct wide shift_left(struct wide x, int n) {
  if (n >= 64) {
    x.high = x.low << (n - 64);
    x.low = 0;
  } else if (n > 0) {
    x.high = x.high << n | x.low >> (64 - n);
    x.low <<= n;
  }
  return x;
}

/* The last bit becomes 1 if a 1 is shifted out, since what lies above half way is rounded up. */
static struct wide shift_right(struct wide x, int n) {
  int lost = 0;
  for (; n >= 64 && (x.high | x.low); n -= 64) {
    lost |= x.low != 0;
    x.low = x.high;
    x.high = 0;
  }
  if (n > 0 && n < 64) {
    lost |= x.low << (64 - n) != 0;
    x.low = x.low >> n | x.high << (64 - n);
    x.high >>= n;
  }
  x.low |= (uint64_t)lost;
  return x;
}

static struct wide product(uint64_t a, uint64_t b) {
  const uint64_t half = 0xffffffffU;
  uint64_t middle = (a >> 32) * (b & half), other = (a & half) * (b >> 32), low = (a & half) * (b & half);
  uint64_t carry = (low >> 32) + (middle & half) + (other & half);
  struct wide result;
  result.high = (a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32) + (carry >> 32);
  result.low = carry << 32 | (low & half);
  return result;
}

static int exponent_of(uint64_t bits) { return (int)(bits >> FRACTION_BITS & NOT_FINITE); }

/* The fraction with its leading 1, which the smallest numbers, of exponent 0, lack. */
static uint64_t whole_of(uint64_t bits) {
  uint64_t one = (uint64_t)1 << FRACTION_BITS;
  return (bits & (one - 1)) | (exponent_of(bits) ? one : 0);
}

/* +-x * 2^exponent as a real number: to the nearest one, of two equally near ones that with an even last bit. */
static real rounded_real(struct wide x, int exponent, uint64_t sign) {
  uint64_t bits, rest;
  int n;
  for (n = 64; n >= 1; n /= 2) /* until the highest bit is 1 */
    if (x.high >> (64 - n) == 0) {
      x = shift_left(x, n);
      exponent -= n;
    }
  exponent += 127 + EXPONENT_BIAS;
  if (exponent >= NOT_FINITE) return from_bits(sign | (uint64_t)NOT_FINITE << FRACTION_BITS); /* infinity */
  if (exponent < 1) {
    x = shift_right(x, 1 - exponent);
    exponent = 1;
  }
  x = shift_right(x, 64);
  bits = x.low >> 11;
  rest = x.low & 0x7ff;
  bits += rest > 0x400 || (rest == 0x400 && (bits & 1));
  return from_bits(sign | (bits + ((uint64_t)(exponent - 1) << FRACTION_BITS)));
}

/* Schoolbook arithmetic: with whole numbers, as long as needed, and one rounding at the end. */
static real multiply_add(real a, real b, real c) {
  uint64_t A = to_bits(a), B = to_bits(b), C = to_bits(c), sign = (A ^ B) & SIGN;
  int ea = exponent_of(A), eb = exponent_of(B), ec = exponent_of(C), exponent, distance;
  struct wide x, y = {0, 0};
  if (ea == NOT_FINITE || eb == NOT_FINITE || !whole_of(A) || !whole_of(B)) return a * b + c;
  if (ec == NOT_FINITE) return c;
  if (!whole_of(C)) return a * b;
  /* a * b = x * 2^exponent, c = y * 2^exponent */
  x = product(whole_of(A), whole_of(B));
  y.low = whole_of(C);
  exponent = (ea ? ea : 1) + (eb ? eb : 1) - 2 * (EXPONENT_BIAS + FRACTION_BITS);
  distance = (ec ? ec : 1) - (EXPONENT_BIAS + FRACTION_BITS) - exponent;
  if (distance > 73) { /* c is large, and the end of x only matters for rounding */
    x = shift_right(x, distance - 73);
    y = shift_left(y, 73);
    exponent += distance - 73;
  } else if (distance >= 0) y = shift_left(y, distance);
  else {
    x = shift_left(x, 20);
    y = distance > -20 ? shift_left(y, 20 + distance) : shift_right(y, -20 - distance);
    exponent -= 20;
  }
  if (sign == (C & SIGN)) {
    x.low += y.low;
    x.high += y.high + (x.low < y.low);
    return rounded_real(x, exponent, sign);
  }
  if (x.high == y.high && x.low == y.low) return 0;
  if (x.high < y.high || (x.high == y.high && x.low < y.low)) {
    struct wide larger = y;
    y = x;
    x = larger;
    sign = C & SIGN;
  }
  x.high -= y.high + (x.low < y.low);
  x.low -= y.low;
  return rounded_real(x, exponent, sign);
}
#else
/* The product is exact in double precision. Where the sum is not, its last bit becomes 1. So it lies neither on a
   number of single precision nor halfway between two, and is rounded as the exact sum is. */
static real multiply_add(real a, real b, real c) {
  double x = (double)a * b, sum = x + c, c_part = sum - x;
  double error = (x - (sum - c_part)) + (c - c_part);
  uint64_t bits;
  memcpy(&bits, &sum, sizeof bits);
  if ((error < 0 || error > 0) && !(bits & 1)) {
    if ((error > 0) == (sum > 0)) bits++;
    else bits--;
    memcpy(&sum, &bits, sizeof sum);
  }
  return (real)sum;
}
#endif
#endif

/* -- the command line ---------------------------------------------------------------------------------------------- */

#ifndef MODEL_NO_MAIN
#include <stdio.h>
#include <stdlib.h>

#define LARGEST_SEED 9007199254740992LL /* 2^53: a double, in which `pycharrnn sample` reads it, is exact up to here */

struct options {
  uint32_t seed;
  real temperature;
#if ITEMS
  long items;
  long length; /* the most characters of an item, with its end */
#else
  long length; /* characters to draw; 0: no end */
#endif
#if LABELS
  const char *label;
#endif
  const char *primetext; /* what a text begins with */
};

/* INSERT about */

static void print_help(FILE *out, const char *program) {
#if LABELS
  int k;
#endif
  fprintf(out, "%s\n", about);
#if LABELS
  fprintf(out, "usage: %s -as LABEL [-items 10] [-seed 123] [-temperature 1] [-length 2000] [-primetext TEXT]\n",
          program);
  for (k = 0; k < MODEL_LABELS; k++) fprintf(out, "%s%s", k ? ", " : "labels: ", labels[k]);
  fputs("\n", out);
#elif ITEMS
  fprintf(out, "usage: %s [-items 10] [-seed 123] [-temperature 1] [-length 2000] [-primetext TEXT]\n", program);
#else
  fprintf(out, "usage: %s [-seed 123] [-temperature 1] [-length 2000] [-primetext TEXT]\n", program);
#endif
}
#if LABELS

static int is_label(const char *word) {
  int k;
  for (k = 0; k < MODEL_LABELS; k++)
    if (strcmp(labels[k], word) == 0) return 1;
  return 0;
}
#endif

/* Replace \n, \r, \t and \\ by what they stand for, as `pycharrnn sample` does: in a text of only the first three, and
   for a model without a backslash. */
static void unescape(char *text) {
  static const char letters[] = "nrt\\", characters[] = "\n\r\t\\";
  const char *from = text;
  while (from[0] == '\\' && (from[1] == 'n' || from[1] == 'r' || from[1] == 't')) from += 2;
  if (*from && model_find("\\") >= 0) return;
  for (from = text; *from; text++) {
    const char *letter = from[0] == '\\' && from[1] ? strchr(letters, from[1]) : NULL;
    *text = letter ? characters[letter - letters] : *from;
    from += letter ? 2 : 1;
  }
  *text = '\0';
}

/* What is wrong with a text to begin with, or NULL. */
static const char *problem_of(const char *text) {
#if LABELS
  int k;
  for (k = 0; k < MODEL_LABELS; k++) {
    size_t size = strlen(labels[k]);
    if (strncmp(text, labels[k], size) == 0 && text[size] == '\t') return "the text begins with a label; -as gives it";
  }
#endif
  while (*text) {
    int id = model_find(text);
    if (id < 0) return "the text has a character that the model does not know";
#if ITEMS
    if (id == MODEL_END) return "the text has the character that ends an item";
#endif
    text += model_vocabulary[id].size;
  }
  return NULL;
}

static const char no_option[] = "there is no such option; -help lists them";

/* Store the value of an option. Returns what is wrong with it, or NULL. */
static const char *set_option(struct options *opt, const char *name, const char *value) {
  char *end; /* of a number */
  if (strcmp(name, "-seed") == 0) {
    long long seed = strtoll(value, &end, 10);
    opt->seed = (uint32_t)seed;
    if (seed < -LARGEST_SEED || seed > LARGEST_SEED) return "the seed must be between -2^53 and 2^53";
    return end == value || *end ? "the seed must be a whole number" : NULL;
  }
  if (strcmp(name, "-temperature") == 0) {
    opt->temperature = (real)strtod(value, &end);
    if (!*end && opt->temperature > 0 && opt->temperature / 2 < opt->temperature) return NULL; /* not infinity */
    return "the temperature must be a finite number greater than 0";
  }
  if (strcmp(name, "-length") == 0) {
    opt->length = strtol(value, &end, 10);
#if ITEMS
    return end == value || *end || opt->length < 1 ? "the length must be a whole number greater than 0" : NULL;
  }
  if (strcmp(name, "-items") == 0) {
    opt->items = strtol(value, &end, 10);
    return end == value || *end || opt->items < 1 ? "the number of items must be a whole number greater than 0" : NULL;
  }
#else
    return end == value || *end || opt->length < 0 ? "the length must be a whole number, or 0 for no end" : NULL;
  }
#endif
#if LABELS
  if (strcmp(name, "-as") == 0) {
    opt->label = value;
    return is_label(value) ? NULL : "the model has no such label";
  }
#endif
  if (strcmp(name, "-primetext") == 0) {
    opt->primetext = value;
    return problem_of(value);
  }
  return no_option;
}

#if WHOLE
/* Whether these bytes are the beginning of a character in UTF-8 that has more of them. */
static int is_beginning(const unsigned char *bytes, int count) {
  int first = bytes[0];
  int length = first < 0xC2 || first > 0xF4 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  int lowest = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  int highest = first == 0xF4 ? 0x8F : 0xBF;
  if (count >= length) return 0;
  if (count > 1 && (bytes[1] < lowest || bytes[1] > highest)) return 0;
  return count < 3 || (bytes[2] & 0xC0) == 0x80;
}

/* Print a character. Bytes that begin one in UTF-8 wait for its last byte, so that a text ends with a whole one. */
static void print(int id) {
  static unsigned char waiting[4];
  static int count = 0;
  int k;
  for (k = 0; k < model_vocabulary[id].size; k++) {
    waiting[count++] = (unsigned char)model_vocabulary[id].bytes[k];
    while (count && !is_beginning(waiting, count)) {
      fputc(waiting[0], stdout);
      count--;
      memmove(waiting, waiting + 1, (size_t)count);
    }
  }
}
#else
static void print(int id) { fwrite(model_vocabulary[id].bytes, 1, model_vocabulary[id].size, stdout); }
#endif

/* Read a text, and print it if `shown`. Characters that the model does not know end it. */
static void feed_text(struct model_state *state, const char *text, int shown) {
  while (*text) {
    int id = model_find(text);
    if (id < 0) return;
    model_feed(state, id);
    if (shown) print(id);
    text += model_vocabulary[id].size;
  }
}

/* Print a text up to its end, or until it can't be written. Returns what else prevents that, or NULL. */
static const char *write_text(struct model_state *state, const struct options *opt) {
  long count;
#if LABELS
  feed_text(state, opt->label, 0);
  feed_text(state, "\t", 0);
#elif LINES
  if (!*opt->primetext) model_feed(state, MODEL_NEWLINE); /* a text begins as a line does */
#endif
  feed_text(state, opt->primetext, 1);
  for (count = 0; (count < opt->length || !opt->length) && !ferror(stdout); count++) {
    int id = model_next(state, opt->temperature);
    if (id < 0) return "no character has a positive probability";
#if ITEMS
    if (id == MODEL_END) break;
#endif
    print(id);
  }
  fputs("\n", stdout);
  return NULL;
}

/* Flush what was printed. Returns the program's exit status. */
static int end_output(const char *program) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return 0;
  fprintf(stderr, "%s: the output could not be written; the disk may be full.\n", program);
  return 1;
}

static int is_help(const char *word) {
  return strcmp(word, "-help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int main(int argc, char **argv) {
  static struct model_state state; /* may be too large for the stack */
#if LABELS
  struct options opt = {123, 1, 10, 2000, "", ""};
#elif ITEMS
  struct options opt = {123, 1, 10, 2000, ""};
#else
  struct options opt = {123, 1, 2000, ""};
#endif
  const char *problem = NULL;
  int at;
#if ITEMS
  long k;
#endif
  for (at = 1; at < argc; at += 2) {
    int has_value = at + 1 < argc;
    const char *value = has_value ? argv[at + 1] : "";
    if (is_help(argv[at])) {
      print_help(stdout, argv[0]);
      return end_output(argv[0]);
    }
    if (has_value && strcmp(argv[at], "-primetext") == 0) unescape(argv[at + 1]);
    problem = set_option(&opt, argv[at], value);
    if (problem == no_option) has_value = 0; /* what follows may be an option */
    else if (!has_value) problem = "the value is missing";
    if (problem) {
      fprintf(stderr, "%s: %s%s%s: %s.\n", argv[0], argv[at], has_value ? " " : "", has_value ? value : "", problem);
      return 1;
    }
  }
#if LABELS
  if (!*opt.label) {
    fprintf(stderr, "%s: -as is missing, with one of the labels that -help lists.\n", argv[0]);
    return 1;
  }
#endif
#if ITEMS
  for (k = 0; k < opt.items && !problem && !ferror(stdout); k++) {
#if SPACED
    if (k) fputs(/* INSERT lines between items */, stdout);
#endif
    model_start(&state, opt.seed + (uint32_t)k);
    problem = write_text(&state, &opt);
  }
#else
  model_start(&state, opt.seed);
  problem = write_text(&state, &opt);
#endif
  if (problem) {
    fprintf(stderr, "\n%s: %s", argv[0], problem);
    if (opt.temperature == 1) fputs(", since the model's training failed.\n", stderr);
    else fprintf(stderr, " at -temperature %g; one nearer to 1 helps.\n", (double)opt.temperature);
    return 1;
  }
  return end_output(argv[0]);
}
#endif

/* -- the vocabulary and the weights -------------------------------------------------------------------------------- */

/* INSERT vocabulary */

/* INSERT weights */
#endif
