"""Least recently used, but never before its continuations (SGLang, NeurIPS 2024)."""


class RadixLeastRecentlyUsed:
    step_s = 1e-9  # what a block in front outweighs its continuation by

    def keep_value(self, blocks, now_s):
        """Worth by last use; a block with continuations counts as used just now."""
        used_s = blocks.last_used_s.copy()
        used_s[blocks.children > 0] = now_s
        return used_s - self.step_s * blocks.depth
