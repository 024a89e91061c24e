"""One language of a model as an ONNX file, compared with the model by onnxruntime; needs the extra ``onnx``.

S sequences, T tokens of the longest, N real tokens, D model width, V vocabulary, C classes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymod.batch import Batch
from polymod.errors import Failure, UserError
from polymod.model.heads import MaskedLM
from polymod.model.hf import Difference, Model, all_logits, relative_difference
from polymod.model.padded import PaddedEncoder
from polymod.model.tasks import TaskModel

FILE = "model.onnx"
TOLERANCE = 1e-4  # relative to the largest output where that is above 1: another library's kernels
OPSET = 20  # the first with GELU
INPUTS = ("input_ids", "attention_mask")
OUTPUTS = {
    "masked": ("last_hidden_state", "logits"),
    "sequence": ("logits",),
    "token": ("logits",),
    "span": ("start_logits", "end_logits"),
}
_LARGEST_FILE = 2**30  # protobuf ends at 2 GiB; weights of larger models go into a file beside it
_SHAPES = ((2, 8), (1, 1), (5, 3), (3, 32))


def require() -> None:
    """Say so before any work if the extra is missing.

    Raises:
        UserError: it is.
    """
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX needs {', '.join(missing)}", fix="pip install 'polymod[onnx]'")


class Graph(nn.Module):
    """Padded token ids and mask to the outputs that the kind of head has."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.padded, self.model = PaddedEncoder(model.encoder), model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Outputs in the order of ``OUTPUTS``."""
        x_STD = self.padded(input_ids, attention_mask)
        if isinstance(self.model, MaskedLM):
            head = self.model.head
            matrix_VD, bias_V = self.model.encoder.embeddings.output(self.padded.tag, head.bias)
            return x_STD, F.linear(head(x_STD), matrix_VD, bias_V)
        if self.model.spec.kind == "sequence":
            first_S11 = attention_mask.long().argmax(1)[:, None, None]
            return (self.model.head(x_STD.gather(1, first_S11.expand(-1, 1, x_STD.shape[-1])).squeeze(1)),)
        logits_STC = self.model.head(x_STD)
        if self.model.spec.kind == "token":
            return (logits_STC,)
        padding_ST1 = (attention_mask == 0)[:, :, None]
        start_ST, end_ST = logits_STC.masked_fill(padding_ST1, torch.finfo(logits_STC.dtype).min).unbind(-1)
        return start_ST, end_ST


def write_onnx(model: Model, folder: Path) -> None:
    """Write ``model.onnx``, from int64 ``input_ids`` and ``attention_mask`` of any (batch, sequence) to
    ``OUTPUTS``. Padding may stand on either side.

    Args:
        model: of one language, on the CPU.
    """
    graph = Graph(model).eval()
    ids_ST, mask_ST, _ = _padded_batch(model, *_SHAPES[0], seed=0)
    names = OUTPUTS[_kind(model)]
    axes = {0: "batch", 1: "sequence"}
    with _quiet():
        program = torch.onnx.export(
            graph,
            (ids_ST, mask_ST),
            input_names=INPUTS,
            output_names=names,
            dynamic_shapes=(axes, axes),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()  # where in the source it came from: longer than the node
        program.model.graph.metadata_props.clear()
        size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        program.save(folder / FILE, external_data=size > _LARGEST_FILE)


def compare_onnx(model: Model, folder: Path, seed: int = 0) -> Difference:
    """Run the file with onnxruntime on batches of several shapes, beside the packed model.

    Raises:
        Failure: they differ by more than ``TOLERANCE``.
    """
    onnxruntime: Any = import_module("onnxruntime")  # which has no types
    session = onnxruntime.InferenceSession(folder / FILE, providers=["CPUExecutionProvider"])
    hidden, logits = [], []
    for number, (count, longest) in enumerate(_SHAPES):
        longest = min(longest, model.config.architecture.max_length)
        ids_ST, mask_ST, batch = _padded_batch(model, count, longest, seed + number)
        theirs = _run(session, ids_ST, mask_ST)
        with torch.no_grad():
            pairs = [(all_logits(model, batch), _rows(_kind(model), theirs, mask_ST.bool()))]
            if "last_hidden_state" in theirs:
                pairs.append((model.encoder(batch), theirs["last_hidden_state"][mask_ST.bool()]))
        differences = [relative_difference(ours, others) for ours, others in pairs]
        if not all(relative <= TOLERANCE for _, relative in differences):
            sizes = ", ".join(f"{absolute:.2e}" for absolute, _ in differences)
            what = f"onnxruntime computes something else: outputs differ by {sizes}"
            raise Failure(what, where=str(folder))
        logits.append(differences[0][0])
        hidden += [absolute for absolute, _ in differences[1:]]
    return Difference(max(hidden, default=None), max(logits), 1)


def _run(session: Any, ids_ST: Tensor, mask_ST: Tensor) -> dict[str, Tensor]:
    given: dict[str, Any] = dict(zip(INPUTS, (ids_ST.numpy(), mask_ST.numpy()), strict=True))
    names = [each.name for each in session.get_outputs()]
    outputs: list[Any] = session.run(names, given)
    return {name: torch.from_numpy(output) for name, output in zip(names, outputs, strict=True)}


def _rows(kind: str, outputs: dict[str, Tensor], real_ST: Tensor) -> Tensor:
    """Logits of real tokens or sequences, as the packed model gives them."""
    if kind == "span":
        return torch.stack([outputs[name] for name in OUTPUTS[kind]], -1)[real_ST]
    return outputs["logits"] if kind == "sequence" else outputs["logits"][real_ST]


def _padded_batch(model: Model, count: int, longest: int, seed: int) -> tuple[Tensor, Tensor, Batch]:
    """Random sequences, the first of full length, padded on the right and left in turn; the same packed."""
    generator = torch.Generator().manual_seed(seed)
    (tag,) = model.config.languages
    vocabulary = model.config.vocabulary_of(tag)
    ids_ST = torch.full((count, longest), vocabulary.pad_id)
    mask_ST = torch.zeros_like(ids_ST)
    sequences = []
    for row in range(count):
        length = max(1, longest - row * longest // count)
        ids = torch.randint(0, vocabulary.size, (length,), generator=generator)
        place = slice(0, length) if row % 2 else slice(longest - length, longest)
        ids_ST[row, place], mask_ST[row, place] = ids, 1
        sequences.append(ids)
    return ids_ST, mask_ST, Batch.pack(sequences, [tag] * count)


def _kind(model: Model) -> str:
    return model.spec.kind if isinstance(model, TaskModel) else "masked"


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of the exporter, which concern its own parts; it logs to stderr."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
