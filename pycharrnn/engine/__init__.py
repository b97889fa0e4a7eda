"""The network and its arithmetic: cells, backpropagation through time, the C kernel, RMSprop."""
