"""The engine that takes one step at a time: the oracle; it serves whole plans, too."""
