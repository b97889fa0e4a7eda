"""What every room needs: UserError, how options are declared, progress, signals, memory, text for a screen.

From outside: every module.
It imports no other room.
"""
