/* Draws on several threads at once, and finds passages on the kernel's own, so that ThreadSanitizer sees two of them at one
   address. Training on the kernel's threads: kernel_replay.c. The buffers are as large as Python's. */

#include "../../pycharrnn/kernel.c"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { T = 3, B = 13, H = 21, V = 5, THREADS = 4 };

static void *everywhere(int64_t elements, int is_double) { /* filled with small numbers */
  void *array = malloc((size_t)elements * (is_double ? sizeof(double) : sizeof(float)));
  if (!array) abort();
  for (int64_t i = 0; i < elements; i++) {
    if (is_double) ((double *)array)[i] = (double)(i % 7) / 100;
    else ((float *)array)[i] = (float)(i % 7) / 100;
  }
  return array;
}

/* Streams of one network on several threads, which share its weights and nothing else. */

static const struct network *shared;

static void *draw(void *unused) {
  (void)unused;
  enum { STREAMS = 13, STEPS = 4 };
  const struct network *n = shared;
  const int64_t states = STREAMS * n->layers * n->H;
  struct reading_sizes sizes;
  charrnn_reading_sizes(n, 1, STREAMS, &sizes);
  int64_t streams[STREAMS], last[STREAMS] = {0}, greedy[STREAMS] = {0}, topk[STREAMS], heap[V], token_ids[STEPS * STREAMS];
  for (int i = 0; i < STREAMS; i++) streams[i] = i, topk[i] = i % 3;
  struct reading r = {.network = n, .T = 1, .B = STREAMS, .streams = streams, .characters = last};
  struct sampling d = {.reading = &r, .steps = STEPS, .must_read = 1, .last_ids = last, .greedy = greedy, .topk = topk};
  d.token_ids = token_ids, d.heap = heap;
  double **arrays[] = {&r.c, &r.h, &r.log_probs, &r.workspace, (double **)&d.temperatures, (double **)&d.random,
                       (double **)&d.topp, &d.token_probs, &d.workspace};
  const int64_t elements[] = {states, states, STREAMS * V, sizes.workspace, STEPS * STREAMS, STEPS * STREAMS,
                           STREAMS, STEPS * STREAMS, 2 * V};
  const int arrays_in_all = sizeof elements / sizeof *elements;
  for (int i = 0; i < arrays_in_all; i++) *arrays[i] = everywhere(elements[i], 1);
  for (int i = 0; i < STEPS * STREAMS; i++) ((double *)d.temperatures)[i] = 1;
  charrnn_sample(&d);
  if (d.sampled != STEPS) abort();

  charrnn_reading_sizes(n, T, STREAMS, &sizes);
  int64_t characters[T * STREAMS], targets[T * STREAMS];
  for (int i = 0; i < T * STREAMS; i++) characters[i] = i % V, targets[i] = (i + 1) % V;
  struct reading text = r;
  text.T = T, text.characters = characters;
  double *activations = everywhere(T * states, 1);
  text.log_probs = everywhere(T * STREAMS * V, 1), text.activations = activations;
  text.workspace = everywhere(sizes.workspace, 1);
  charrnn_read(&text);
  text.targets = targets, text.activations = 0;
  charrnn_read(&text);
  free(text.log_probs), free(activations), free(text.workspace);
  for (int i = 0; i < arrays_in_all; i++) free(*arrays[i]);
  return 0;
}

static void drawing(int64_t cell, int narrow) {
  static const int64_t blocks[] = {4, 3, 1};
  struct network n = {.cell = cell, .num_gates = blocks[cell], .layers = 2, .H = H, .V = V, .is_float32 = narrow, .end_id = 1};
  struct reading_sizes sizes;
  charrnn_reading_sizes(&n, 1, 1, &sizes);
  const int64_t G = n.num_gates * H, direct = cell == GRU ? 2 * H : G;
  n.input_size = ROUND_UP(G, sizes.panel_width) * H;
  n.recurrent_size = (ROUND_UP(direct, sizes.panel_width) + ROUND_UP(G - direct, sizes.panel_width)) * H;
  n.by_character = everywhere(V * G, 1), n.bias = everywhere(G, 1), n.decoder_bias = everywhere(V, 1);
  n.input_panels = everywhere(n.input_size, !narrow), n.recurrent_panels = everywhere(2 * n.recurrent_size, !narrow);
  n.decoder_panels = everywhere(ROUND_UP(V, sizes.panel_width) * H, !narrow);
  shared = &n;
  pthread_t running[THREADS];
  for (int i = 0; i < THREADS; i++)
    if (pthread_create(&running[i], 0, draw, 0)) abort();
  for (int i = 0; i < THREADS; i++) pthread_join(running[i], 0);
  free((void *)n.by_character), free((void *)n.bias), free((void *)n.decoder_bias);
  free((void *)n.input_panels), free((void *)n.recurrent_panels), free((void *)n.decoder_panels);
}

/* Fill lengths and positions, (size), with the passages of a sample in a text that is read in three pieces. */

static void match(const uint8_t *sample, int64_t size, const uint8_t *text, int64_t count, int threads, int32_t *lengths,
                  int64_t *positions) {
  struct matcher m = {.sample = sample, .size = size};
  if (posix_memalign((void **)&m.states, 64, (size_t)(2 * size + 1) * 64)) abort();
  memset(m.states, 0, (size_t)(2 * size + 1) * 64);
  m.rows = calloc((size_t)size / 6 + 1, 256 * sizeof(int32_t));
  int32_t *by_length = calloc((size_t)(2 * size + 1), sizeof(int32_t)), *counts = calloc((size_t)size + 1, sizeof(int32_t));
  if (!m.rows || !by_length || !counts) abort();
  for (int k = 0; k < 3; k++) charrnn_build_matcher(&m, PART(size, k + 1, 3) - PART(size, k, 3));
  for (int k = 0; k < 3; k++) charrnn_match(&m, text + PART(count, k, 3), PART(count, k + 1, 3) - PART(count, k, 3), threads);
  charrnn_finish_matching(&m, lengths, positions, by_length, counts);
  free(m.states), free(m.rows), free(by_length), free(counts);
}

static void matching(int alphabet) {
  enum { SIZE = 3000, COUNT = 600000 };
  static uint8_t sample[SIZE], text[COUNT];
  static int32_t lengths[2][SIZE];
  static int64_t positions[2][SIZE];
  uint32_t random = 1;
  for (int i = 0; i < COUNT; i++) text[i] = (uint8_t)((random = random * 1664525 + 1013904223) >> 16) % alphabet;
  for (int i = 0; i < SIZE; i++) sample[i] = text[i % 2 * (COUNT - 2 * SIZE) + i];
  memcpy(sample, text + COUNT / 2, SIZE / 2); /* over the border of lanes */
  for (int k = 0; k < 2; k++) match(sample, SIZE, text, COUNT, k ? THREADS : 1, lengths[k], positions[k]);
  if (memcmp(lengths[0], lengths[1], sizeof *lengths) || memcmp(positions[0], positions[1], sizeof *positions)) abort();
}

int main(void) {
  for (int alphabet = 1; alphabet < 5; alphabet++) matching(alphabet);
  for (int narrow = 0; narrow < 2; narrow++)
    for (int64_t cell = LSTM; cell <= RNN; cell++) drawing(cell, narrow);
  return 0;
}
