"""Small files in the formats of the recorded traces, by kind of workload."""

import json

import numpy as np


def write_all(folder):
    """Write a sample for every kind that reads files."""
    for write in (azure, mooncake, ragpulse, claude_code, sharegpt_v3, sharegpt):
        write(folder)
    return folder


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def azure(folder, n=400):
    rows = [
        f"2023-11-16 18:{i // 60:02d}:{i % 60:02d},{100 + i},{8 + i % 90}\n"
        for i in range(n)
    ]
    text = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(rows)
    (folder / "azure_llm_2023_conv.csv").write_text(text)


def mooncake(folder, n=400):
    """Ten families of prompts; in each, every prompt continues the one before."""
    rows = []
    for i in range(n):
        family, depth = i % 10, i // 10
        ids = [family * 1000 + j for j in range(depth % 8 + 2)]
        rows.append({
            "timestamp": 3000 * (i // 10),
            "input_length": 512 * len(ids) - 100,
            "output_length": 5 + i % 50,
            "hash_ids": ids,
        })
    lines(folder / "mooncake_conversation.jsonl", rows)


def ragpulse(folder, n=400):
    """Three system prompts, 50 passages of 37 tokens, questions of their own."""
    where = folder / "ragpulse"
    names = ("1_sys_prompt", "2_passages", "3_history", "4_user_input", "5_web_search")
    sizes = (
        (range(3), 100),
        (range(100, 150), 37),
        ((), 0),
        (range(1000, 1000 + n), 9),
    )
    for name, (ids, tokens) in zip(names, (*sizes, ((), 0)), strict=True):
        rows = [{"id": i, "token_length": tokens} for i in ids]
        lines(where / f"{name}.jsonl", rows or [{"id": 1 << 20, "token_length": 1}])
    rows = []
    for i in range(n):
        chunks = [100 + i % 50, 100 + (7 * i) % 50]
        ids = {name: [] for name in ("history", "web_search")}
        ids |= {"sys_prompt": [i % 3], "passages_ids": chunks}
        ids["user_input"] = [1000 + i]
        rows.append({
            "timestamp": str(10 * (n - i)),
            "input_length": 190,
            "output_length": 5 + i % 50,
            "hash_ids": ids,
            "session_id": "x",
        })
    lines(where / "0_trace.jsonl", rows)


def call(t, tokens, out, runs, **more):
    return {
        "t": t,
        "type": "n",
        "in": tokens,
        "out": out,
        "input_types": "tool_result",
        "hash_runs": runs,
        "api_time": 2.0,
        "think_time": 1.0,
        **more,
    }


def claude_code(folder, n=40):
    """Sessions of ten requests, each continuing the one before."""
    sessions = []
    for i in range(n):
        calls = [
            call(3.0 * k, 64 * (5 + 3 * k), 70 + i, [1, 5 + 3 * k]) for k in range(10)
        ]
        sessions.append({"id": str(i), "block_size": 64, "requests": calls})
    lines(folder / "claude_code.jsonl", sessions)


def sharegpt_v3(folder, n=120):
    rows = [
        {"i": i, "roles": "hghghg", "tokens": [40, 50 + i, 20, 60, 30, 70]}
        for i in range(n)
    ]
    lines(folder / "sharegpt_v3.jsonl", rows)


def sharegpt(folder, n=400):
    rows = [f"XXX,{10 + i},{20 + i}\n" for i in range(n)]
    text = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(rows)
    (folder / "nanoflow_sharegpt_lengths.csv").write_text(text)


def servegen(folder, n_windows=60):
    """Three clients; the busiest, 0, has no densities and is in Weibull bursts."""
    from pyarrow import Table, parquet

    where = folder / "servegen"
    where.mkdir(exist_ok=True)
    client = np.repeat([0, 1, 2], n_windows)
    arrivals = {
        "model": ["m-large"] * len(client),
        "client": client,
        "window_start_s": np.tile(np.arange(n_windows) * 600, 3),
        "rate_req_s": np.repeat([6.0, 3.0, 1.0], n_windows),
        "arrival_dist": np.where(client == 0, "Weibull", "Gamma"),
        "param1": np.repeat([0.4, 1.0, 0.5], n_windows),
    }
    parquet.write_table(
        Table.from_pydict(arrivals), where / "client_arrival_windows.parquet"
    )
    densities = {
        "client": [1, 1, 2, 2],
        "window_start_s": [0, 0, 0, 0],
        "field": ["input_tokens", "output_tokens"] * 2,
        "values": [[100.0, 200.0], [10.0, 20.0], [1000.0, 2000.0], [300.0, 400.0]],
        "weights": [[1, 3]] * 4,
    }
    parquet.write_table(
        Table.from_pydict(densities), where / "m-large_length_pdfs.parquet"
    )
