"""The two service classes: what an interactive and a relaxed request are promised."""

from evaluators.scenario import ServiceClass

MLPERF = "MLPerf Inference v5.1, Llama-3.1-8B"
SARATHI = "Sarathi-Serve (OSDI 2024) for Mistral-7B"

CLASSES = (
    ServiceClass(
        name="interactive",
        ttft_s=0.5,
        tpot_s=0.030,
        gap_s=0.1,
        source=f"TTFT, TPOT: {MLPERF} Interactive; gap: strict TBT of {SARATHI}",
    ),
    ServiceClass(
        name="relaxed",
        ttft_s=2.0,
        tpot_s=0.100,
        gap_s=0.5,
        source=f"TTFT, TPOT: {MLPERF} Server; gap: relaxed TBT of {SARATHI}",
    ),
)
"""In the order of ``slo_class``. The published limits bound a run's P99; here each
request is held to them, the gap limit to its longest gap."""
