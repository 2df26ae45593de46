"""Schedulers ranked by the real vLLM engine on a CPU, and by our simulator."""
