"""Shortest prompt first: shortest job first with prefill as the job (Smith 1956)."""


class ShortestPrompt:
    def admit_key(self, waiting, engine):
        """Rank by the tokens to compute before the next one can be emitted."""
        return waiting.prompt_tokens + waiting.generated_tokens
