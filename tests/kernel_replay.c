/* Train a network by the C kernel alone, without Python, on what kernel_replay.py has written. The structures of float have
   the layout of those of double. So the kernel runs on processors that an emulator has, and under a sanitizer that PyTorch would not bear.

   replay INPUT OUTPUT. INPUT: the int64 of struct header, the places of the weights in the vector of parameters, the
   parameters, the states before the first step, and for each step x, y and the masks. OUTPUT: for each step the
   likelihoods at temperatures 1.25 and 1 and the two sums of squares as doubles, then the log-probabilities of the
   last step, the parameters, the gradient, the mean squares, and the states. */

#include "../pycharrnn/kernel.c"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct header {
  int64_t cell, num_gates, layers, T, B, H, V, P, precision, steps, end_id, threads;
};
static struct header h;

static void *room(int64_t elements) {
  void *array = calloc((size_t)elements + 1, h.precision == FLOAT64 ? sizeof(double) : sizeof(float));
  if (!array) abort();
  return array;
}

static void *at(void *array, int64_t element) { return (char *)array + element * (h.precision == FLOAT64 ? 8 : 4); }

static void get(FILE *file, void *to, int64_t elements, size_t size) {
  if (fread(to, size, (size_t)elements, file) != (size_t)elements) abort();
}

static void put(FILE *file, const void *from, int64_t elements, size_t size) {
  if (fwrite(from, size, (size_t)elements, file) != (size_t)elements) abort();
}

/* Point the weights of all gates, or their gradients, into a vector of P elements. */
static void point(struct layer_double *l, const int64_t *places, void *vector, int gradients) {
  double **to[] = {gradients ? l->d_i2h_weight : (double **)l->i2h_weight, gradients ? l->d_i2h_bias : (double **)l->i2h_bias,
                   gradients ? l->d_h2h_weight : (double **)l->h2h_weight, gradients ? l->d_h2h_bias : (double **)l->h2h_bias};
  for (int kind = 0; kind < 4; kind++)
    for (int64_t g = 0; g < l->num_gates; g++)
      if (places[4 * kind + g] >= 0) to[kind][g] = at(vector, places[4 * kind + g]);
}

static void make_layers(struct layer_double *layer, void *log_probs, void *d_logits, const uint8_t *begins) {
  int64_t packed_a = 0, workspace = 0;
  void *dh = room(h.T * h.B * h.H), *d_reset_h = room(h.B * h.H);
  for (int64_t i = 0; i <= h.layers; i++) {
    struct layer_double *l = &layer[i];
    int decoder = i == h.layers;
    *l = (struct layer_double){.T = h.T, .B = h.B, .H = decoder ? h.V : h.H, .D = i ? h.H : 0, .vocab = h.V};
    l->cell = decoder ? DECODER : h.cell, l->num_gates = decoder ? 1 : h.num_gates;
    struct workspace_sizes r;
    charrnn_workspace_sizes(l, &r, (int)h.precision);
    l->bias = room(r.bias), l->panels = room(r.panels), l->back_panels = room(r.back_panels), l->dh = dh;
    if (r.packed_a_width > packed_a) packed_a = r.packed_a_width;
    if (r.workspace_width > workspace) workspace = r.workspace_width;
    if (i) l->x = at(layer[i - 1].h, h.B * h.H), l->mask = room(h.T * h.B * h.H), l->masked = room(h.T * h.B * h.H);
    if (decoder) {
      l->gates = log_probs, l->d_gates = d_logits;
      continue;
    }
    l->gates = l->d_gates = room(h.T * h.B * h.num_gates * h.H), l->h = room((h.T + 1) * h.B * h.H);
    l->begins = begins, l->zeros = room(h.num_gates * h.H);
    l->extra = room(h.T * h.B * h.H), l->first_dh = room(h.B * h.H), l->d_reset_h = d_reset_h;
    if (h.cell == LSTM) l->c = room((h.T + 1) * h.B * h.H), l->dc = room(h.B * h.H);
    if (!i) l->sums = room(h.V * h.num_gates * h.H);
  }
  void *packed = room(h.B * packed_a), *spaces = room(h.threads * workspace);
  for (int64_t i = 0; i <= h.layers; i++)
    layer[i].packed_a = packed, layer[i].packed_a_width = packed_a, layer[i].workspace = spaces,
    layer[i].workspace_width = workspace;
}

