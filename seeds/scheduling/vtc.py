"""Fair shares by virtual token counters (VTC; Sheng et al., OSDI 2024).

The tenant that has been served least goes first; one that comes back from idling is
lifted to the least counter among the busy ones, so idling earns no credit.
"""

import numpy as np


class VirtualTokenCounter:
    prompt_weight = 1.0  # service counted for a prompt token
    output_weight = 2.0  # service counted for an output token

    def __init__(self):
        self.lift = np.zeros(0)
        self.busy = np.zeros(0, dtype=bool)

    def admit_key(self, waiting, engine):
        """The tenant's counter, plus what its earlier waiting prompts would add."""
        counter = self.counters(engine.tenants)
        cost = self.prompt_weight * waiting.prompt_tokens
        order = np.argsort(waiting.tenant, kind="stable")
        total = np.cumsum(cost[order])
        tenant = waiting.tenant[order]
        starts = np.searchsorted(tenant, tenant)
        ahead = np.empty(len(waiting))
        ahead[order] = total - cost[order] - (total - cost[order])[starts]
        return counter[waiting.tenant] + ahead

    def counters(self, tenants):
        """Weighted service of each tenant, lifted when it returns from idling."""
        if not len(self.lift):
            self.lift, self.busy = np.zeros(len(tenants)), np.zeros(len(tenants), bool)
        served = self.prompt_weight * tenants.prompt_tokens_served
        served = served + self.output_weight * tenants.output_tokens_served
        busy = tenants.waiting + tenants.running > 0
        if self.busy.any():
            least = (served + self.lift)[self.busy].min()
            lifted = np.maximum(self.lift, least - served)
            self.lift = np.where(busy & ~self.busy, lifted, self.lift)
        self.busy = busy
        return served + self.lift
