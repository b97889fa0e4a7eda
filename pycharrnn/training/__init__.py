"""A run of training: the loop, its state, its files, its end.

From outside: `loop.train`, `options.TrainOptions`, `recorded_options`, `signals.RunStopped`.
It may import engine, text, checkpoints and common, never sampling.
"""
