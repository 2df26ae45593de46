"""KV blocks with prefix caching, in the order of vLLM or of a policy."""
