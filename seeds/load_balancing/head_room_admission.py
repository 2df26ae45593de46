"""Most memory left after predicted growth of what runs there (Head-Room, Glia 2025)."""

import numpy as np


class HeadRoomAdmission:
    growth = 0.5  # share of a predicted answer still to come, of a request that runs
    memory = 0.98  # weight of the past in the running mean of predicted answers

    def __init__(self):
        self.answer_tokens = 0.0

    def route(self, request, replicas):
        """Least queue where the request fits with all growth, else most head-room."""
        past = self.memory if self.answer_tokens else 0.0
        self.answer_tokens *= past
        self.answer_tokens += (1 - past) * request.predicted_tokens
        active = replicas.running + replicas.waiting + replicas.sent
        need = request.prompt_tokens + request.predicted_tokens + replicas.sent_tokens
        need = need + self.growth * self.answer_tokens * active
        need_blocks = need / replicas.block_tokens
        room = replicas.free_blocks - replicas.waiting_blocks - need_blocks
        usable = (replicas.healthy == 1) & (replicas.role != 2)
        fits = usable & (room > 0)
        if not fits.any():
            return np.argmax(np.where(usable, room, -np.inf))
        queue = replicas.queued_tokens + replicas.sent_tokens
        return np.lexsort((active, np.where(fits, queue, np.inf)))[0]
