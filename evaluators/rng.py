"""Named random streams: one seed and a name give one generator, always the same."""

import hashlib
import hmac

import numpy as np


def stream(seed: int, *names: str | int | float) -> np.random.Generator:
    """Generator for the purpose that ``names`` spell, independent of all others.

    Equal arguments give equal draws in every process and on every platform; two
    different names give unrelated draws even under one seed.
    """
    text = "\x1f".join(repr(name) for name in (seed, *names))
    digest = hashlib.sha256(text.encode()).digest()
    words = np.frombuffer(digest, dtype=np.uint32)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words.tolist())))


def keyed(secret: bytes, *names: str | int) -> bytes:
    """32 bytes for the purpose that ``names`` spell; who lacks the secret cannot tell.

    HMAC-SHA256: two different names give unrelated bytes, and none of them says
    anything of the secret.
    """
    text = "\x1f".join(repr(name) for name in names)
    return hmac.digest(secret, text.encode(), "sha256")
