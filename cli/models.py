"""The verbs that tell of networks: which there are, what is known of one, and fetching one."""

# Annotations are read when verbs are made, so they are not postponed here.
from typing import Annotated

import typer

from .options import (
    Json,
    LicensePolicy,
    print_json,
    say,
)

__all__ = ["models_app"]

models_app = typer.Typer(no_args_is_help=True, help="The networks at hand: data, licence, figures.")


@models_app.command("list")
def models_list(license_policy: LicensePolicy = "research", as_json: Json = False) -> None:
    """The networks at hand, and whether the licence policy allows them."""
    from ..workflows.learning.model_shelf import list_models

    models = list_models(license_policy)
    if as_json:
        print_json(models.to_json())
    else:
        say(models.to_text())


@models_app.command("show")
def models_show(name: str, as_json: Json = False) -> None:
    """All that is known of one network: data, licence, figures, limits."""
    from ..workflows.learning.model_shelf import describe_model

    model = describe_model(name)
    if as_json:
        print_json(model.to_json())
    else:
        say(model.to_text())


@models_app.command("pull")
def models_pull(
    reference: Annotated[str, typer.Argument(help="hf://organisation/repository@revision/name")],
    license_policy: LicensePolicy = "research",
    as_json: Json = False,
) -> None:
    """Fetch a network from a hub, by pinned revision, into the user's model folder."""
    from ..workflows.learning.model_shelf import pull_model

    model = pull_model(reference, policy=license_policy)
    if as_json:
        print_json(model.to_json())
    else:
        say(model.to_text())
