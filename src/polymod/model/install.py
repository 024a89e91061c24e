"""Changes of a model's languages: add, drop, rename. Nothing that belongs to the others changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from polymod.languages import LanguageError, resolve
from polymod.model.config import ModelConfig, OwnVocabulary
from polymod.model.encoder import Encoder
from polymod.model.packs import KEY, Memory, generator, initial_


class HasEncoder(Protocol):
    """A masked-LM model or a fine-tuned one."""

    encoder: Encoder


def add_language(
    model: HasEncoder,
    tag: str,
    *,
    seed: int,
    init_from: Sequence[str] = (),
    vocabulary: OwnVocabulary | None = None,
) -> None:
    """Install a language: its pack (modular arm), its vector (with language embeddings), rows of its own.

    Args:
        tag: canonical tag of the new language.
        seed: of what is drawn at random: the pack without ``init_from``, and the language's own rows.
        init_from: installed languages whose mean the pack starts from.
        vocabulary: given if the language has rows of its own; they are drawn from N(0, initializer_range).

    Raises:
        LanguageError: it is installed already, or one of ``init_from`` is not.
    """
    encoder, config = model.encoder, model.encoder.config
    if tag in config.languages:
        fix = "drop it first or give another tag"
        raise LanguageError(f"language {tag!r} is installed already", fix=fix)
    sources = [resolve(source, config.languages) for source in init_from]
    _draw(encoder, config, tag, seed, sources)
    own = dict(config.own_vocabularies)
    if vocabulary is not None:
        own[tag] = vocabulary
        rows = encoder.embeddings.own.add(tag, vocabulary)
        std = config.architecture.initializer_range
        torch.nn.init.normal_(rows.tokens_VD, 0.0, std, generator=generator(seed, f"rows {tag}"))
    encoder.config = changed(config, languages=(*config.languages, tag), own_vocabularies=own)


def add_languages(
    model: HasEncoder,
    config: ModelConfig,
    *,
    seed: int,
    memory: Callable[[str], Memory],
    added: Callable[[str, Sequence[torch.nn.Parameter]], None],
) -> None:
    """Install the languages of a configuration one after the other, drawn as ``initialise`` draws them.

    Args:
        model: of the same configuration with fewer languages, initialised with the same seed.
        memory: where the tensors of a language's pack lie.
        added: told of each language, those that were there too, and of what belongs to it.
    """
    encoder = model.encoder
    there = frozenset(encoder.config.languages)
    for tag in config.languages:
        if tag not in there:
            _draw(encoder, config, tag, seed, memory=memory(tag))
        parts: list[torch.nn.Parameter] = []
        if config.arm == "modular":
            parts += encoder.packs[tag].parameters()
        if config.language_embedding:
            parts.append(encoder.language_embeddings.by_key[KEY + tag])
        added(tag, parts)
    encoder.config = config


def drop_language(model: HasEncoder, tag: str) -> None:
    """Uninstall a language and all that it owns.

    Raises:
        LanguageError: it is not installed, or it is the only one.
    """
    encoder, config = model.encoder, model.encoder.config
    tag = resolve(tag, config.languages)
    if config.languages == (tag,):
        raise LanguageError(f"{tag!r} is the only language", fix="add another one first")
    if config.arm == "modular":
        encoder.packs.drop(tag)
    if config.language_embedding:
        del encoder.language_embeddings.by_key[KEY + tag]
    encoder.embeddings.own.drop(tag)
    kept = tuple(each for each in config.languages if each != tag)
    own = {each: v for each, v in config.own_vocabularies.items() if each != tag}
    names = {each: name for each, name in config.hub_names.items() if each != tag}
    encoder.config = changed(config, languages=kept, own_vocabularies=own, hub_names=names)


def rename_language(model: HasEncoder, old: str, new: str) -> None:
    """Give a language another tag; what it owns stays as it is.

    Raises:
        LanguageError: ``old`` is not installed, or ``new`` is.
    """
    encoder, config = model.encoder, model.encoder.config
    old = resolve(old, config.languages)
    if new in config.languages:
        fix = "drop it first or give another tag"
        raise LanguageError(f"language {new!r} is installed already", fix=fix)
    if config.arm == "modular":
        encoder.packs.rename(old, new)
    if config.language_embedding:
        vectors = encoder.language_embeddings.by_key
        vectors[KEY + new] = vectors.pop(KEY + old)
    own = dict(config.own_vocabularies)
    if old in own:
        rows = encoder.embeddings.own[old]
        encoder.embeddings.own.drop(old)
        own[new] = own.pop(old)
        encoder.embeddings.own.add(new, own[new]).load_state_dict(rows.state_dict())
    languages = tuple(new if tag == old else tag for tag in config.languages)
    names = {tag: name for tag, name in config.hub_names.items() if tag != old}
    encoder.config = changed(config, languages=languages, own_vocabularies=own, hub_names=names)


def _draw(
    encoder: Encoder,
    config: ModelConfig,
    tag: str,
    seed: int,
    sources: Sequence[str] = (),
    *,
    memory: Memory = torch.empty,
) -> None:
    """Install a language's pack and vector, the mean of others' or drawn at random."""
    std = config.architecture.initializer_range
    if config.arm == "modular":
        pack = encoder.packs.add(tag, sources, memory=memory)
        if not sources:
            initial_(pack, std, generator(seed, tag))
    if config.language_embedding:
        vector = encoder.language_embeddings.add(tag, sources)
        if not sources:
            torch.nn.init.normal_(vector, 0.0, std, generator=generator(seed, f"embedding {KEY}{tag}"))


def changed(config: ModelConfig, **fields: Any) -> ModelConfig:
    """The configuration with other values, checked."""
    return ModelConfig.model_validate({**dict(config), **fields})
