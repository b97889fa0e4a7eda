"""The network and its arithmetic: cells, backpropagation through time, the C kernel, PyTorch modules, RMSprop.

From outside: `model.CharRNN`, `recurrence`, `rmsprop.RMSprop`, `device`, `kernel`, and what training needs of the rest.
It may import checkpoints (a model writes and reads itself) and common.
"""
