"""The same weights and sizes in the words of ``transformers``' X-MOD, both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from polymod.errors import UserError
from polymod.languages import canonical, canonical_all
from polymod.model.config import Architecture, ModelConfig
from polymod.model.packs import KEY
from polymod.model.tasks import TaskSpec

State = dict[str, Tensor]

# Names that differ only by these words; projections, packs and segment embeddings are rebuilt below.
_WORDS = {
    "encoder.embeddings.tokens.weight": "roberta.embeddings.word_embeddings.weight",
    "encoder.embeddings.positions.weight": "roberta.embeddings.position_embeddings.weight",
    "encoder.embeddings.norm": "roberta.embeddings.LayerNorm",
    "encoder.final_norm": "roberta.encoder.LayerNorm",
    "head.dense": "lm_head.dense",
    "head.norm": "lm_head.layer_norm",
    "head.bias": "lm_head.bias",
}
_LAYER_WORDS = {
    "attention.out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
    "module_norm": "output.adapter_layer_norm",
}
TASK = "polymod_task"  # field of config.json, for polymod alone
PURPOSES = {
    "sequence": "ForSequenceClassification",
    "token": "ForTokenClassification",
    "span": "ForQuestionAnswering",
}
_PACK_WORDS = {
    "down_LBD": "dense1.weight",
    "down_bias_LB": "dense1.bias",
    "up_LDB": "dense2.weight",
    "up_bias_LD": "dense2.bias",
}
# config.json fields that say something else than the default; every other field is left unread.
_REFUSED = {
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
    "position_embedding_type": "absolute",
}


def hub_name(config: ModelConfig, tag: str) -> str:
    """Module name of a language: as imported, or in X-MOD's ``en_XX`` style (a bare ``to`` is refused)."""
    language, _, rest = tag.partition("-")
    return config.hub_names.get(tag, f"{language}_{rest.replace('-', '_') or 'XX'}")


def module_names(config: ModelConfig) -> list[str]:
    """How the languages are called in an exported directory, by ``lang_id``."""
    if config.is_xmod and config.packs:
        return [hub_name(config, tag) for tag in config.packs]
    return list(config.languages)


def purpose(spec: TaskSpec | None) -> str:
    """What ``transformers`` appends to a class name for a head: ``AutoModel`` + this is the Auto class."""
    return "ForMaskedLM" if spec is None else PURPOSES[spec.kind]


def task_fields(spec: TaskSpec | None) -> dict[str, Any]:
    """Fields of ``config.json`` that name the task of a head and its classes."""
    if spec is None:
        return {}
    if spec.kind == "span":
        return {TASK: spec.task}
    fields: dict[str, Any] = {
        TASK: spec.task,
        "id2label": dict(enumerate(spec.labels)),
        "label2id": {label: index for index, label in enumerate(spec.labels)},
    }
    return fields | ({"problem_type": "single_label_classification"} if spec.kind == "sequence" else {})


def hub_config(config: ModelConfig, spec: TaskSpec | None = None) -> dict[str, Any]:
    """``config.json`` of a model that plain ``transformers`` has; of a task with ``spec``."""
    a = config.architecture
    document: dict[str, Any] = {
        "architectures": [("Xmod" if config.packs else "XLMRoberta") + purpose(spec)],
        "model_type": "xmod" if config.packs else "xlm-roberta",
        "vocab_size": config.vocab_size,
        "hidden_size": a.hidden_size,
        "num_hidden_layers": a.num_layers,
        "num_attention_heads": a.num_heads,
        "intermediate_size": a.ffn_size,
        "hidden_act": a.activation,
        "hidden_dropout_prob": a.dropout,
        "attention_probs_dropout_prob": a.attention_dropout,
        "max_position_embeddings": a.max_length + config.pad_id + 1,
        "type_vocab_size": 1,
        "initializer_range": a.initializer_range,
        "layer_norm_eps": a.norm_eps,
        "bos_token_id": config.bos_id,
        "pad_token_id": config.pad_id,
        "eos_token_id": config.eos_id,
        **task_fields(spec),
    }
    if config.packs:
        factor = a.hidden_size // a.bottleneck_size
        if a.hidden_size // factor != a.bottleneck_size:
            raise UserError(f"transformers cannot say a bottleneck of {a.bottleneck_size} of {a.hidden_size}")
        names = module_names(config)
        document |= {
            "pre_norm": a.pre_norm,
            "adapter_reduction_factor": factor,
            "adapter_layer_norm": a.module_norm == "own",
            "adapter_reuse_layer_norm": a.module_norm == "reuse",
            "ln_before_adapter": a.norm_before_residual,
            "languages": names,
            "default_language": names[0] if len(names) == 1 else None,
        }
    if config.arm != "modular":
        document["polymod_languages"] = list(config.languages)
    return document


