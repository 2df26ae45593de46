"""A model's sizes from its config.json, as Hugging Face's models carry it."""

import json
from pathlib import Path
from typing import Any

from evaluators.calibration.shapes import MODELS, Experts, Latent, ModelShape

EXPERT_COUNTS = ("num_local_experts", "n_routed_experts", "num_experts")
GATED = ("silu", "swish", "gelu_pytorch_tanh", "swiglu")


def model_shape(model: str) -> ModelShape:
    """The known shape of that name, or the one that a config.json tells.

    Raises ``ValueError`` listing the names there are, or naming the file and the key
    that is missing or makes it a model of another kind.
    """
    if model in MODELS:
        return MODELS[model]
    path = Path(model).expanduser()
    if path.suffix != ".json":
        raise ValueError(
            f"no sizes of model {model!r}; there are {', '.join(MODELS)}, or say the "
            "path of a config.json"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise TypeError(f"is {type(found).__name__}; expected an object")
        made = _shape(path.resolve().parent.name, found)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    except KeyError as error:
        raise ValueError(f"{path} has no {error}") from error
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply to be read") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    return _known(made)


def _known(made: ModelShape) -> ModelShape:
    """The shape under our own name where we have one of those sizes."""
    for shape in MODELS.values():
        if shape == ModelShape(shape.name, *_sizes(made)):
            return shape
    return made


def _sizes(shape: ModelShape) -> tuple[Any, ...]:
    names = [name for name in ModelShape.__dataclass_fields__ if name != "name"]
    return tuple(getattr(shape, name) for name in names)


def _shape(folder: str, config: dict[str, Any]) -> ModelShape:
    name = str(config.get("_name_or_path") or folder).rsplit("/", maxsplit=1)[-1]
    heads, hidden = _whole(config, "num_attention_heads"), _whole(config, "hidden_size")
    act = config.get("hidden_act", "silu")
    if act not in GATED:
        raise ValueError(f"hidden_act {act!r} is no gated feed-forward: {GATED}")
    latent = _latent(config)
    head_dim = config.get("head_dim") or hidden // heads
    if latent is not None:
        head_dim = config["qk_nope_head_dim"]
    kv_heads = config.get("num_key_value_heads") or heads
    return ModelShape(
        name.lower(),
        _whole(config, "num_hidden_layers"),
        hidden,
        heads,
        _part({"num_key_value_heads": kv_heads}, "num_key_value_heads", heads),
        _whole({"head_dim": head_dim}, "head_dim"),
        _whole(config, "intermediate_size"),
        _whole(config, "vocab_size"),
        experts=_experts(config),
        latent=latent,
    )


def _experts(config: dict[str, Any]) -> Experts | None:
    number = next((config[key] for key in EXPERT_COUNTS if config.get(key)), None)
    if number is None:
        return None
    inter = config.get("moe_intermediate_size") or config["intermediate_size"]
    chosen = _whole(config, "num_experts_per_tok")
    if not isinstance(number, int) or chosen > number:
        raise ValueError(f"num_experts_per_tok is {chosen} of {number!r} experts")
    return Experts(
        number,
        chosen,
        _whole({"moe_intermediate_size": inter}, "moe_intermediate_size"),
        int(config.get("n_shared_experts") or 0),
        int(config.get("first_k_dense_replace") or 0),
    )


def _latent(config: dict[str, Any]) -> Latent | None:
    if not config.get("kv_lora_rank"):
        return None
    if not config.get("q_lora_rank"):
        raise ValueError("latent attention without a query rank is not measured")
    return Latent(
        int(config["q_lora_rank"]),
        int(config["kv_lora_rank"]),
        int(config["qk_rope_head_dim"]),
        int(config["v_head_dim"]),
    )


def _whole(config: dict[str, Any], key: str) -> int:
    """The size of that key; raises ``ValueError`` when it is no positive integer."""
    value = config[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{key} is {value!r}; expected an integer, 1 or more")
    return value


def _part(config: dict[str, Any], key: str, of: int) -> int:
    """The same; it must divide ``of``."""
    value = _whole(config, key)
    if of % value:
        raise ValueError(f"{key} is {value}; expected a divisor of {of}")
    return value
