"""Chunked prefills that never stall a decode for long (Sarathi-Serve, OSDI 2024)."""


class Sarathi:
    chunk = 512  # tokens of a step, decodes included

    def token_budget(self, engine):
        """A small total per step bounds the gap between two tokens of everybody."""
        return self.chunk

    def admit_key(self, waiting, engine):
        """First come, first served."""
        return waiting.arrived_s
