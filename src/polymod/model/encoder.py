"""The encoder: embeddings, then layers of attention, feed-forward and one module per row. Single device,
silent.

Layer order and norm reuse are X-MOD's (arXiv 2205.06266; docs/design/001-model.md spells both variants out).

N packed rows, D model width, F feed-forward width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from polymod.batch import Batch, Route
from polymod.languages import resolve
from polymod.model.attention import Attention, Layout, Rotary
from polymod.model.config import SHARED, Architecture, ModelConfig
from polymod.model.embeddings import Embeddings
from polymod.model.packs import LanguageEmbeddings, Packs, Routed, apply_modules


class FeedForward(nn.Module):
    """Two linear maps with an activation between; gated: the activation of one half scales the other."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.gated, self.activation = a.gated, a.activation
        self.up = nn.Linear(a.hidden_size, a.ffn_size * (2 if a.gated else 1))
        self.down = nn.Linear(a.ffn_size, a.hidden_size)

    def forward(self, x_ND: Tensor) -> Tensor:
        """Output before dropout and residual, (N, D)."""
        h_NF = self.up(x_ND)
        gate_NF, h_NF = h_NF.chunk(2, dim=-1) if self.gated else (h_NF, None)
        gate_NF = F.gelu(gate_NF) if self.activation == "gelu" else F.relu(gate_NF)
        out: Tensor = self.down(gate_NF if h_NF is None else gate_NF * h_NF)
        return out


class Layer(nn.Module):
    """One X-MOD layer, post-norm (base) or pre-norm (large)."""

    def __init__(self, a: Architecture, has_modules: bool) -> None:
        super().__init__()
        self.pre_norm, self.activation, self.has_modules = a.pre_norm, a.activation, has_modules
        self.module_place, self.module_norm_kind = a.module_place, a.module_norm
        self.norm_before_residual = a.norm_before_residual
        self.attention = Attention(a.hidden_size, a.num_heads, a.attention_dropout)
        self.attention_norm = nn.LayerNorm(a.hidden_size, eps=a.norm_eps)
        self.feed_forward = FeedForward(a)
        self.feed_forward_norm = nn.LayerNorm(a.hidden_size, eps=a.norm_eps)
        if has_modules and a.module_norm == "own":
            self.module_norm = nn.LayerNorm(a.hidden_size, eps=a.norm_eps)
        self.dropout = nn.Dropout(a.dropout)

    def forward(
        self, x_ND: Tensor, layout: Layout, cos_sin: tuple[Tensor, Tensor] | None, routed: Sequence[Routed]
    ) -> Tensor:
        """The next residual stream, (N, D); ``routed`` is for each module of the layer."""
        attended_ND = self.attention(self.attention_norm(x_ND) if self.pre_norm else x_ND, layout, cos_sin)
        if self.has_modules and self.module_place == "sublayers":
            h_ND = self._joined(x_ND, self._adapted(self.dropout(attended_ND), routed[0]))
            u_ND = h_ND + self._adapted(self._fed(h_ND), routed[1])
        else:
            u_ND = self.between(x_ND, attended_ND)
            if self.has_modules:
                u_ND = self._through_modules(u_ND, routed[0])
        y_ND: Tensor = u_ND if self.pre_norm else self.feed_forward_norm(u_ND)
        return y_ND

    def between(self, x_ND: Tensor, attended_ND: Tensor) -> Tensor:
        """What lies between attention and modules: the piece that ``compiled.py`` compiles."""
        h_ND = self._joined(x_ND, self.dropout(attended_ND))
        return h_ND + self._fed(h_ND)

    def _joined(self, x_ND: Tensor, out_ND: Tensor) -> Tensor:
        """The stream behind the first sub-layer."""
        h_ND: Tensor = x_ND + out_ND if self.pre_norm else self.attention_norm(x_ND + out_ND)
        return h_ND

    def _fed(self, h_ND: Tensor) -> Tensor:
        """The second sub-layer's output."""
        fed_ND: Tensor = self.dropout(
            self.feed_forward(self.feed_forward_norm(h_ND) if self.pre_norm else h_ND)
        )
        return fed_ND

    def _adapted(self, out_ND: Tensor, routed: Routed) -> Tensor:
        """A sub-layer's output and its module's (On Negative Interference, section 4)."""
        adapted_ND: Tensor = out_ND + self.dropout(apply_modules(out_ND, routed, self.activation))
        return adapted_ND

    def _through_modules(self, u_ND: Tensor, routed: Routed) -> Tensor:
        v_ND = u_ND
        if self.module_norm_kind == "own":
            v_ND = self.module_norm(u_ND)
        elif self.module_norm_kind == "reuse":  # post-norm: the same norm is applied again after the module
            v_ND = self.feed_forward_norm(u_ND)
        residual_ND = v_ND if self.norm_before_residual else u_ND
        out_ND: Tensor = residual_ND + self.dropout(apply_modules(v_ND, routed, self.activation))
        return out_ND


