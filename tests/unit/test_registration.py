"""``import polymod`` is light and registers with the Auto classes whenever those come, before or after."""

import subprocess
import sys

import pytest

HEAVY = "assert not {'torch', 'transformers'} & set(sys.modules), 'heavy'"
KNOWN = "from transformers import AutoConfig; assert AutoConfig.for_model('polymod').model_type == 'polymod'"
SCRIPTS = {
    "light": f"import sys, polymod; {HEAVY}",
    "before": f"import polymod; {KNOWN}",
    "after": f"from transformers import AutoConfig; import polymod; {KNOWN}",
    "the model classes too": """
import polymod
from transformers import AutoModel, AutoModelForMaskedLM
from transformers.models.auto import modeling_auto
names = "", "MASKED_LM_", "SEQUENCE_CLASSIFICATION_", "TOKEN_CLASSIFICATION_", "QUESTION_ANSWERING_"
for kind in names:
    classes = getattr(modeling_auto, f"MODEL_{kind and 'FOR_'}{kind}MAPPING")
    assert any(config.__name__ == "PolymodConfig" for config in classes), kind
""",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_registration(script):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
