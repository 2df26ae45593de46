"""Per tenant: tokens served, and requests waiting and running."""

from collections.abc import Iterable, Sequence


class Tenants:
    """Counters that the engine keeps, so that fair shares survive finished requests.

    Output tokens of decoding requests are implied by the step counter: a tenant with n
    of them has emitted n more after each step.
    """

    __slots__ = ("_decoding", "_of", "_output", "_prompt", "_running", "_waiting")

    def __init__(self, of: Sequence[int], n_tenants: int) -> None:
        self._of = of
        self._prompt = [0] * n_tenants
        self._output = [0] * n_tenants
        self._decoding = [0] * n_tenants
        self._waiting = [0] * n_tenants
        self._running = [0] * n_tenants

    def wait(self, row: int) -> None:
        """A request arrived."""
        self._waiting[self._of[row]] += 1

    def run(self, row: int) -> None:
        """A waiting request was admitted."""
        tenant = self._of[row]
        self._waiting[tenant] -= 1
        self._running[tenant] += 1

    def preempt(self, row: int) -> None:
        """A running request waits again."""
        tenant = self._of[row]
        self._waiting[tenant] += 1
        self._running[tenant] -= 1

    def finish(self, row: int) -> None:
        """A running request is done."""
        self._running[self._of[row]] -= 1

    def prefill(self, row: int, tokens: int) -> None:
        """Prompt tokens were computed."""
        self._prompt[self._of[row]] += tokens

    def emit(self, row: int) -> None:
        """One token came outside the aggregates: the first, or one after a pause."""
        self._output[self._of[row]] += 1

    def start_decoding(self, row: int, step: int) -> None:
        """The request emits a token in every step from now on."""
        tenant = self._of[row]
        self._decoding[tenant] += 1
        self._output[tenant] -= step

    def stop_decoding(self, row: int, step: int) -> None:
        """The request no longer emits a token in every step."""
        tenant = self._of[row]
        self._decoding[tenant] -= 1
        self._output[tenant] += step

    def columns(self, step: int) -> tuple[list[int], ...]:
        """Prompt and output tokens served, waiting, running; one entry a tenant."""
        output = [
            tokens + step * n
            for tokens, n in zip(self._output, self._decoding, strict=True)
        ]
        return self._prompt, output, self._waiting, self._running

    def before(
        self, step: int, chunks: Iterable[tuple[int, int]], ended: Iterable[int]
    ) -> tuple[list[int], ...]:
        """The same without what the step before this one brought.

        Its prefill ``chunks``, and a token of all who decode, and of who ``ended``.
        """
        prompt, output, waiting, running = self.columns(step - 1)
        prompt = prompt.copy()
        for row, tokens in chunks:
            prompt[self._of[row]] -= tokens
        for row in ended:
            output[self._of[row]] -= 1
        return prompt, output, waiting, running
