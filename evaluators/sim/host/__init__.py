"""KV outside the GPU: host memory, the tiers below it, and the links between them."""
