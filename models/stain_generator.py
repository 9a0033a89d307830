"""The network that gives a slide another look: it corrects an exchange of stains, and is told both looks.

After Zhou, Cai, Han and Yao (MICCAI 2019), whose generator receives the stain matrix of an image. Ours gets
the source's and the target's: they make the exchange that it corrects, and scale and shift every layer. There
are no norms and no strides, so a pixel depends on its near surroundings alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .stain_transfer import LOOK_NUMBERS, describe_looks, transfer_stains

__all__ = ["GLASS", "FixedGenerator", "GeneratorSettings", "StainGenerator"]

GLASS = (0.02, 0.08)
"""Mean OD up to which nothing is corrected, and from which all is: glass stays white."""


@dataclass(frozen=True)
class GeneratorSettings:
    """What a generator is made of; all that is needed to build it again."""

    guided: bool = True
    """False: a plain CycleGAN generator, which is told nothing and corrects the slide itself."""
    width: int = 16
    """Channels, a multiple of 16: whole vectors round the same for every tile."""
    dilations: tuple[int, ...] = (1, 2, 2)
    """Of the 3 x 3 convolutions after the first."""
    hidden: int = 64
    """Width of the layer that reads the two looks."""
    limit: float = 0.25
    """Greatest correction, OD."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.width < 16 or self.width % 16:
            raise ValueError(f"width: {self.width} is no multiple of 16")
        if min(self.dilations, default=1) < 1:
            raise ValueError(f"dilations: {self.dilations}")
        if not 0 < self.limit <= 1:
            raise ValueError(f"limit: {self.limit} OD")

    @property
    def reach(self) -> int:
        """How far a pixel's surroundings reach, px along either axis."""
        return 1 + sum(self.dilations)


class StainGenerator(nn.Module):
    """Shows tissue in another look.

    Parameters
    ----------
    settings : GeneratorSettings
        What it is made of.
    """

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__()
        self.settings = settings
        width, layers = settings.width, 1 + len(settings.dilations)
        self.stem = nn.Conv2d(6 if settings.guided else 3, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=step, dilation=step) for step in settings.dilations
        )
        self.head = nn.Conv2d(width, 3, 1)
        nn.init.zeros_(self.head.weight)  # begin with the exchange of stains as it is
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        self.reader: nn.Module | None = None
        if settings.guided:
            self.reader = nn.Sequential(
                nn.Linear(2 * LOOK_NUMBERS, settings.hidden),
                nn.ReLU(inplace=True),
                nn.Linear(settings.hidden, 2 * width * layers),
            )

    def modulation(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return scale and shift of every layer's channels for looks: each (B, layers, width)."""
        layers, width = 1 + len(self.blocks), self.settings.width
        if self.reader is None:
            zeros = source.new_zeros((len(source), layers, width))
            return zeros + 1.0, zeros
        read = self.reader(describe_looks(source, target)).reshape(-1, 2, layers, width)
        return 1.0 + 0.5 * torch.tanh(read[:, 0]), read[:, 1]

    def forward(self, density: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Return the density (B, 3, H, W) of tissue in the target's look, never below 0.

        Parameters
        ----------
        density : (B, 3, H, W) tensor
            Optical density, base 10, under the source's white point.
        source, target : (B, 10) tensor
            Looks (`transfer_stains`); a plain generator does not read them.
        """
        base, inputs = _base(density, source, target, guided=self.settings.guided)
        scale, shift = (each[..., None, None] for each in self.modulation(source, target))
        state = functional.relu(self.stem(inputs) * scale[:, 0] + shift[:, 0])
        for number, block in enumerate(self.blocks, start=1):
            state = state + functional.relu(block(state) * scale[:, number] + shift[:, number])
        return corrected(base, density, self.head(state), limit=self.settings.limit)


def _base(density: Tensor, source: Tensor, target: Tensor, *, guided: bool) -> tuple[Tensor, Tensor]:
    """Return what is corrected, and what the first layer sees."""
    if not guided:
        return density, density
    base, _ = transfer_stains(density, source, target)
    return base, torch.cat([density, base], 1)


def corrected(base: Tensor, density: Tensor, said: Tensor, *, limit: float) -> Tensor:
    """Return the base with what the network says, which fades out towards glass; never below 0."""
    mean = (density[:, 0:1] + density[:, 1:2] + density[:, 2:3]) / 3.0
    share = ((mean - GLASS[0]) / (GLASS[1] - GLASS[0])).clamp(0.0, 1.0)
    return (base + share * (limit * torch.tanh(said))).clamp(min=0.0)


class FixedGenerator(nn.Module):
    """A generator for one slide and one target: scales and shifts folded into its layers, no padding.

    Parameters
    ----------
    generator : StainGenerator
        With its weights; it is left as it is.
    source, target : (10,) tensor
        Looks.
    """

    def __init__(self, generator: StainGenerator, source: Tensor, target: Tensor) -> None:
        super().__init__()
        settings = generator.settings
        self.settings = settings
        self.register_buffer("source", source[None])
        self.register_buffer("target", target[None])
        with torch.no_grad():
            scale, shift = (each[0] for each in generator.modulation(source[None], target[None]))
            layers = [generator.stem, *generator.blocks]
            self.layers = nn.ModuleList(
                _folded(layer, scale[number], shift[number]) for number, layer in enumerate(layers)
            )
        self.head = _wide_head(generator.head)

    def forward(self, density: Tensor) -> Tensor:
        """Return the density (1, 3, H - 2 reach, W - 2 reach) in the target's look."""
        source, target = self.get_buffer("source"), self.get_buffer("target")
        base, inputs = _base(density, source, target, guided=self.settings.guided)
        state = functional.relu(self.layers[0](inputs))
        for layer, step in zip(list(self.layers)[1:], self.settings.dilations, strict=True):
            state = _inner(state, step) + functional.relu(layer(state))
        reach = self.settings.reach
        said = self.head(state)[:, :3]
        return corrected(_inner(base, reach), _inner(density, reach), said, limit=self.settings.limit)


def _inner(values: Tensor, by: int) -> Tensor:
    """Return what is left without a border."""
    return values[:, :, by:-by, by:-by]


def _folded(layer: nn.Module, scale: Tensor, shift: Tensor) -> nn.Conv2d:
    """Return a convolution without padding that includes what comes after it."""
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    plain = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        dilation=layer.dilation,  # type: ignore[arg-type]
    )
    plain.weight.data = layer.weight.data * scale[:, None, None, None]
    assert plain.bias is not None
    plain.bias.data = layer.bias.data * scale + shift
    return plain.requires_grad_(False)


def _wide_head(head: nn.Conv2d) -> nn.Module:
    """Return the last layer with idle outputs up to a whole vector."""
    from .folding import with_idle_outputs

    wide: nn.Module = with_idle_outputs(head)
    return wide
