"""What every package needs: options, errors, terminals, progress, files, signals and locks.

Entry points: `errors.UserError`, `option_fields.option`, `display`, `printing.PrintLine`, `progress.bar`, `extras`.
May import compat, and no other package of pycharrnn.
"""
