"""A run of training: the loop, its state, its files, its end.

Entry points: `loop.train`, `estimate.estimate`, `options.TrainOptions`, `recorded_options`, `signals.RunStopped`.
May import engine, text, checkpoints, common and compat.
"""
