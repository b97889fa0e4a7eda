/* Runs every pass of the C kernel on several threads, and draws on several, so that ThreadSanitizer sees two of them at one
   address. GCC's OpenMP runtime is not compiled for it, so the threads here are plain ones. The buffers are as large as
   Python's. */

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

struct part {
  const struct task *task;
  int id;
};

static void *one_part(void *data) {
  const struct part *part = data;
  part->task->do_part(part->task, part->id);
  return 0;
}

/* Stands in for GOMP_parallel, and for take_parts, in which one quick thread may take all parts: here each has its own. */
static void parallel(void (*function)(void *), void *task, unsigned threads, unsigned flags) {
  (void)function, (void)flags;
  struct part parts[THREADS];
  pthread_t running[THREADS];
  for (unsigned i = 0; i < threads; i++) {
    parts[i] = (struct part){task, (int)i};
    if (pthread_create(&running[i], 0, one_part, &parts[i])) abort();
  }
  for (unsigned i = 0; i < threads; i++) pthread_join(running[i], 0);
}

static void passes(int64_t cell, int64_t D, int is_double) {
  static const int64_t blocks[] = {4, 3, 1}; /* of LSTM, GRU, RNN */
  struct layer l = {.cell = cell, .blocks = blocks[cell], .T = T, .B = B, .H = H, .D = D, .vocab = V};
  struct room room;
  charrnn_room(&l, &room, is_double);
  const int64_t G = l.blocks * H, columns = D ? D : V;
  int64_t characters[T * B];
  for (int i = 0; i < T * B; i++) characters[i] = i % V;
  if (D) l.x = everywhere(T * B * D, is_double);
  else l.characters = characters;
  void **arrays[] = {&l.gates, &l.c, &l.h, &l.extra, &l.dh, &l.dc, &l.d_gates, &l.d_reset_h, &l.first_dh, &l.bias,
                     &l.panels, &l.back_panels, &l.left, &l.space, &l.sums};
  const int64_t sizes[] = {T * B * G, (T + 1) * B * H, (T + 1) * B * H, T * B * H, T * B * H, B * H, T * B * G, B * H,
                           B * H, room.bias, room.panels, room.back_panels, B * room.left_width,
                           THREADS * room.space_width, V * G};
  const int arrays_in_all = sizeof sizes / sizeof *sizes;
  for (int i = 0; i < arrays_in_all; i++) *arrays[i] = everywhere(sizes[i], is_double);
  l.left_width = room.left_width, l.space_width = room.space_width;
  void **linears[] = {l.i2h_weight, l.d_i2h_weight, l.h2h_weight, l.d_h2h_weight,
                      l.i2h_bias,   l.d_i2h_bias,   l.h2h_bias,   l.d_h2h_bias};
  for (int i = 0; i < 8; i++)
    for (int64_t g = 0; g < l.blocks; g++)
      linears[i][g] = everywhere(i < 2 ? H * columns : i < 4 ? H * H : H, is_double);

  charrnn_prepare(parallel, &l, THREADS, is_double);
  charrnn_forward(parallel, &l, THREADS, is_double);
  charrnn_backward(parallel, &l, THREADS, is_double);
  charrnn_gradients(parallel, &l, THREADS, is_double);

  for (int i = 0; i < arrays_in_all; i++) free(*arrays[i]);
  for (int i = 0; i < 8; i++)
    for (int64_t g = 0; g < l.blocks; g++) free(linears[i][g]);
  if (D) free((void *)l.x);
}

static void update(int64_t size, int is_double) {
  double squares[2 * THREADS];
  struct update u = {.size = size, .clip = 5, .alpha = .95, .learning_rate = .002, .epsilon = 1e-8, .squares = squares};
  void **arrays[] = {&u.gradient, &u.mean_square, &u.parameters};
  for (int i = 0; i < 3; i++) *arrays[i] = everywhere(size, is_double);
  charrnn_rmsprop(parallel, &u, THREADS, is_double);
  for (int i = 0; i < 3; i++) free(*arrays[i]);
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
  int64_t characters[T * STREAMS] = {0};
  struct reading text = r;
  text.T = T, text.characters = characters;
  text.log_probs = everywhere(T * STREAMS * V, 1), text.activations = everywhere(T * states, 1);
  text.space = everywhere(room.space, 1);
  charrnn_read(&text);
  free(text.log_probs), free(text.activations), free(text.space);
  for (int i = 0; i < arrays_in_all; i++) free(*arrays[i]);
  return 0;
}

static void drawing(int64_t cell, int narrow) {
  static const int64_t blocks[] = {4, 3, 1};
  struct network n = {.cell = cell, .blocks = blocks[cell], .layers = 2, .H = H, .V = V, .narrow = narrow};
  struct reading_room room;
  charrnn_reading_room(&n, 1, 1, &room);
  const int64_t G = n.blocks * H, direct = cell == GRU ? 2 * H : G;
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
  for (int is_double = 0; is_double < 2; is_double++) {
    for (int64_t cell = LSTM; cell <= RNN; cell++) passes(cell, 0, is_double), passes(cell, H, is_double);
    for (int64_t cell = LSTM; cell <= RNN; cell++) drawing(cell, is_double);
    update(10001, is_double);
    update(3, is_double);
  }
  return 0;
}
