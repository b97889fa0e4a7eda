"""The Python interface: models, generated text and training runs as objects.

Entry points: `model.load`, `model.Model`, `training.train` and `run.Run`, which users import from pycharrnn.
May import page, analysis, training, sampling, engine, text, checkpoints, common and compat.
"""
