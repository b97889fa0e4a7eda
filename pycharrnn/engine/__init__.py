"""The network and its arithmetic: cells, backpropagation through time, the C kernel, PyTorch modules, RMSprop.

From outside: `model.CharRNN`, `rmsprop.RMSprop`, `device`; for sampling `recurrence` and `operations`; for training
`bptt` and `cuda_graph`; for doctor `kernel`. It may import checkpoints (a model is read and written),
common and compat.
"""
