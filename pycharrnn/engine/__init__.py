"""The network and its arithmetic: cells, backpropagation through time, RMSprop, the C kernel, copied passages.

Entry points: `model.CharRNN`, `rmsprop.RMSprop`, `device.choose`, `adapt`, `copies` and `passages`; for predictors also
`kernel_streams`, `kernel_network` and `recurrence`.
May import text, checkpoints, common and compat.
"""
