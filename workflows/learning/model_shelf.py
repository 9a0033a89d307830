"""What ``slidelab models list``, ``show`` and ``pull`` do: answers as JSON values and as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...models.card import CardMetric, ModelCard
    from ...models.registry import LicencePolicy, ModelEntry, Registry

__all__ = ["ModelDescription", "ModelList", "ModelRow", "describe_model", "list_models", "pull_model"]


@dataclass(frozen=True)
class ModelRow:
    """One model of the list."""

    name: str
    version: str
    task: str
    stain: str
    mpp: float
    """um per px."""
    licence: str
    """Of the weights."""
    research_only: bool
    allowed: bool
    """Whether the licence policy allows it."""
    default: bool
    """Whether it is what slidelab takes for its task and stain."""
    source: str


@dataclass(frozen=True)
class ModelList:
    """All models at hand, and what looks like one and is none."""

    policy: str
    rows: tuple[ModelRow, ...]
    broken: tuple[dict[str, str], ...]
    """Name, path, what is wrong (``reason``) and what to do (``advice``)."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "policy": self.policy,
            "models": [asdict(row) for row in self.rows],
            "broken": [dict(item) for item in self.broken],
        }

    def to_text(self) -> str:
        """Return a table, and a pair of lines for each broken model."""
        head = ("name", "task", "stain", "um/px", "licence of weights", f"policy {self.policy}")
        body = [
            (row.name, row.task, row.stain, f"{row.mpp:g}", row.licence, _standing(row)) for row in self.rows
        ]
        lines = (
            _aligned([head, *body]) if body else ["no models at hand; get one: slidelab models pull hf://..."]
        )
        for item in self.broken:
            lines += [f"cannot be used: {item['name']}: {item['reason']}", f"   do: {item['advice']}"]
        return "\n".join(lines)


@dataclass(frozen=True)
class ModelDescription:
    """One model, its weights verified."""

    card: ModelCard
    weights: Path
    source: str

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain JSON values, with where the weights lie and whether use is restricted."""
        return {
            **self.card.model_dump(mode="json"),
            "research_only": self.card.research_only,
            "weights": str(self.weights),
            "found_in": self.source,
        }

    def to_text(self) -> str:
        """Return the card for reading."""
        card = self.card
        terms = "research only" if card.research_only else "free use under the licences below"
        facts = [
            ("model", f"{card.name}, version {card.version}"),
            ("task", f"{card.task} on {card.stain}: {', '.join(card.classes) or 'no classes'}"),
            ("works at", f"{card.mpp:g} um/px, {card.input.channels}, {card.input.scaling}"),
            ("looks", f"{card.receptive_field_px} px around each pixel"),
            ("terms", terms),
            ("licences", f"code {card.licence.code}, weights {card.licence.weights}"),
            *(("data", f"{data.name}: {data.licence}, {data.use}") for data in card.licence.data),
            *(("measured", _metric(metric)) for metric in card.metrics),
            ("for", card.intended_use),
            *(("limits", sentence) for sentence in card.limits),
            ("weights", f"{self.weights} (verified, sha256 {card.sha256[:12]}...)"),
            *([("pulled from", card.source)] if card.source else []),
        ]
        return "\n".join(_aligned(facts))


def list_models(policy: LicencePolicy = "research", *, folders: Iterable[Path] | None = None) -> ModelList:
    """Return all models at hand and how each stands under a licence policy.

    Parameters
    ----------
    policy : {"research", "permissive"}
        Which weights may be used.
    folders : iterable of Path, optional
        Where to look besides the package; by default the user's model folder.
    """
    from ...models.registry import Registry

    registry = Registry(folders=folders, policy=policy)
    entries = registry.entries()
    defaults = _default_names(registry, entries)
    return ModelList(
        policy=policy,
        rows=tuple(_row(entry, registry=registry, defaults=defaults) for entry in entries),
        broken=tuple(
            {
                "name": item.name,
                "path": str(item.path),
                "reason": str(item.error),
                "advice": item.error.advice,
            }
            for item in registry.broken()
        ),
    )


def describe_model(name: str, *, folders: Iterable[Path] | None = None) -> ModelDescription:
    """Return one model's card after its weights were verified.

    To read a card is not to use the model, so no licence policy applies.

    Parameters
    ----------
    name : str
        A model's name or ``hf://org/repository@revision/name``.
    folders : iterable of Path, optional
        As `list_models`.
    """
    from ...models.registry import Registry

    entry = Registry(folders=folders, policy="research").find(name)
    return ModelDescription(entry.card, entry.weights, entry.source)


def pull_model(
    reference: str, *, into: Path | None = None, policy: LicencePolicy = "research"
) -> ModelDescription:
    """Copy a model from Hugging Face into a model folder and return what it is.

    Parameters
    ----------
    reference : str
        ``hf://org/repository@revision/name``.
    into : Path, optional
        By default the user's model folder.
    policy : {"research", "permissive"}
        ``permissive`` refuses research-only weights.
    """
    from ...models.registry import Registry

    entry = Registry(policy=policy).pull(reference, into=into)
    return ModelDescription(entry.card, entry.weights, entry.source)


def _row(entry: ModelEntry, *, registry: Registry, defaults: frozenset[str]) -> ModelRow:
    """Return the line of one model."""
    card = entry.card
    return ModelRow(
        name=card.name,
        version=card.version,
        task=card.task,
        stain=card.stain,
        mpp=card.mpp,
        licence=card.licence.weights,
        research_only=card.research_only,
        allowed=registry.allows(card),
        default=card.name in defaults,
        source=entry.source,
    )


def _default_names(registry: Registry, entries: Iterable[ModelEntry]) -> frozenset[str]:
    """Return the default of each task and stain that has an allowed model; weights are not read for this."""
    kinds = {(entry.card.task, entry.card.stain) for entry in entries}
    firsts = (registry.ranked(task=task, stain=stain) for task, stain in kinds)
    return frozenset(cards[0].name for cards in firsts if cards)


def _standing(row: ModelRow) -> str:
    """Say what the policy makes of a model."""
    if not row.allowed:
        return "refused"
    return "default" if row.default else "allowed"


def _metric(metric: CardMetric) -> str:
    """Return one figure with its interval, what it rests on and the script behind it."""
    interval = "" if metric.low is None else f" (95 % CI {metric.low:.3g}-{metric.high:.3g})"
    basis = f"{metric.set} {metric.part}, n={metric.n}, {metric.script}"
    return f"{metric.name} {metric.value:.3g}{interval}, {basis}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines whose columns begin below each other; the names stay whole for copying."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
