"""Runs in the environment of kvcache-simulator: hit tokens of its second half.

Arguments: a trace as JSON lines, then policy:blocks pairs. Prints JSON.
"""

import json
import sys

from kvcache_sim.plan import build_execution_plan
from kvcache_sim.policies import simulate_policy
from kvcache_sim.trace import parse_trace_file

plan = build_execution_plan(parse_trace_file(sys.argv[1]))
found = {}
for pair in sys.argv[2:]:
    policy, blocks = pair.split(":")
    result = simulate_policy(plan, policy, int(blocks))
    found[pair] = [result.hitTokens, result.totalTokens]
json.dump(found, sys.stdout)
