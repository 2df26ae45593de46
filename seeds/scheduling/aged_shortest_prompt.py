"""Shortest prompt first, aged so that none starves (Kleinrock 1964)."""


class AgedShortestPrompt:
    forgiveness = 400.0  # prompt tokens forgiven per second of waiting

    def admit_key(self, waiting, engine):
        """Rank by prompt length less what waiting has earned."""
        waited_s = engine.now_s - waiting.arrived_s
        return waiting.prompt_tokens - self.forgiveness * waited_s
