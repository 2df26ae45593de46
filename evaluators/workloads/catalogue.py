"""Public traces by name: where their own projects publish them, and their licences."""

from dataclasses import dataclass

AZURE = "https://raw.githubusercontent.com/Azure/AzurePublicDataset/master/data"
MOONCAKE = (
    "https://raw.githubusercontent.com/kvcache-ai/Mooncake/main/FAST25-release/traces"
)

RAGPULSE = (
    "https://raw.githubusercontent.com/flashserve/RAGPulse/"
    "99a62769a91d5ebd17a2d4ddbbc88c1d16edc0e8/data"
)
NANOFLOW = (
    "https://raw.githubusercontent.com/efeslab/Nanoflow/"
    "a47a399e4e8c5755086a91c356274fdfbcf0cdff/datasets/traces"
)
VIDUR = (
    "https://raw.githubusercontent.com/microsoft/vidur/"
    "6d98aa8f71696520acc603d87439e77cc78160a7/data/processed_traces"
)

PROJECTS = {
    "claude_code": "clone github.com/callanjfox/kv-cache-tester, its folder `traces`",
    "servegen": "re-code github.com/alibaba/ServeGen as the reader's file tells",
    "sharegpt_v3": "count the tokens of ShareGPT's turns as the reader's file tells",
}
"""Ways to traces that no single file of another project holds."""


@dataclass(frozen=True, slots=True)
class PublicTrace:
    """A trace file of another project.

    ``file`` is the name it is kept under, which the readers find. ``sha256`` is of the
    upstream bytes, or None where nobody here has hashed them. ``part_of`` names the
    trace that needs this one beside it.
    """

    name: str
    file: str
    url: str
    sha256: str | None
    licence: str
    paper: str
    part_of: str | None = None


CATALOGUE = (
    PublicTrace(
        "azure_llm_2023_conv",
        "azure_llm_2023_conv.csv",
        f"{AZURE}/AzureLLMInferenceTrace_conv.csv",
        "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8",
        "CC-BY 4.0",
        "Splitwise, ISCA 2024",
    ),
    PublicTrace(
        "azure_llm_2023_code",
        "azure_llm_2023_code.csv",
        f"{AZURE}/AzureLLMInferenceTrace_code.csv",
        "54e9a6d2a4bd06ba1e060304b900abbc74cbea53de96506e60fe5bb4f2277fb6",
        "CC-BY 4.0",
        "Splitwise, ISCA 2024",
    ),
    PublicTrace(
        "mooncake_conversation",
        "mooncake_conversation.jsonl",
        f"{MOONCAKE}/conversation_trace.jsonl",
        "b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df",
        "Apache-2.0",
        "Mooncake, FAST 2025",
    ),
    PublicTrace(
        "mooncake_toolagent",
        "mooncake_toolagent.jsonl",
        f"{MOONCAKE}/toolagent_trace.jsonl",
        None,
        "Apache-2.0",
        "Mooncake, FAST 2025",
    ),
    PublicTrace(
        "mooncake_synthetic",
        "mooncake_synthetic.jsonl",
        f"{MOONCAKE}/synthetic_trace.jsonl",
        "bd070915a98fc0ed264d7cfef2ce746002eb3076a695ec31ba2674c0111ec131",
        "Apache-2.0",
        "Mooncake, FAST 2025",
    ),
    *(
        PublicTrace(
            name,
            f"ragpulse/{file}",
            f"{RAGPULSE}/{file}",
            None,
            "MIT",
            "RAGPulse, arXiv 2511.12979",
            None if name == "ragpulse" else "ragpulse",
        )
        for name, file in (
            ("ragpulse", "0_trace.jsonl"),
            ("ragpulse_sys_prompt", "1_sys_prompt.jsonl"),
            ("ragpulse_passages", "2_passages.jsonl"),
            ("ragpulse_history", "3_history.jsonl"),
            ("ragpulse_user_input", "4_user_input.jsonl"),
            ("ragpulse_web_search", "5_web_search.jsonl"),
        )
    ),
    PublicTrace(
        "sharegpt",
        "nanoflow_sharegpt_lengths.csv",
        f"{NANOFLOW}/sharegpt.csv",
        None,
        "Apache-2.0",
        "NanoFlow, OSDI 2025",
    ),
    PublicTrace(
        "lmsys",
        "nanoflow_lmsys_lengths.csv",
        f"{NANOFLOW}/lmsys.csv",
        None,
        "Apache-2.0",
        "LMSYS-Chat-1M, lengths by NanoFlow",
    ),
    PublicTrace(
        "arxiv_summarization",
        "vidur_arxiv_summarization_lengths.csv",
        f"{VIDUR}/arxiv_summarization_stats_llama2_tokenizer_filtered_v2.csv",
        None,
        "MIT",
        "Vidur, MLSys 2024",
    ),
)


def how_to_get(name: str) -> str:
    """The way to a trace, as the end of a sentence that misses it."""
    if name in {trace.name for trace in CATALOGUE}:
        return f"get it with `adrs fetch {name}`"
    return PROJECTS.get(name, "get it from its project")


def parts(name: str) -> tuple[PublicTrace, ...]:
    """The other traces that the one of that name needs beside it."""
    return tuple(trace for trace in CATALOGUE if trace.part_of == name)


def public_trace(name: str) -> PublicTrace:
    """The public trace of that name; raises ``ValueError`` listing those there are."""
    for trace in CATALOGUE:
        if trace.name == name:
            return trace
    known = ", ".join(trace.name for trace in CATALOGUE)
    raise ValueError(f"unknown trace {name!r}; there are {known}")
