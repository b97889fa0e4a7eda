"""A server of the page to play on, and its HTTP API (the extra `serve`).

From outside: `serve.serve`, `app.create_app`, `options.ServeOptions`.
It may import page, analysis, sampling, engine, checkpoints and common, not training's loop.
"""
