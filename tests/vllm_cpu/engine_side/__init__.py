"""Runs where vLLM is installed: the real engine with a tiny model, on one core."""
