"""The server of the page to play on and its JSON API (the extra `serve`).

Entry points: `serve.serve`, `app.create_app`, `options.ServeOptions`.
May import all packages but cli and library, of training not its loop.
"""
