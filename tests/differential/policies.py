"""Policies that the comparisons run, by name: a text each, "" for the engine's rule."""

from pathlib import Path

SHORTEST = """
class Shortest:
    def admit_key(self, waiting, engine):
        return waiting.prompt_tokens
"""
LARGEST_VICTIM = """
class LargestVictim:
    def admit_key(self, waiting, engine):
        return waiting.prompt_tokens

    def victim_key(self, running, engine):
        return running.blocks_held
"""
CAPPED = """
class Capped:
    def admit_key(self, waiting, engine):
        return waiting.predicted_tokens

    def prompt_cap(self, engine):
        return 48 if engine.n_running > 2 else 100

    def token_budget(self, engine):
        return 192 + int(engine.free_blocks)
"""
MADE = {
    "none": "",
    "shortest": SHORTEST,
    "largest_victim": LARGEST_VICTIM,
    "capped": CAPPED,
}
SHIPPED = (
    "aged_shortest_prompt",
    "earliest_deadline",
    "fcfs",
    "head_room",
    "least_slack",
    "sarathi",
    "vtc",
)
SEEDS = Path(__file__).parents[2] / "seeds" / "scheduling"
SCHEDULING = MADE | {
    name: (SEEDS / f"{name}.py").read_text(encoding="utf-8") for name in SHIPPED
}

EVICTION = {
    "own": "",
    "longest_unused": """
class LongestUnused:
    def keep_value(self, blocks, now_s):
        return blocks.last_used_s
""",
    "least_found": """
class LeastFound:
    def keep_value(self, blocks, now_s):
        return blocks.hits
""",
    "everything": """
class Everything:
    def __init__(self):
        self.found, self.lost = {}, {}

    def on_access(self, accessed):
        for name, hit in zip(accessed.id.tolist(), accessed.hit.tolist()):
            self.found[name] = self.found.get(name, 0) + hit

    def on_evict(self, evicted):
        for name in evicted.id.tolist():
            self.lost[name] = self.lost.get(name, 0) + 1

    def keep_value(self, blocks, now_s):
        seen = [
            self.found.get(name, 0) + 2 * self.lost.get(name, 0)
            for name in blocks.id.tolist()
        ]
        age = 1e6 * (now_s - blocks.last_used_s) + 1e5 * (now_s - blocks.inserted_s)
        kin = blocks.children + blocks.owner - 2 * blocks.tenant
        cost = 1e8 * blocks.recompute_s
        return seen + kin + cost - age - blocks.depth % 3
""",
}
