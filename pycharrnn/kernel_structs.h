/* The structures that Python fills in (engine/kernel_structures.py), each field once: a FIELDS macro expands to the
   members of the structure and to its lines in charrnn_layout. R: the element type, double or float. G gates a cell
   has, D inputs. */

#define MAX_GATES 4

/* One layer over a batch of T time steps and B texts, with H units. Shapes are those of recurrence.py. The decoder
   is a layer of V units without a state: its gates are the log-probabilities, its d_gates the gradient of the
   logits. In all other layers d_gates is gates: a backward pass overwrites them. */
#define LAYER_FIELDS(F, S, R)                                                           \
  F(S, int64_t, cell) /* LSTM, GRU, RNN or DECODER */                                   \
  F(S, int64_t, num_gates)                                                              \
  F(S, int64_t, T)                                                                      \
  F(S, int64_t, B)                                                                      \
  F(S, int64_t, H)                                                                      \
  F(S, int64_t, D) /* inputs from the layer below; 0: the input is characters */        \
  F(S, int64_t, vocab)                                                                  \
  F(S, const int64_t *, characters) /* (T, B), or null where there is an x */           \
  F(S, const R *, x)                /* (T, B, D) */                                     \
  F(S, const R *, mask)             /* (T, B, D), dropout's factors of x, or null */    \
  F(S, R *, masked)                 /* (T, B, D), their product */                      \
  F(S, const uint8_t *, begins)     /* (T, B): 1 where the state becomes zero before the step, or null */ \
  F(S, const R *, zeros)            /* (num_gates*H) zeros, or null where there is no begins */ \
  F(S, R *, gates)                  /* (T, B, num_gates*H) */                           \
  F(S, R *, c)                      /* (T+1, B, H), of an lstm, else null */            \
  F(S, R *, h)                      /* (T+1, B, H); null in the decoder */              \
  F(S, R *, extra)                  /* (T, B, H): tanh_c of an lstm, reset_h of a gru */\
  F(S, GATE_WEIGHTS(R), i2h_weight) /* (H, D or vocab) each */                          \
  F(S, GATE_WEIGHTS(R), i2h_bias)   /* (H) each */                                      \
  F(S, GATE_WEIGHTS(R), h2h_weight) /* (H, H) each */                                   \
  F(S, GATE_WEIGHTS(R), h2h_bias)                                                       \
  F(S, GATE_GRADIENTS(R), d_i2h_weight)                                                 \
  F(S, GATE_GRADIENTS(R), d_i2h_bias)                                                   \
  F(S, GATE_GRADIENTS(R), d_h2h_weight)                                                 \
  F(S, GATE_GRADIENTS(R), d_h2h_bias)                                                   \
  F(S, R *, dh)           /* (T, B, H), shared by all layers */                         \
  F(S, R *, dc)           /* (B, H), of an lstm */                                      \
  F(S, R *, d_gates)      /* (T, B, num_gates*H) */                                     \
  F(S, R *, d_reset_h)    /* (B, H), of a gru */                                        \
  F(S, R *, first_dh)     /* (B, H): gradient of h[0] */                                \
  F(S, const R *, d_last) /* (B, H): gradient of the last h from later batches, or null */ \
  F(S, R *, bias)         /* made by a forward pass: (vocab, num_gates*H) for characters, else (num_gates*H) */ \
  F(S, R *, panels)       /* made by a forward pass: packed weights */                  \
  F(S, R *, back_panels)                                                                \
  F(S, R *, packed_a)     /* (B, packed_a_width), shared by all layers */               \
  F(S, R *, workspace)    /* (threads, workspace_width), shared by all layers */        \
  F(S, R *, sums)         /* (vocab, num_gates*H), of the first layer */                \
  F(S, int64_t, packed_a_width)                                                         \
  F(S, int64_t, workspace_width)

/* All layers, from the lowest to the decoder. */
#define PASSES_FIELDS(F, S, R) \
  F(S, int64_t, layers)        \
  F(S, LAYER_POINTER(R), layer)

