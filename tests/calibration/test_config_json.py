import json
from dataclasses import replace

import pytest

from evaluators.calibration.calibration_file import as_text, parsed
from evaluators.calibration.composed import Wanted, composed
from evaluators.calibration.config_json import model_shape
from evaluators.calibration.records import Provenance
from evaluators.calibration.shapes import MODELS
from tests.calibration.tables import tables

LLAMA = {
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
MIXTRAL = {**LLAMA, "vocab_size": 32000, "num_local_experts": 8}
MIXTRAL |= {"num_experts_per_tok": 2}
DEEPSEEK = {
    "first_k_dense_replace": 3,
    "hidden_act": "silu",
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "kv_lora_rank": 512,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_attention_heads": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 61,
    "num_key_value_heads": 128,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 129280,
}
OWN = {**LLAMA, "hidden_size": 2048, "num_attention_heads": 16, "num_hidden_layers": 9}
OWN |= {"num_key_value_heads": 4, "intermediate_size": 5632, "vocab_size": 32000}


def written(folder, config):
    path = folder / "my-model" / "config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(config))
    return str(path)


@pytest.mark.parametrize(
    ("config", "name"),
    [(LLAMA, "llama-3.1-8b"), (MIXTRAL, "mixtral-8x7b"), (DEEPSEEK, "deepseek-v3")],
)
def test_a_published_config_is_the_model_that_we_know(tmp_path, config, name):
    assert model_shape(written(tmp_path, config)) == MODELS[name]


def test_another_model_keeps_its_sizes_through_a_calibration_file(tmp_path):
    shape = model_shape(written(tmp_path, OWN))
    assert (shape.name, shape.layers, shape.head_dim) == ("my-model", 9, 128)
    made = composed(tables(), Wanted(shape, 1, "bfloat16", "vllm"), Provenance("x"))
    loaded = parsed("own", as_text(made.content))
    assert loaded.shape == shape and loaded.model == "my-model"


def test_ranks_that_cannot_part_the_heads_evenly_are_refused():
    shape = replace(MODELS["mistral-7b"], heads=24, kv_heads=6)
    with pytest.raises(ValueError, match="24 heads, 6 of keys and values; 16 ranks"):
        composed(tables(), Wanted(shape, 16, "bfloat16", "vllm"), Provenance("x"))


def test_a_known_model_is_in_a_file_by_its_name():
    shape = MODELS["mistral-7b"]
    made = composed(tables(), Wanted(shape, 1, "bfloat16", "vllm"), Provenance("x"))
    assert made.content["model"] == "mistral-7b"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({**LLAMA, "hidden_act": "relu"}, "hidden_act 'relu' is no gated"),
        ({**DEEPSEEK, "q_lora_rank": None}, "without a query rank is not measured"),
        ({"hidden_size": 1}, "config.json has no 'num_attention_heads'"),
        ([], "config.json: "),
        ({**LLAMA, "num_attention_heads": 0}, "num_attention_heads is 0; expected an"),
        ({**LLAMA, "num_hidden_layers": 0}, "num_hidden_layers is 0; expected an"),
        ({**LLAMA, "hidden_size": 1}, "head_dim is 0; expected an integer, 1 or more"),
        ({**LLAMA, "num_key_value_heads": 7}, "heads is 7; expected a divisor of 32"),
        ({**LLAMA, "vocab_size": None}, "vocab_size is None; expected an integer"),
        ({**MIXTRAL, "num_experts_per_tok": 9}, "num_experts_per_tok is 9 of 8 exp"),
    ],
)
def test_a_config_of_another_kind_is_refused_with_its_file(tmp_path, config, says):
    with pytest.raises(ValueError, match=says):
        model_shape(written(tmp_path, config))


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(ValueError, match="no sizes of model 'gpt'; there are llama-2"):
        model_shape("gpt")
    with pytest.raises(ValueError, match="cannot be read"):
        model_shape("/nowhere/config.json")
