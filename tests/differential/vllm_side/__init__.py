"""vLLM's own scheduler under one of our policies; runs where vLLM is installed."""