/* Elements that a layer needs in its buffers. The sizes of all others follow from the shapes above. */
#define WORKSPACE_SIZES_FIELDS(F, S, R) \
  F(S, int64_t, bias)                   \
  F(S, int64_t, panels)                 \
  F(S, int64_t, back_panels)            \
  F(S, int64_t, packed_a_width)         \
  F(S, int64_t, workspace_width)

#define LOSS_FIELDS(F, S, R)                                  \
  F(S, int64_t, rows)                                         \
  F(S, int64_t, V)                                            \
  F(S, int64_t, batch_size)                                   \
  F(S, const int64_t *, y)   /* (rows), or IGNORED */         \
  F(S, const R *, log_probs) /* (rows, V) */                  \
  F(S, R *, d_logits)        /* (rows, V); see likelihood */  \
  F(S, double, temperature)  /* of the likelihood */          \
  F(S, double, likelihood)   /* result: summed over all rows */

#define UPDATE_FIELDS(F, S, R)                                               \
  F(S, int64_t, size)                                                        \
  F(S, R *, gradient)                                                        \
  F(S, R *, mean_square)                                                     \
  F(S, R *, parameters)                                                      \
  F(S, double, clip)                                                         \
  F(S, double, alpha)                                                        \
  F(S, double, learning_rate)                                                \
  F(S, double, epsilon)                                                      \
  F(S, double *, squares)      /* (ceil(size / BLOCK), 2), workspace */      \
  F(S, double, of_gradient)    /* results: the sums of squares */            \
  F(S, double, of_parameters)

/* Weights to zero at random for a batch: see weight_drop.py. */
#define DROP_FIELDS(F, S, R)                                                                   \
  F(S, int64_t, size)                                                                          \
  F(S, R *, weights)      /* (size) */                                                         \
  F(S, R *, whole)        /* (size): all of the weights, while some of them are zero */        \
  F(S, R *, gradient)     /* (size), to zero where the weights were; or null before the batch */ \
  F(S, int64_t, first)    /* the draw for the first weight */                                  \
  F(S, uint64_t, seed)                                                                         \
  F(S, int64_t, limit)    /* 1 to 2^32: weights whose draw, from 0 to 2^32 - 1, is below it are kept */ \
  F(S, double, factor)    /* of those that are kept */

/* A trained network, as kernel_network.py packs it: panels of doubles, or of floats where floats hold all weights
   exactly, which halves what has to come from memory. A gru's recurrent panels are those of z and r, then the
   candidate's. */
#define NETWORK_FIELDS(F, S, R)                                                                    \
  F(S, int64_t, cell)                                                                              \
  F(S, int64_t, num_gates)                                                                         \
  F(S, int64_t, layers)                                                                            \
  F(S, int64_t, H)                                                                                 \
  F(S, int64_t, V)                                                                                 \
  F(S, int64_t, is_float32)                                                                        \
  F(S, int64_t, end_id) /* a stream's state becomes zero before it reads this character; below 0: none */ \
  F(S, const double *, by_character) /* (V, G): each character's share of the first gates, with biases */ \
  F(S, const double *, bias)         /* (layers-1, G): of the layers above the first */            \
  F(S, const void *, input_panels)   /* of the layers above the first */                           \
  F(S, const void *, recurrent_panels)                                                             \
  F(S, int64_t, input_size) /* elements of a layer's panels */                                     \
  F(S, int64_t, recurrent_size)                                                                    \
  F(S, const double *, decoder_bias) /* (V) */                                                     \
  F(S, const void *, decoder_panels)

/* The sizes that Python needs to pack weights, and to read T characters in each of B streams. */
#define READING_SIZES_FIELDS(F, S, R)                               \
  F(S, int64_t, panel_width)                                        \
  F(S, int64_t, rows_per_step) /* streams that share a step's cost */ \
  F(S, int64_t, workspace)

