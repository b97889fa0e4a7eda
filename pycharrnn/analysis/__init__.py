"""Analysis of trained models: losses, surprise, activations, plots."""
