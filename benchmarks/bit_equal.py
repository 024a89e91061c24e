"""Do two exported directories compute the same for the languages of the first?

``python benchmarks/bit_equal.py A B``

Loads both with plain ``transformers`` and compares logits and all hidden states bit by bit.
"""

from __future__ import annotations

import sys

import torch
from transformers import AutoModelForMaskedLM


def main() -> None:
    before, after = (AutoModelForMaskedLM.from_pretrained(folder).eval() for folder in sys.argv[1:3])
    assert "polymod" not in sys.modules
    counts = f"{len(before.config.languages)} languages, then {len(after.config.languages)}"
    print(f"{type(before).__name__}: {counts}")
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, before.config.vocab_size, (2, 24), generator=generator)
    for name in before.config.languages:
        outputs = []
        for model in (before, after):
            language = torch.full((2,), list(model.config.languages).index(name))
            with torch.no_grad():
                out = model(ids, lang_ids=language, output_hidden_states=True)
            outputs.append((out.logits, *out.hidden_states))
        same = all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))
        print(name, "bit-equal" if same else "DIFFERENT")


if __name__ == "__main__":
    main()