class Encoder(nn.Module):
    """A transformer encoder whose rows pass through their language's modules.

    Rows of a language that has no pack of its own are an error, never a fallback. In the shared arm every
    language of the run goes through the one shared pack, in the dense arm through none.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        a = config.architecture
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(Layer(a, config.arm != "dense") for _ in range(a.num_layers))
        self.packs = Packs(a.num_layers * a.modules_per_layer, a.hidden_size, a.bottleneck_size, config.packs)
        if config.language_embedding:
            self.language_embeddings = LanguageEmbeddings(a.hidden_size, config.languages)
        if a.positions == "rotary":
            self.rotary = Rotary(a.hidden_size // a.num_heads, a.max_length)
        if a.pre_norm:
            self.final_norm = nn.LayerNorm(a.hidden_size, eps=a.norm_eps)

    def forward(self, batch: Batch) -> Tensor:
        """Last hidden states of the packed rows, (N, D)."""
        return self.hidden_states(batch)[-1]

    def hidden_states(self, batch: Batch, layout: Layout | None = None) -> list[Tensor]:
        """Embedding output, then each layer's output, each (N, D); the last one after the final norm.

        Args:
            layout: given if it is not that of the batch: padded rows.

        Raises:
            LanguageError: a language of the batch is not installed.
            ValueError: a sequence is longer than the model's positions.
        """
        layout = layout or Layout.of(batch)
        if layout.longest > self.config.architecture.max_length:
            longest = self.config.architecture.max_length
            raise ValueError(f"a sequence of {layout.longest} tokens; the model takes at most {longest}")
        routed = self.packs.select(self._installed(batch.route.via(batch.substitutes)))
        x_ND = self.embeddings.sum(batch)
        if self.config.language_embedding:
            x_ND = self.language_embeddings(x_ND, self._known(batch))
        x_ND = self.embeddings.dropout(self.embeddings.norm(x_ND))
        cos_sin = self.rotary(batch.positions_N) if self.config.architecture.positions == "rotary" else None
        states = [x_ND]
        per_layer = self.config.architecture.modules_per_layer
        for index, layer in enumerate(self.layers):
            modules = routed[index * per_layer : (index + 1) * per_layer]
            states.append(layer(states[-1], layout, cos_sin, modules))
        if self.config.architecture.pre_norm:
            states[-1] = self.final_norm(states[-1])
        return states

    def _known(self, batch: Batch) -> Route:
        """Languages of the text; one that the model does not have counts as its substitute."""
        unknown = {tag: pack for tag, pack in batch.substitutes.items() if tag not in self.config.languages}
        return batch.route.via(unknown)

    def _installed(self, route: Route) -> Route:
        """The route through packs that exist in this arm."""
        if self.config.arm == "modular":
            return route
        for tag in route.tags:
            if tag is not None and tag not in self.config.languages:
                resolve(tag, self.config.languages)
        pack = SHARED if self.config.arm == "shared" else None
        return route.via(dict.fromkeys(self.config.languages, pack))
