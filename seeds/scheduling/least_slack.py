"""Least slack first: due time less the time the prompt still takes (Mok 1983)."""


class LeastSlack:
    prompt_token_s = 5e-5  # seconds that a prompt token takes under load, assumed

    def admit_key(self, waiting, engine):
        """Rank by the latest moment at which the prefill may start."""
        tokens = waiting.prompt_tokens + waiting.generated_tokens
        return waiting.first_token_due_s - self.prompt_token_s * tokens
