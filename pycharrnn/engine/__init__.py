"""The network and its arithmetic: cells, backpropagation through time, the C kernel, PyTorch modules, RMSprop.

From outside: `model.CharRNN`, `rmsprop.RMSprop`, `device`; sampling needs `recurrence` and `operations`, training `bptt`,
`torch_modules` and `cuda_graph`, doctor `kernel`. It may import checkpoints (a model is read and written), common, compat.
"""
