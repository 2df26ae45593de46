"""Least recently used: what was let go of first goes first (vLLM, SOSP 2023)."""


class LeastRecentlyUsed:
    def keep_value(self, blocks, now_s):
        """Worth by the time of the last use, as the engine's own order."""
        return blocks.last_used_s
