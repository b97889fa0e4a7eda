"""The page to play on, for `serve` and as a single file, and the pages that commands write.

Needs neither FastAPI nor PyTorch.

Entry points: `page_files`, `facts`, `gallery.collect`, `single_file.write`, `saving.save`; `activation_page`,
`copied_page` and `surprise_page`.
May import analysis, training, sampling, engine, text, checkpoints, common and compat.
"""
