"""Do words that mean the same lie near each other in the embedding of a run on a world?

``python benchmarks/alignment.py RUN WORLD``: for the nouns, verbs, adjectives and adverbs that are one token
in both languages and not written alike, how often the nearest word of the other language is the translation,
the cosine of translations and that of all pairs, after the mean of the matrix is taken away.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer

from polymod.files import read_json
from polymod.train.checkpoint import load_model
from polymod.train.run import TOKENIZER, found
from polymod.worlds.lexicon import OPEN_CONCEPTS
from polymod.worlds.world import World


def main() -> None:
    run, config = Path(sys.argv[1]), read_json(Path(sys.argv[2]) / "world.json")["config"]
    world = World(config["seed"], config["languages"], config["families"])
    saved, _ = found(run)
    rows_VD = load_model(saved).encoder.embeddings.tokens.weight.detach()
    rows_VD = torch.nn.functional.normalize(rows_VD - rows_VD.mean(0), dim=1)
    ids = Tokenizer.from_file(str(run / TOKENIZER)).get_vocab()
    first, *others = world.tags
    print(f"{'pair':<12} {'words':>6} {'nearest':>8} {'cosine':>7} {'of all':>7}")
    for other in others:
        pairs = [
            ["▁" + world.language(tag).written(word) for tag in (first, other)] for word in OPEN_CONCEPTS
        ]
        known = [(ids[one], ids[two]) for one, two in pairs if one != two and one in ids and two in ids]
        a_W, b_W = torch.tensor(known).T
        cosine_WW = rows_VD[a_W] @ rows_VD[b_W].T
        nearest = (cosine_WW.argmax(1) == torch.arange(len(known))).float().mean()
        figures = f"{nearest:>8.3f} {cosine_WW.diag().mean():>7.3f} {cosine_WW.mean():>7.3f}"
        print(f"{first}-{other:<8} {len(known):>6} {figures}")


if __name__ == "__main__":
    main()