/* T characters to read in each of B streams. */
#define READING_FIELDS(F, S, R)                                                                            \
  F(S, const struct network *, network)                                                                    \
  F(S, int64_t, T)                                                                                         \
  F(S, int64_t, B)                                                                                         \
  F(S, const int64_t *, streams)    /* (B): rows of c and h, each once */                                  \
  F(S, const int64_t *, characters) /* (T, B) */                                                           \
  F(S, const int64_t *, targets)    /* (T, B): the character after each, or null */                        \
  F(S, double *, c)                 /* (all streams, layers, H), of an lstm, else null */                  \
  F(S, double *, h)                 /* (all streams, layers, H) */                                         \
  F(S, double *, log_probs)         /* (T, B, V); with targets, of these alone: (T, B) */                  \
  F(S, double *, activations)       /* (layers, T, B, H), or null: tanh(c) of an lstm, else h */           \
  F(S, double *, workspace)

/* The passages of N+1 characters of a text, see kernel_passages.h. */
#define PASSAGES_FIELDS(F, S, R)                                                                       \
  F(S, int64_t, N)                                                                                     \
  F(S, int64_t, V)                                                                                     \
  F(S, int64_t, free_id)        /* a character that completes no passage; below 0: none */             \
  F(S, const uint8_t *, bytes)  /* (V): the bytes of UTF-8 that the characters are; or null */         \
  F(S, int64_t, length)                                                                                \
  F(S, const int32_t *, text)   /* (length): ids, below 0 in a gap; of a filter the piece to add */    \
  F(S, int64_t, bucket_bits)                                                                           \
  F(S, uint32_t *, starts)      /* (2^bucket_bits + 1): of the buckets, in places; null with a filter */ \
  F(S, uint32_t *, places)      /* (length): where passages begin; null with a filter */               \
  F(S, int64_t, blocks)                                                                                \
  F(S, uint64_t *, filter)      /* (blocks, 8), or null */

/* The last characters of a stream, which may not go on as a text does. */
#define COPY_LIMIT_FIELDS(F, S, R)                                                                     \
  F(S, const struct passages *, passages)                                                              \
  F(S, int32_t *, recent)       /* (N): a ring; character number k is at k % N */                      \
  F(S, int64_t, seen)           /* how many characters there have been */                              \
  F(S, uint64_t, hash)          /* of the last N of them */                                            \
  F(S, int64_t, due)            /* continuation bytes that the last character of UTF-8 lacks */        \
  F(S, int64_t, lowest)         /* of the next one of them */                                          \
  F(S, int64_t, highest)                                                                               \
  F(S, int64_t, is_changed)     /* whether a character has been forbidden */                           \
  F(S, int64_t, forbidden)      /* result of charrnn_forbid: how many may not follow */

/* Up to `steps` characters to sample in each stream of a reading. */
#define SAMPLING_FIELDS(F, S, R)                                                                       \
  F(S, const struct reading *, reading) /* of one step: its characters are last_ids */                 \
  F(S, int64_t, steps)                                                                                 \
  F(S, int64_t, must_read)              /* last_ids before the first step; else reading->log_probs hold */ \
  F(S, int64_t *, last_ids)             /* (B): the last character sampled in each stream */           \
  F(S, const double *, temperatures)    /* (steps, B) */                                               \
  F(S, const double *, random)          /* (steps, B): in [0, 1) */                                    \
  F(S, const int64_t *, greedy)         /* (B): take the most probable character */                    \
  F(S, const int64_t *, topk)           /* (B): sample from so many of the most probable, 0: all */    \
  F(S, const double *, topp)            /* (B): sample from the fewest whose sum reaches this */       \
  F(S, const uint8_t *, pause_after)    /* (V): characters after which to stop, or null */             \
  F(S, struct copy_limit *const *, limits) /* (B): of streams that may not copy a text, each or null; or null */ \
  F(S, int64_t *, token_ids)            /* (steps, B); -1 in the last step where no character is left */ \
  F(S, double *, token_probs)           /* (steps, B) */                                               \
  F(S, double *, probs)                 /* (steps, B, V), or null */                                   \
  F(S, const int64_t *, num_candidates) /* (B): up to max_candidates, or null */                       \
  F(S, int64_t, max_candidates)                                                                        \
  F(S, int64_t *, top_candidates)       /* (steps, B, max_candidates) */                               \
  F(S, double *, top_probs)             /* (steps, B, max_candidates) */                               \
  F(S, const int64_t *, units)          /* (B): layer*H + unit, below 0 for none; or null */           \
  F(S, double *, activations)           /* (steps, B): of these units, after each character read */    \
  F(S, double *, workspace)             /* (2*V) */                                                    \
  F(S, int64_t *, heap)                 /* (V) */                                                      \
  F(S, int64_t, sampled)                /* results: the steps taken */                                 \
  F(S, int64_t, failed)                 /* whether the next step's probabilities have no positive sum */