def model_config(document: Mapping[str, Any], *, mask_id: int | None, where: str) -> ModelConfig:
    """The model that an X-MOD ``config.json`` describes.

    Raises:
        UserError: not X-MOD, an option that polymod does not have, values out of bounds, languages given
            twice.
    """
    kind = document.get("model_type")
    if kind != "xmod" and not (kind == "xlm-roberta" and "polymod_languages" in document):
        raise UserError(f"model_type is {kind!r}, not 'xmod'", where=where)
    for field, expected in _REFUSED.items():
        if document.get(field, expected) != expected:
            raise UserError(f"{field} is {document[field]!r}; only {expected!r} can be imported", where=where)
    get = document.get
    module_norm = (
        "own" if get("adapter_layer_norm") else "reuse" if get("adapter_reuse_layer_norm", True) else "none"
    )
    try:
        hidden, factor = int(get("hidden_size", 768)), float(get("adapter_reduction_factor", 2))
        pad_id = int(get("pad_token_id", 1))
        architecture = Architecture(
            hidden_size=hidden,
            num_layers=get("num_hidden_layers", 12),
            num_heads=get("num_attention_heads", 12),
            ffn_size=get("intermediate_size", 3072),
            bottleneck_size=int(hidden // factor),
            max_length=get("max_position_embeddings", 512) - pad_id - 1,
            pre_norm=get("pre_norm", False),
            module_norm=module_norm,
            norm_before_residual=get("ln_before_adapter", True),
            norm_eps=get("layer_norm_eps", 1e-12),
            activation=get("hidden_act", "gelu"),
            dropout=get("hidden_dropout_prob", 0.1),
            attention_dropout=get("attention_probs_dropout_prob", 0.1),
            initializer_range=get("initializer_range", 0.02),
        )
        own = get("polymod_languages")  # an exported shared or dense arm, whose modules do not name them
        names = [str(name) for name in get("languages", ["en_XX"])]
        tags = tags_of(names, where=where) if own is None else canonical_all(own, where=where)
        return ModelConfig(
            architecture=architecture,
            arm="modular" if own is None else "shared" if kind == "xmod" else "dense",
            languages=tags,
            vocab_size=get("vocab_size", 30522),
            bos_id=get("bos_token_id", 0),
            pad_id=pad_id,
            eos_id=get("eos_token_id", 2),
            mask_id=get("vocab_size", 30522) - 1 if mask_id is None else mask_id,
            hub_names=dict(zip(tags, names, strict=True)) if own is None else {},
        )
    except UserError:
        raise
    except (ValidationError, TypeError, ValueError, ZeroDivisionError, AttributeError) as error:
        reason = error.errors()[0] if isinstance(error, ValidationError) else None
        said = f"{'.'.join(map(str, reason['loc']))}: {reason['msg']}" if reason else str(error)
        raise UserError(f"this configuration cannot be read: {said}", where=where) from None


def tags_of(names: list[str], *, where: str) -> tuple[str, ...]:
    """Tags of module names. Names that differ only by region (``de_DE``, ``de_CH``) keep it: ``de``,
    ``de-x-ch``.
    """
    tags: list[str] = []
    if len(set(names)) < len(names):
        raise UserError(f"two modules are named {max(names, key=names.count)!r}", where=where)
    for name in names:
        tag = canonical(name, where=where)
        if tag in tags and "_" in name:
            tag = canonical(f"{tag}-x-{name.split('_')[-1].lower()}", where=where)
        if tag in tags:
            raise UserError(f"two modules are the language {tag!r}, one of them {name!r}", where=where)
        tags.append(tag)
    return tuple(tags)


def task_head(state: Mapping[str, Tensor], spec: TaskSpec) -> State:
    """The weights of a task's head, as the classes that :mod:`polymod.model.hf_auto` registers name them."""
    return {head_name(name, spec): tensor for name, tensor in state.items() if name.startswith("head.")}


def head_name(name: str, spec: TaskSpec, *, xmod: bool = False) -> str:
    """Name of a weight of a task's head in a directory, of polymod's own type or of X-MOD."""
    found = f"{'qa_outputs' if spec.kind == 'span' else 'classifier'}{name.removeprefix('head')}"
    return found.replace(".linear.", ".") if xmod else found


def to_hub(state: Mapping[str, Tensor], config: ModelConfig, spec: TaskSpec | None = None) -> State:
    """Weights under ``transformers``' names."""
    hub: State = {}
    if spec is not None:
        head = {name: part for name, part in state.items() if name.startswith("head.")}
        hub = {head_name(name, spec, xmod=True): part.detach().contiguous() for name, part in head.items()}
        state = {name: tensor for name, tensor in state.items() if not name.startswith("head.")}
    for name, tensor in state.items():
        for hub_key, part in _hub_parts(name, tensor, config):
            hub[hub_key] = part.detach().contiguous()
    hub["roberta.embeddings.token_type_embeddings.weight"] = torch.zeros(1, config.architecture.hidden_size)
    return hub


def from_hub(
    hub: Mapping[str, Tensor], names: Mapping[str, Tensor], config: ModelConfig, *, where: str
) -> State:
    """Weights under our names.

    Args:
        names: what the model expects, name -> a tensor of the right shape.

    Raises:
        UserError: a tensor is missing or has another shape.
    """
    hub = {
        key if key.startswith(("roberta.", "lm_head.")) else f"roberta.{key}": value
        for key, value in hub.items()
    }
    state: State = {}
    for name, expected in names.items():
        parts = [key for key, _ in _hub_parts(name, expected, config)]
        missing = [key for key in parts if key not in hub]
        if missing:
            raise UserError(f"the weights hold no {missing[0]!r}", where=where)
        tensors = [hub[key].float() for key in parts]
        tensor = torch.stack(tensors) if ".packs." in name else torch.cat(tensors)
        if tensor.shape != expected.shape:
            raise UserError(
                f"{parts[0]} has shape {tuple(tensor.shape)}, not {tuple(expected.shape)}", where=where
            )
        state[name] = tensor
    segments = hub.get("roberta.embeddings.token_type_embeddings.weight")
    if segments is not None:  # every token gets row 0, so it can live in the position embeddings
        state["encoder.embeddings.positions.weight"] += segments[0].float()
    return state


def _hub_parts(name: str, tensor: Tensor, config: ModelConfig) -> Iterator[tuple[str, Tensor]]:
    """The tensors of ``transformers`` that together are one of ours."""
    module, _, leaf = name.rpartition(".")
    if ".packs." in name:
        tag, word = module.rpartition(KEY)[2], _PACK_WORDS[leaf]
        for layer, part in enumerate(tensor):
            yield f"roberta.encoder.layer.{layer}.output.adapter_modules.{hub_name(config, tag)}.{word}", part
    elif name.startswith("encoder.layers."):
        layer_text, _, word = module.removeprefix("encoder.layers.").partition(".")
        prefix = f"roberta.encoder.layer.{layer_text}"
        if word == "attention.qkv":
            for part, projection in zip(tensor.chunk(3), ("query", "key", "value"), strict=True):
                yield f"{prefix}.attention.self.{projection}.{leaf}", part
        else:
            yield f"{prefix}.{_LAYER_WORDS[word]}.{leaf}", tensor
    else:
        yield _WORDS.get(name) or f"{_WORDS[module]}.{leaf}", tensor
