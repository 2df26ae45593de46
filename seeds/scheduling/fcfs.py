"""First come, first served, as vLLM admits (Kwon et al., SOSP 2023)."""


class FirstComeFirstServed:
    def admit_key(self, waiting, engine):
        """Rank by arrival; a preempted request keeps its place in the queue."""
        return waiting.arrived_s
