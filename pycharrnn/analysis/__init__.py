"""What trained models do with texts: losses of a split, surprise, labels, copied passages, hidden units, plots.

Entry points: `evaluation`, `scoring`, `text_scores`, `line_scores`, `classify`, `copied`, `activations`,
`loss_curves`, `plotting` and `options`.
May import training, sampling, engine, text, checkpoints, common and compat.
"""
