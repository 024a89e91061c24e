"""The example on a model card, which runs where the card lies."""

from __future__ import annotations

from polymod.model.config import ModelConfig
from polymod.model.hf_names import module_names
from polymod.model.tasks import TaskSpec

_MASKED = """from transformers import pipeline

fill = pipeline("fill-mask", model=".")  # the folder of this card
{language}print(fill("a <mask> sentence"))"""
_SEQUENCE = """from transformers import pipeline

classify = pipeline("text-classification", model=".")  # the folder of this card
{language}print(classify({{"text": "a sentence", "text_pair": "another one"}}))"""
_TOKEN = """import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")  # the folder of this card
model = AutoModelForTokenClassification.from_pretrained(".").eval()
{language}
words = ["a", "sentence"]
inputs = tokenizer(words, is_split_into_words=True, return_tensors="pt")
with torch.no_grad():
    classes = model(**inputs).logits[0].argmax(-1).tolist()
first = [inputs.word_ids().index(word) for word in range(len(words))]  # tokens that carry a label
print({{word: model.config.id2label[classes[place]] for word, place in zip(words, first)}})"""
_SPAN = """import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")  # the folder of this card
model = AutoModelForQuestionAnswering.from_pretrained(".").eval()
{language}
context = "a text that holds the answer"
inputs = tokenizer("a question?", context, return_tensors="pt")
with torch.no_grad():
    output = model(**inputs)
inside = torch.tensor([part == 1 for part in inputs.sequence_ids(0)])
scores = output.start_logits[0][:, None] + output.end_logits[0]
scores = scores.masked_fill(~(inside[:, None] & inside).triu(), -torch.inf)  # within the context, in order
start, end = divmod(int(scores.argmax()), len(scores))
print(context[inputs.token_to_chars(start).start : inputs.token_to_chars(end).end])"""
_ONNX = """import numpy
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")  # in the folder of this card
tokenizer.enable_padding(pad_id={pad_id}, pad_token="<pad>")
session = onnxruntime.InferenceSession("model.onnx")
encodings = tokenizer.encode_batch(["a sentence", "another, longer one"])
ids = numpy.array([encoding.ids for encoding in encodings])
mask = numpy.array([encoding.attention_mask for encoding in encodings])
outputs = session.run(None, {{"input_ids": ids, "attention_mask": mask}})
print({{output.name: values.shape for output, values in zip(session.get_outputs(), outputs)}})"""


def example(config: ModelConfig, spec: TaskSpec | None, *, onnx: bool) -> str:
    """Python that loads the model and uses it once."""
    if onnx:
        return _ONNX.format(pad_id=config.vocabulary_of(config.languages[0]).pad_id)
    text, variable = {
        "masked": (_MASKED, "fill.model"),
        "sequence": (_SEQUENCE, "classify.model"),
        "token": (_TOKEN, "model"),
        "span": (_SPAN, "model"),
    }["masked" if spec is None else spec.kind]
    names = module_names(config)
    chooses = len(names) > 1 and not (config.is_xmod and not config.packs)
    language = f'{variable}.set_default_language("{names[0]}")\n' if chooses else ""
    registers = "" if config.is_xmod else "import polymod  # registers the architecture\n"
    return registers + text.format(language=language)
