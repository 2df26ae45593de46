"""Dispatch and migrate by the decode steps that memory lasts (Llumnix, OSDI 2024)."""

import numpy as np


class Llumnix:
    migrate_every_s = 1.0  # seconds between two looks at the replicas
    poor = 200.0  # decode steps left, below which a replica gives requests away
    rich = 400.0  # decode steps left, above which a replica takes some

    def freeness(self, replicas):
        """Decode steps until memory is full, if nothing else happens, shape (n,)."""
        sent_blocks = replicas.sent_tokens / replicas.block_tokens
        free = replicas.free_blocks - replicas.waiting_blocks - sent_blocks
        batch = replicas.running + replicas.waiting + replicas.sent + 1
        return replicas.block_tokens * free / batch

    def route(self, request, replicas):
        """The replica of the greatest freeness."""
        usable = (replicas.healthy == 1) & (replicas.role != 2)
        return np.argmax(np.where(usable, self.freeness(replicas), -np.inf))

    def migrate(self, requests, replicas):
        """From each poor replica its shortest request, to the richest, in pairs."""
        free = np.where(replicas.healthy == 1, self.freeness(replicas), np.nan)
        poor = np.flatnonzero((free < self.poor) & (replicas.in_migrations == 0))
        rich = np.flatnonzero((free > self.rich) & (replicas.in_migrations == 0))
        poor, rich = poor[np.argsort(free[poor])], rich[np.argsort(-free[rich])]
        pairs = []
        for source, target in zip(poor, rich, strict=False):
            rows = np.flatnonzero(requests.replica == source)
            if len(rows):
                row = rows[np.argmin(requests.blocks_held[rows])]
                pairs.append((row, target))
        return pairs
