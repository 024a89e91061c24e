"""Lines of diagnoses: what is too noisy to mean anything is not said."""

import pytest

from _diagnoses import gradients
from polymod.diagnose.tables import FEW, gradient_lines

NOTE = "corrected -: two batches of one language hardly agree"


@pytest.mark.parametrize("noise", [{"mean_ceiling": 0.0}, {"ceiling_conflict_rate": 0.3}])
def test_a_corrected_cosine_beside_a_ceiling_of_noise_is_a_dash(noise):
    checkpoint = gradients(("qaa", "qab", "qba"))
    assert not any(NOTE in line for line in gradient_lines(checkpoint))
    checkpoint["groups"]["norms"] |= noise
    lines = list(gradient_lines(checkpoint))
    corrected = {line.split()[0]: line.split()[3] for line in lines[2:8]}
    assert corrected == {
        "trunk": "0.410",
        "embeddings": "0.410",
        "attention": "0.410",
        "feed-forward": "0.410",
        "norms": "-",
        "head": "0.410",
    }
    assert any(NOTE in line for line in lines)


def test_ends_of_many_languages_are_ranked_by_what_can_be_trusted():
    checkpoint = gradients([f"qa{chr(97 + number)}" for number in range(FEW + 1)])
    assert any("agree most (corrected)" in line for line in gradient_lines(checkpoint))
    checkpoint["trunk"]["ceiling_conflict_rate"] = 0.3
    assert any("agree most (cosine)" in line for line in gradient_lines(checkpoint))
