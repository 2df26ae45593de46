"""What one engine step computes, request by request, and its aggregates."""

from typing import NamedTuple

from evaluators.calibration.step_time import Batch
from evaluators.kernels.grid import StepSize

PAGE = 16


class StepShape(NamedTuple):
    """Chunks as (tokens computed before, new tokens), and contexts of who decodes.

    A context counts the token that the step computes, too.
    """

    chunks: tuple[tuple[int, int], ...]
    contexts: tuple[int, ...]

    @property
    def batch(self) -> Batch:
        """The aggregates that a step time depends on."""
        return Batch(
            prefill_tokens=sum(new for _, new in self.chunks),
            prefill_work=sum(new * (new + 2 * done) for done, new in self.chunks),
            decodes=len(self.contexts),
            context_tokens=sum(self.contexts),
            longest_context=max(self.contexts, default=0),
            prefills=len(self.chunks),
            prefill_context=sum(done + new for done, new in self.chunks),
        )

    @property
    def kv_tokens(self) -> int:
        """Tokens whose KV the step reads or writes, whole pages counted."""
        sizes = [done + new for done, new in self.chunks] + list(self.contexts)
        return sum(-(-size // PAGE) * PAGE for size in sizes)


def step_shape(size: StepSize) -> StepShape:
    """The step of a size: equal chunks; a longest context where it is skewed."""
    chunks = ((size.prefix, size.chunk),) * size.prefills
    if size.skew == 1 or size.decodes < 2:
        return StepShape(chunks, (size.context,) * size.decodes)
    longest = min(size.skew * size.context, size.decodes * size.context // 2)
    rest = (size.decodes * size.context - longest) // (size.decodes - 1)
    return StepShape(chunks, (longest, *[max(1, rest)] * (size.decodes - 1)))
