"""Earliest deadline first, by the first token (Liu and Layland, JACM 1973)."""


class EarliestDeadline:
    def admit_key(self, waiting, engine):
        """Rank by when the first token is due."""
        return waiting.first_token_due_s
