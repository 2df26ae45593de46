"""First in, first out, whatever was found (Belady, IBM Systems Journal 1966)."""


class FirstInFirstOut:
    def keep_value(self, blocks, now_s):
        """Worth by when the block came."""
        return blocks.inserted_s