/* A text that one stream reads and learns from, in segments of up to `length` characters, in float32. S: the units H,
   N: the vocabulary V, both padded with zeros to a multiple of SUMS; G: num_gates*S. The caller sets the states at
   index 0; they become those after the text. All arrays but those of the text are zeros at first and belong to the
   kernel. offsets: of the matrices in the vectors: for each layer (V, G) of the input (layer 1) or (G, S), (G) its
   biases, (G, S) of the state, (G) its biases; (N, S) and (N) of the decoder. */
#define ADAPTING_FIELDS(F, S, R)                                                           \
  F(S, int64_t, cell)                                                                      \
  F(S, int64_t, num_gates)                                                                 \
  F(S, int64_t, layers)                                                                    \
  F(S, int64_t, H)                                                                         \
  F(S, int64_t, V)                                                                         \
  F(S, int64_t, length)                                                                    \
  F(S, int64_t, end_id)                /* the state becomes zero before it; below 0: none */ \
  F(S, int64_t, steps)                                                                     \
  F(S, const int64_t *, characters)    /* (steps) */                                       \
  F(S, const int64_t *, targets)       /* (steps): the character after each, or IGNORED */ \
  F(S, double *, log_probs)            /* (steps): result, of the targets; 0 if ignored */ \
  F(S, const int64_t *, offsets)       /* (4*layers + 2) */                                \
  F(S, int64_t, size)                                                                      \
  F(S, float *, parameters)            /* (size) each */                                   \
  F(S, float *, mean_square)                                                               \
  F(S, const float *, trained)                                                             \
  F(S, float *, h)                     /* (layers, length+1, S) */                         \
  F(S, float *, c)                     /* the same, of an lstm, else null */               \
  F(S, float *, gates)                 /* (layers, length, G) */                           \
  F(S, float *, extra)                 /* (layers, length, S): tanh_c of an lstm, reset_h of a gru, else null */ \
  F(S, float *, dh)                    /* (length, S) */                                   \
  F(S, float *, d_state)               /* (S): gradient of c of an lstm, of reset_h of a gru */ \
  F(S, float *, group_sums)            /* (2, GROUPS, length, S) */                        \
  F(S, const float *, zeros)           /* (S) */                                           \
  F(S, float *, logits)                /* (length, N) */                                   \
  F(S, float *, d_logits)              /* (length, N) */                                   \
  F(S, int64_t *, first_steps)         /* (V) */                                           \
  F(S, int64_t *, next_steps)          /* (length) */                                      \
  F(S, int64_t *, learned)             /* (GROUPS, V): segments that it has learned from */ \
  F(S, double, alpha)                                                                      \
  F(S, double, learning_rate)                                                              \
  F(S, double, epsilon)                                                                    \
  F(S, double, pull)

/* The suffix automaton of a sample, and where a text has its strings: see kernel_matching.h. */
#define MATCHER_FIELDS(F, S, R)                                                                              \
  F(S, const uint8_t *, sample)      /* (size) */                                                            \
  F(S, int64_t, size)                /* 1 to 2^30 */                                                         \
  F(S, struct match_state *, states) /* (2*size + 1) zeros; the first is the root */                         \
  F(S, int32_t *, rows)              /* (size/6 + 1, 256) zeros */                                           \
  F(S, int64_t, num_states)          /* 0 at first, as all below */                                          \
  F(S, int64_t, num_rows)                                                                                    \
  F(S, int64_t, state)               /* of the longest string of the sample that ends the text read so far */ \
  F(S, int64_t, length)              /* of that string */                                                    \
  F(S, int64_t, position)            /* bytes of the text read so far */

