"""At which sizes operations are measured, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from evaluators.calibration.shapes import MODELS, ModelShape
from evaluators.rng import stream

Item = TypeVar("Item")


class StepSize(NamedTuple):
    """One engine step: chunks of a prompt after a prefix, and requests that decode.

    ``skew`` is how many times longer the longest context is than the others; 1 where
    all are equal. ``context`` is the mean.
    """

    prefills: int
    chunk: int
    prefix: int
    decodes: int
    context: int
    skew: int


@dataclass(frozen=True, slots=True)
class Grid:
    """What is measured: a model, sizes by kind, and how large things may become.

    ``others`` are models whose matrices and heads are tabulated, too, on ``tp`` ranks.
    ``kv_tokens`` is the most KV that one batch may hold, ``bytes`` the largest copy.
    """

    model: ModelShape
    others: tuple[tuple[ModelShape, int], ...]
    tokens: tuple[int, ...]
    batches: tuple[int, ...]
    contexts: tuple[int, ...]
    chunks: tuple[int, ...]
    prefixes: tuple[int, ...]
    steps: tuple[StepSize, ...]
    kv_tokens: int
    largest_copy: int
    experts: tuple[tuple[int, int, int, int], ...]
    ceiling: int


def steps(
    chunks: Sequence[int],
    prefixes: Sequence[int],
    batches: Sequence[int],
    contexts: Sequence[int],
    kv_tokens: int,
) -> tuple[StepSize, ...]:
    """Decode alone, prefill alone, and both; also several prompts, also skew."""
    pairs = [(n, c) for n in batches for c in contexts if n * c <= kv_tokens]
    decode = [StepSize(0, 0, 0, n, c, 1) for n, c in pairs]
    skewed = [StepSize(0, 0, 0, n, c, 4) for n, c in pairs if n >= 8][::2]
    alone = [StepSize(1, k, p, 0, 0, 1) for k in chunks for p in prefixes]
    several = [StepSize(n, k // n, 0, 0, 0, 1) for k in chunks[-3:] for n in (2, 4)]
    both = [
        StepSize(1, k, p, n, c, 1)
        for k in chunks[:-1]
        for p in prefixes[:2]
        for n, c in pairs[1::5]
    ]
    return (*decode, *alone, *both, *several, *skewed)


def small() -> Grid:
    """Few and tiny: the whole in about half a minute on one core, to test the code."""
    model = ModelShape("micro", 2, 64, 4, 2, 16, 128, 256, weight_bytes=4)
    return Grid(
        model=model,
        others=(),
        tokens=(1, 16, 64),
        batches=(1, 4),
        contexts=(32, 96),
        chunks=(16, 48),
        prefixes=(0, 32),
        steps=steps((16, 32, 48), (0, 32), (1, 8), (32, 96), 1024),
        kv_tokens=1024,
        largest_copy=1 << 16,
        experts=((32, 48, 2, 4),),
        ceiling=256,
    )


def cpu(model: ModelShape) -> Grid:
    """A small model on a CPU core, enough to calibrate it."""
    tokens = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512)
    chunks, prefixes = (16, 64, 128, 256, 512), (0, 512, 4096)
    batches, contexts = (1, 2, 4, 8, 16, 32), (16, 256, 1024, 4096)
    return Grid(
        model=model,
        others=(),
        tokens=tokens,
        batches=batches,
        contexts=contexts,
        chunks=chunks,
        prefixes=prefixes,
        steps=steps(chunks, prefixes, batches, contexts, 65536),
        kv_tokens=65536,
        largest_copy=1 << 26,
        experts=((model.hidden, model.ffn // 4, 2, 8),),
        ceiling=1024,
    )


def cuda(model: ModelShape) -> Grid:
    """A model on a data-centre GPU; sizes as engines meet them."""
    tokens = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
    chunks = (16, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
    batches = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256)
    contexts = (16, 128, 512, 1024, 2048, 4096, 8192, 16384, 32768)
    others = (("llama-3.1-70b", 4), ("llama-3.1-70b", 8), ("qwen3-32b", 1))
    return Grid(
        model=model,
        others=tuple((MODELS[name], tp) for name, tp in others if name in MODELS),
        tokens=(*tokens, 1024, 1536, 2048, 3072, 4096, 6144, 8192),
        batches=batches,
        contexts=contexts,
        chunks=chunks,
        prefixes=(0, 512, 2048, 8192, 32768),
        steps=steps(
            (64, 256, 512, 1024, 2048, 4096, 8192),
            (0, 2048, 16384),
            (1, 2, 4, 8, 16, 32, 64, 128, 256),
            (128, 1024, 4096, 16384),
            262144,
        ),
        kv_tokens=524288,
        largest_copy=1 << 28,
        experts=((4096, 14336, 2, 8), (2048, 768, 8, 128)),
        ceiling=8192,
    )


def coarse_first(items: Sequence[Item], seed: int) -> list[Item]:
    """The items so that any beginning of the list spans them all.

    First the ends, then the middles, then the middles between these (the order of van
    der Corput); within a round in random order, so that a drift of the clock falls on
    no size in particular.
    """
    order, stride = list[int](), 1
    while stride < len(items):
        stride *= 2
    known = set[int]()
    drawn = stream(seed, "order of measurements")
    while stride:
        new = [i for i in (*range(0, len(items), stride), len(items) - 1) if i >= 0]
        fresh = [i for i in dict.fromkeys(new) if i not in known]
        order += [fresh[i] for i in drawn.permutation(len(fresh))]
        known.update(fresh)
        stride //= 2
    return [items[i] for i in order]