static void each_state(struct layer_double *layer, FILE *in, FILE *out, int carry) {
  size_t size = h.precision == FLOAT64 ? 8 : 4;
  for (int64_t i = 0; i < h.layers; i++)
    for (int k = h.cell == LSTM ? 0 : 1; k < 2; k++) {
      void *first = k ? layer[i].h : layer[i].c, *last = at(first, h.T * h.B * h.H);
      if (in) get(in, first, h.B * h.H, size);
      if (out) put(out, last, h.B * h.H, size);
      if (carry) memcpy(first, last, (size_t)(h.B * h.H) * size);
    }
}

int main(int arguments, char **argument) {
  FILE *in = arguments == 3 ? fopen(argument[1], "rb") : 0, *out = in ? fopen(argument[2], "wb") : 0;
  if (!out) return 2;
  get(in, &h, sizeof h / sizeof(int64_t), sizeof(int64_t));
  const int precision = (int)h.precision, threads = (int)h.threads;
  const int64_t rows = h.T * h.B;
  const size_t size = precision == FLOAT64 ? 8 : 4;
  struct layer_double *layer = calloc((size_t)h.layers + 1, sizeof *layer);
  void *parameters = room(h.P), *gradient = room(h.P), *mean_square = room(h.P);
  void *log_probs = room(rows * h.V), *d_logits = room(rows * h.V);
  int64_t *x = calloc((size_t)rows, 8), *y = calloc((size_t)rows, 8);
  double *squares = calloc((size_t)(2 * (h.P / BLOCK + 1)), 8);
  uint8_t *begins = calloc((size_t)rows, 1);
  if (!layer || !x || !y || !squares || !begins) abort();
  make_layers(layer, log_probs, d_logits, begins);
  layer[0].characters = x;
  for (int64_t i = 0; i <= h.layers; i++) {
    int64_t places[16];
    get(in, places, 16, sizeof(int64_t));
    point(&layer[i], places, parameters, 0), point(&layer[i], places, gradient, 1);
  }
  get(in, parameters, h.P, size);
  each_state(layer, in, 0, 0);
  const struct passes_double passes = {h.layers + 1, layer};
  struct loss_double loss = {rows, h.V, h.B, y, log_probs, d_logits, 1, 0};
  struct update_double update = {h.P, gradient, mean_square, parameters, 5, .95, .002, 1e-8, squares, 0, 0};
  for (int64_t step = 0; step < h.steps; step++) {
    get(in, x, rows, 8), get(in, y, rows, 8);
    for (int64_t i = 0; i < rows; i++) begins[i] = x[i] == h.end_id;
    for (int64_t i = 1; i <= h.layers; i++) get(in, (void *)layer[i].mask, rows * h.H, size);
    if (step) each_state(layer, 0, 0, 1);
    for (int64_t i = 0; i < h.layers && h.cell == LSTM; i++) memset(layer[i].dc, 0, (size_t)(h.B * h.H) * size);
    charrnn_forward(&passes, threads, precision);
    loss.temperature = 1.25, charrnn_likelihood(&loss, threads, precision);
    const double tempered = loss.likelihood;
    loss.temperature = 1, charrnn_likelihood(&loss, threads, precision);
    charrnn_loss_gradient(&loss, threads, precision);
    charrnn_backward(&passes, threads, precision);
    charrnn_rmsprop(&update, threads, precision);
    const double figures[] = {tempered, loss.likelihood, update.of_gradient, update.of_parameters};
    put(out, figures, 4, 8);
  }
  put(out, log_probs, rows * h.V, size);
  put(out, parameters, h.P, size), put(out, gradient, h.P, size), put(out, mean_square, h.P, size);
  each_state(layer, 0, out, 0);
  return fclose(out) != 0;
}
