"""Least frequently used, ties by recency (Aho, Denning and Ullman, JACM 1971)."""


class LeastFrequentlyUsed:
    def keep_value(self, blocks, now_s):
        """Worth by the requests that found the block since it is in memory."""
        return blocks.hits
