"""What changes while a stain generator learns: its weights and their running mean, critic, optimisers."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...stain_generator import StainGenerator
from ...stain_transfer import transfer_stains
from ..averaging import AveragingLearner
from .config import StainConfig
from .critic import StainCritic
from .losses import critic_loss, darkness, fooling_loss, structure_loss

__all__ = ["LOSSES", "StainLearner"]

LOSSES: tuple[str, ...] = ("fooling", "cycle", "identity", "structure", "critic")
"""Names of the losses, in their order."""
BETAS = (0.5, 0.999)
"""Adam's, as CycleGAN has them."""


class StainLearner(AveragingLearner):
    """A generator and its critic that learn step by step.

    A guided generator goes both ways, as it is told where from and where to. Of plain ones there are two: the
    second only finds the way back, and is not kept.

    Parameters
    ----------
    config : StainConfig
        How they learn; its seed fixes the weights at the start.
    device : torch.device
        Where.
    """

    losses: ClassVar[tuple[str, ...]] = LOSSES

    def __init__(self, config: StainConfig, device: torch.device) -> None:
        self.config = config
        settings = config.network_settings()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            ways = [StainGenerator(settings) for _ in range(1 if settings.guided else 2)]
            critic = StainCritic(len(config.sites) if settings.guided else 2, width=config.critic_width)
        network = nn.ModuleList(ways).to(device)
        mean = copy.deepcopy(network).eval().requires_grad_(False)
        self.critic = critic.to(device)
        optimiser = torch.optim.Adam(network.parameters(), lr=config.rate, betas=BETAS)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), lr=config.rate, betas=BETAS)
        super().__init__(network, mean, optimiser=optimiser, device=device)

    def state(self) -> dict[str, Any]:
        """Return everything that a later `restore` needs."""
        return super().state() | {
            "critic": self.critic.state_dict(),
            "critic_optimiser": self.critic_optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned."""
        super().restore(state)
        self.critic.load_state_dict(state["critic"])
        self.critic_optimiser.load_state_dict(state["critic_optimiser"])

    def generator(self) -> StainGenerator:
        """Return the running mean of the generator, on the processor."""
        made = copy.deepcopy(self.mean[0])
        assert isinstance(made, StainGenerator)
        return made.cpu()

    def kept(self) -> StainGenerator:
        """Return the generator alone; the way back of a plain one is not kept."""
        return self.generator()

    def learn(self, batch: dict[str, Tensor], *, step: int) -> dict[str, float]:
        """Take step number ``step``, counted from 0; returns the losses."""
        config = self.config
        self.set_rate(config.rate, step=step, steps=config.steps)
        for group in self.critic_optimiser.param_groups:
            group["lr"] = self.optimiser.param_groups[0]["lr"]
        given = {name: tensor.to(self.device) for name, tensor in batch.items()}
        if not config.guided:  # two kinds of places: the target site, and all others
            given |= {f"{side}_site": torch.full_like(given["x_site"], side == "y") for side in ("x", "y")}
        x, y = (_density(given[side], given[f"{side}_white"]) for side in ("x", "y"))
        self.critic.requires_grad_(False)
        losses, made = self._generator_losses(_varied(x, given), y, given)
        self.descend(losses, step=step, average=config.average)
        self.critic.requires_grad_(True)
        judged = self._judge_critic((x, y), made, given)
        self.critic_optimiser.zero_grad(set_to_none=True)
        judged.backward()  # type: ignore[no-untyped-call]
        self.critic_optimiser.step()
        return dict(zip(LOSSES, [*losses.detach().tolist(), float(judged.detach())], strict=True))

    def _generator_losses(
        self, start: tuple[Tensor, Tensor], y: Tensor, given: dict[str, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the weighted losses (4,), and what was made of either crop, as darkness.

        ``start`` is the crop to translate and its look, as varied; ``y`` goes the other way.
        """
        config = self.config
        (x, look), own_look, y_look = start, given["x_look"], given["y_look"]
        there, back = self.network[0], self.network[-1]
        made_y, made_x = there(x, look, y_look), back(y, y_look, own_look)
        shown = darkness(made_y), darkness(made_x)
        fooling = fooling_loss(self.critic(shown[0], given["y_site"]))
        fooling = fooling + fooling_loss(self.critic(shown[1], given["x_site"]))
        cycle = _apart(back(made_y, y_look, look), x) + _apart(there(made_x, own_look, y_look), y)
        # Each of two plain generators finds what is already there on its own side.
        identity = _apart(back(x, look, look), x) + _apart(there(y, y_look, y_look), y)
        structure = structure_loss(darkness(x), shown[0]) + structure_loss(darkness(y), shown[1])
        weights = config.cycle_weight, config.identity_weight, config.structure_weight
        parts = [weight * loss for weight, loss in zip(weights, (cycle, identity, structure), strict=True)]
        return torch.stack([fooling, *parts]), (shown[0].detach(), shown[1].detach())

    def _judge_critic(
        self, real: tuple[Tensor, Tensor], made: tuple[Tensor, Tensor], given: dict[str, Tensor]
    ) -> Tensor:
        """Return the critic's loss."""
        x, y = (darkness(density) for density in real)
        at_y = critic_loss(self.critic(y, given["y_site"]), self.critic(made[0], given["y_site"]))
        at_x = critic_loss(self.critic(x, given["x_site"]), self.critic(made[1], given["x_site"]))
        return at_x + at_y


def _density(pixels: Tensor, white: Tensor) -> Tensor:
    """Return the density (B, 3, H, W) of pixels (B, H, W, 3) under white points (B, 3)."""
    light = pixels.permute(0, 3, 1, 2).to(torch.float32).clamp(min=1.0) / white[:, :, None, None]
    return (-torch.log10(light)).clamp(min=0.0)


def _varied(density: Tensor, given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Bring some crops some way to another field's look, so that more looks are met than there are fields."""
    look, other, far = given["x_look"], given["other_look"], given["far"][:, None]
    vectors = look[:, :6] + far * (other[:, :6] - look[:, :6])
    pair = vectors.reshape(-1, 2, 3)
    pair = pair / pair.norm(dim=2, keepdim=True)
    strengths = look[:, 6:8] * (other[:, 6:8] / look[:, 6:8]) ** far
    odds = torch.logit(look[:, 8:]) + far * (torch.logit(other[:, 8:]) - torch.logit(look[:, 8:]))
    aimed = torch.cat([pair.reshape(-1, 6), strengths, torch.sigmoid(odds)], 1)
    moved, _ = transfer_stains(density, look, aimed)
    changed = (far > 0)[..., None, None]
    return torch.where(changed, moved.clamp(0.0, 2.4), density), torch.where(far > 0, aimed, look)


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """Return the mean absolute difference of two densities as they would be seen."""
    return (darkness(one) - darkness(other)).abs().mean()
