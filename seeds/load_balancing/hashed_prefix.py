"""Prefix hashed to a replica, to the next if full (CH-BL; Mirrokni et al., 2018)."""


class HashedPrefix:
    excess = 1.25  # requests that a replica may have, as a multiple of the mean

    def route(self, request, replicas):
        """From the prefix's own replica on, the first that is below the cap."""
        n = len(replicas)
        key = request.prefix if request.prefix >= 0 else request.id
        usable = (replicas.healthy == 1) & (replicas.role != 2)
        cap = self.excess * (replicas.outstanding[usable].sum() + 1) / usable.sum()
        ring = [(key + step) % n for step in range(n)]
        ring = [index for index in ring if usable[index]]
        for index in ring:
            if replicas.outstanding[index] + 1 <= max(cap, 1):
                return index
        return ring[0]
