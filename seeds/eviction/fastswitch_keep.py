"""Keep what its session comes back for (FastSwitch KV reuse, Shen et al., 2024)."""

import numpy as np


class KeepForSession:
    rescore = "always"  # values change while blocks rest
    grace_s = np.array([5.0, 60.0, 20.0, 120.0])  # that an owner is given to come back
    # by owner: nothing known, waits for a tool, for a person, was preempted

    def keep_value(self, blocks, now_s):
        """Worth by last use, put off by how surely the owner comes back."""
        return blocks.last_used_s + self.grace_s[blocks.owner]
