"""What can be learnt from a trained model: losses, surprise, activations, pictures.

From outside: `scoring`, `surprise`, `surprise_page`, `activations`, `activation_page`, `plotting`, `options`.
It may import training, sampling, engine, text, checkpoints and common.
"""
