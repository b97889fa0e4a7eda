"""The server of the page to play on and its JSON API (the extra `serve`).

Entry points: `serve.serve`, `app.create_app`, `options.ServeOptions`.
May import page, analysis, training (not its loop), sampling, engine, text, checkpoints, common and compat.
"""
