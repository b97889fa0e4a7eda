/* Draws on several threads at once, so that ThreadSanitizer sees two of them at one address. Training's threads are those
   of the kernel itself: kernel_replay.c. The buffers are as large as Python's. */

#include "../../pycharrnn/kernel.c"

#include <pthread.h>
#include <stdlib.h>

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
  struct reading_room room;
  charrnn_reading_room(n, 1, STREAMS, &room);
  int64_t streams[STREAMS], last[STREAMS] = {0}, largest[STREAMS] = {0}, topk[STREAMS], heap[V], indices[STEPS * STREAMS];
  for (int i = 0; i < STREAMS; i++) streams[i] = i, topk[i] = i % 3;
  struct reading r = {.network = n, .T = 1, .B = STREAMS, .streams = streams, .characters = last};
  struct drawing d = {.reading = &r, .steps = STEPS, .reads = 1, .pending = last, .largest = largest, .topk = topk};
  d.indices = indices, d.heap = heap;
  double **arrays[] = {&r.c, &r.h, &r.log_probs, &r.space, (double **)&d.temperatures, (double **)&d.random,
                       (double **)&d.topp, &d.chosen, &d.space};
  const int64_t sizes[] = {states, states, STREAMS * V, room.space, STEPS * STREAMS, STEPS * STREAMS,
                           STREAMS, STEPS * STREAMS, 2 * V};
  const int arrays_in_all = sizeof sizes / sizeof *sizes;
  for (int i = 0; i < arrays_in_all; i++) *arrays[i] = everywhere(sizes[i], 1);
  for (int i = 0; i < STEPS * STREAMS; i++) ((double *)d.temperatures)[i] = 1;
  charrnn_draw(&d);
  if (d.drawn != STEPS) abort();

  charrnn_reading_room(n, T, STREAMS, &room);
  int64_t characters[T * STREAMS], following[T * STREAMS];
  for (int i = 0; i < T * STREAMS; i++) characters[i] = i % V, following[i] = (i + 1) % V;
  struct reading text = r;
  text.T = T, text.characters = characters;
  double *activations = everywhere(T * states, 1);
  text.log_probs = everywhere(T * STREAMS * V, 1), text.activations = activations;
  text.space = everywhere(room.space, 1);
  charrnn_read(&text);
  text.following = following, text.activations = 0;
  charrnn_read(&text);
  free(text.log_probs), free(activations), free(text.space);
  for (int i = 0; i < arrays_in_all; i++) free(*arrays[i]);
  return 0;
}

static void drawing(int64_t cell, int narrow) {
  static const int64_t blocks[] = {4, 3, 1};
  struct network n = {.cell = cell, .num_gates = blocks[cell], .layers = 2, .H = H, .V = V, .narrow = narrow};
  struct reading_room room;
  charrnn_reading_room(&n, 1, 1, &room);
  const int64_t G = n.num_gates * H, direct = cell == GRU ? 2 * H : G;
  n.input_size = ROUND_UP(G, room.columns) * H;
  n.recurrent_size = (ROUND_UP(direct, room.columns) + ROUND_UP(G - direct, room.columns)) * H;
  n.by_character = everywhere(V * G, 1), n.bias = everywhere(G, 1), n.decoder_bias = everywhere(V, 1);
  n.input_panels = everywhere(n.input_size, !narrow), n.recurrent_panels = everywhere(2 * n.recurrent_size, !narrow);
  n.decoder_panels = everywhere(ROUND_UP(V, room.columns) * H, !narrow);
  shared = &n;
  pthread_t running[THREADS];
  for (int i = 0; i < THREADS; i++)
    if (pthread_create(&running[i], 0, draw, 0)) abort();
  for (int i = 0; i < THREADS; i++) pthread_join(running[i], 0);
  free((void *)n.by_character), free((void *)n.bias), free((void *)n.decoder_bias);
  free((void *)n.input_panels), free((void *)n.recurrent_panels), free((void *)n.decoder_panels);
}

int main(void) {
  for (int narrow = 0; narrow < 2; narrow++)
    for (int64_t cell = LSTM; cell <= RNN; cell++) drawing(cell, narrow);
  return 0;
}
