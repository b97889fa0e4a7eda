"""What a program uses: a model, its text, a training as a call.

From outside: all that `pycharrnn` itself offers.
It may import analysis, training, sampling, engine, text, checkpoints and common.
"""