#define MEMBER(S, type, name) type name;
#define LAYOUT_OF_FIELD(S, type, name) {#S "." #name, offsetof(LAYOUT_STRUCT_##S, name)},

struct workspace_sizes { WORKSPACE_SIZES_FIELDS(MEMBER, , ) };
struct network { NETWORK_FIELDS(MEMBER, , ) };
struct reading_sizes { READING_SIZES_FIELDS(MEMBER, , ) };
struct reading { READING_FIELDS(MEMBER, , ) };
struct passages { PASSAGES_FIELDS(MEMBER, , ) };
struct copy_limit { COPY_LIMIT_FIELDS(MEMBER, , ) };
struct sampling { SAMPLING_FIELDS(MEMBER, , ) };
struct match_state;
struct matcher { MATCHER_FIELDS(MEMBER, , ) };

/* Structures of a precision: layer_double and layer_float... differ in the element type alone. */
#define GATE_WEIGHTS(R) gate_weights_##R
#define GATE_GRADIENTS(R) gate_gradients_##R
#define LAYER_POINTER(R) struct layer_##R *
#define STRUCTS_OF(R)                                         \
  typedef const R *gate_weights_##R[MAX_GATES];               \
  typedef R *gate_gradients_##R[MAX_GATES];                   \
  struct layer_##R { LAYER_FIELDS(MEMBER, , R) };             \
  struct passes_##R { PASSES_FIELDS(MEMBER, , R) };           \
  struct loss_##R { LOSS_FIELDS(MEMBER, , R) };               \
  struct update_##R { UPDATE_FIELDS(MEMBER, , R) };           \
  struct drop_##R { DROP_FIELDS(MEMBER, , R) };
STRUCTS_OF(double)
STRUCTS_OF(float)
struct adapting { ADAPTING_FIELDS(MEMBER, , ) };

#define LAYOUT_STRUCT_layer struct layer_double
#define LAYOUT_STRUCT_passes struct passes_double
#define LAYOUT_STRUCT_loss struct loss_double
#define LAYOUT_STRUCT_update struct update_double
#define LAYOUT_STRUCT_drop struct drop_double
#define LAYOUT_STRUCT_workspace_sizes struct workspace_sizes
#define LAYOUT_STRUCT_network struct network
#define LAYOUT_STRUCT_reading_sizes struct reading_sizes
#define LAYOUT_STRUCT_reading struct reading
#define LAYOUT_STRUCT_passages struct passages
#define LAYOUT_STRUCT_copy_limit struct copy_limit
#define LAYOUT_STRUCT_sampling struct sampling
#define LAYOUT_STRUCT_adapting struct adapting
#define LAYOUT_STRUCT_matcher struct matcher
#define LAYOUT_OF(S, FIELDS) {#S, sizeof(LAYOUT_STRUCT_##S)}, FIELDS(LAYOUT_OF_FIELD, S, double)
#define WHOLE_LAYOUT                              \
  LAYOUT_OF(layer, LAYER_FIELDS)                  \
  LAYOUT_OF(passes, PASSES_FIELDS)                \
  LAYOUT_OF(workspace_sizes, WORKSPACE_SIZES_FIELDS) \
  LAYOUT_OF(loss, LOSS_FIELDS)                    \
  LAYOUT_OF(update, UPDATE_FIELDS)                \
  LAYOUT_OF(drop, DROP_FIELDS)                    \
  LAYOUT_OF(network, NETWORK_FIELDS)              \
  LAYOUT_OF(reading_sizes, READING_SIZES_FIELDS)  \
  LAYOUT_OF(reading, READING_FIELDS)              \
  LAYOUT_OF(passages, PASSAGES_FIELDS)            \
  LAYOUT_OF(copy_limit, COPY_LIMIT_FIELDS)        \
  LAYOUT_OF(sampling, SAMPLING_FIELDS)            \
  LAYOUT_OF(adapting, ADAPTING_FIELDS)            \
  LAYOUT_OF(matcher, MATCHER_FIELDS)
