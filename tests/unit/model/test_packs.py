"""Packs: grouped routing equals row-by-row routing; absent languages have no gradient; tags are safe keys."""

import pytest
import torch

from polymod.batch import Route
from polymod.languages import LanguageError
from polymod.model.grouped import Group, is_available
from polymod.model.packs import LanguageEmbeddings, Packs, apply_modules, count_parameters, initial_

AWKWARD = (
    "to",
    "pop",
    "cpu",
    "xpu",
    "con",
    "nan",
    "is",
    "as",
    "or",
    "not",
    "sr-Latn",
    "zh-Hant",
    "qaa-x-001",
)


def packs_of(*tags: str, dtype=torch.float64) -> Packs:
    packs = Packs(3, 6, 4, tags)
    for index, tag in enumerate(tags):
        initial_(packs[tag], 0.5, torch.Generator().manual_seed(index))
        with torch.no_grad():
            packs[tag].down_bias_LB.fill_(0.1 * (index + 1))
            packs[tag].up_bias_LD.fill_(-0.1 * (index + 1))
    return packs.to(dtype)


def test_grouped_routing_equals_row_by_row_in_outputs_and_gradients():
    packs = packs_of("en", "de", "fr")
    tags, lengths = ["de", "en", "en", None, "de"], [2, 1, 3, 2, 1]
    x = torch.randn(9, 6, dtype=torch.float64)
    weight = torch.randn(9, 6, dtype=torch.float64)

    def grouped(rows):
        for routed in packs.select(Route.of(tags, lengths)):
            rows = rows + apply_modules(rows, routed, "gelu")
        return rows

    def one_by_one(rows):
        per_row = [tag for tag, length in zip(tags, lengths, strict=True) for _ in range(length)]
        for layer in range(3):
            outs = []
            for row, tag in zip(rows, per_row, strict=True):
                if tag is None:
                    outs.append(row)
                    continue
                pack = packs[tag]
                hidden = torch.nn.functional.gelu(pack.down_LBD[layer] @ row + pack.down_bias_LB[layer])
                outs.append(row + pack.up_LDB[layer] @ hidden + pack.up_bias_LD[layer])
            rows = torch.stack(outs)
        return rows

    results = []
    for function in (grouped, one_by_one):
        packs.zero_grad(set_to_none=True)
        leaf = x.clone().requires_grad_()
        out = function(leaf)
        (out * weight).sum().backward()
        results.append((out.detach(), leaf.grad, {n: p.grad for n, p in packs.named_parameters()}))
    (out, grad, ours), (naive_out, naive_grad, naive) = results
    torch.testing.assert_close(out, naive_out)
    torch.testing.assert_close(grad, naive_grad)
    for name, gradient in naive.items():
        if ".lang_fr." in name:
            assert ours[name] is None
            assert gradient is None
        else:
            torch.testing.assert_close(ours[name], gradient)


def test_every_awkward_tag_is_a_key():
    packs = packs_of(*AWKWARD)
    assert packs.tags == AWKWARD
    assert len(packs.state_dict()) == 4 * len(AWKWARD)


def test_an_unknown_language_is_an_error_that_lists_the_installed_ones():
    with pytest.raises(LanguageError, match="not installed") as error:
        packs_of("en", "de").select(Route.of(["fr"], [3]))
    assert "de, en" in str(error.value)


def test_add_averages_its_sources_and_refuses_a_second_time():
    packs = packs_of("en", "de")
    pack = packs.add("nl", init_from=["en", "deu"])
    mean = (packs["en"].up_LDB + packs["de"].up_LDB) / 2
    assert torch.equal(pack.up_LDB, mean.to(pack.up_LDB.dtype))
    with pytest.raises(LanguageError, match="installed already"):
        packs.add("nl")


def test_drop_and_rename():
    packs = packs_of("en", "de", "fr")
    kept = packs["de"].down_LBD.clone()
    packs.drop("en")
    packs.rename("de", "gsw")
    assert packs.tags == ("fr", "gsw")
    assert torch.equal(packs["gsw"].down_LBD, kept)
    with pytest.raises(LanguageError, match="installed already"):
        packs.rename("fr", "gsw")


def test_parameters_of_an_xmod_base_pack():
    assert count_parameters(12, 768, 384) == 7_091_712
    assert count_parameters(24, 1024, 256) == 12_613_632
    assert sum(p.numel() for p in packs_of("en").parameters()) == count_parameters(3, 6, 4)


def test_language_embeddings_touch_the_rows_of_their_language_only():
    embeddings = LanguageEmbeddings(4, ["en", "to"])
    with torch.no_grad():
        embeddings.by_key["lang_en"].fill_(1.0)
        embeddings.by_key["lang_to"].fill_(5.0)
    out = embeddings(torch.zeros(6, 4), Route.of(["en", None, "to"], [1, 2, 3]))
    assert out[:, 0].tolist() == [1, 0, 0, 5, 5, 5]


@pytest.mark.skipif(not is_available(), reason="this torch has no grouped products")
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_grouped_products_equal_the_loop_in_outputs_and_gradients(activation):
    """Also with a language in two spans and with a span of a single row."""
    tags, lengths = ["de", "en", "fr", "de"], [5, 1, 7, 3]
    route, found = Route.of(tags, lengths), []
    x = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(16, 16, generator=torch.Generator().manual_seed(1))
    for grouped_from in (0, 3):
        packs = Packs(3, 16, 8, ("en", "de", "fr", "unused"))
        for index, tag in enumerate(packs.tags):
            initial_(packs[tag], 0.5, torch.Generator().manual_seed(index))
            packs[tag].down_bias_LB.data.fill_(0.1 * (index + 1))
        packs.grouped_from = grouped_from
        rows = x.clone().requires_grad_()
        out = rows
        for routed in packs.select(route):
            assert isinstance(routed, Group) == bool(grouped_from)
            out = out + apply_modules(out, routed, activation)
        (out * weight).sum().backward()
        assert packs["unused"].down_LBD.grad is None
        found.append([out, rows.grad, *(p.grad for tag in set(tags) for p in packs[tag].parameters())])
    for loop, grouped in zip(*found, strict=True):
        torch.testing.assert_close(grouped, loop, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not is_available(), reason="this torch has no grouped products")
def test_grouped_products_under_autocast_are_of_its_type_and_close():
    packs = Packs(1, 16, 8, ("en", "de"))
    for index, tag in enumerate(packs.tags):
        initial_(packs[tag], 0.5, torch.Generator().manual_seed(index))
    route, x = Route.of(["en", "de"], [5, 3]), torch.randn(8, 16)
    wanted = apply_modules(x, packs.select(route)[0], "gelu")
    packs.grouped_from = 2
    with torch.autocast("cpu", torch.bfloat16):
        out = apply_modules(x, packs.select(route)[0], "gelu")
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), wanted, rtol=0.05, atol=0.05)


def test_rows_without_a_module_are_never_grouped():
    packs = packs_of("en", "de")
    packs.grouped_from = 1
    assert not isinstance(packs.select(Route.of(["en", None, "de"], [1, 1, 1]))[0], Group)
