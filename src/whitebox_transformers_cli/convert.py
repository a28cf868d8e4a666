"""``wbt convert``: the authors' weights as a Hugging Face folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Checkpoint of the authors' code.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; must not exist.")],
    heads: Annotated[
        int | None, typer.Option("--heads", min=1, help="Subspaces K, where shapes do not tell.")
    ] = None,
    image_size: Annotated[
        tuple[int, int] | None,
        typer.Option("--image-size", metavar="H W", help="Pixels, where shapes do not tell."),
    ] = None,
    step_size: Annotated[
        float | None, typer.Option("--step-size", metavar="ETA", help="Published: 0.1.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", metavar="LAMBDA", help="Published: 0.1, MAE 0.5."),
    ] = None,
    pool: Annotated[
        str | None, typer.Option("--pool", metavar="cls|mean", help="Published: cls.")
    ] = None,
    patch_size: Annotated[
        tuple[int, int] | None,
        typer.Option("--patch-size", metavar="H W", help="Pixels, where shapes do not tell."),
    ] = None,
    embedding_norm_eps: Annotated[
        float | None,
        typer.Option("--embedding-norm-eps", metavar="EPS", help="CRATE-BERT; published: 1e-12."),
    ] = None,
    pad_token_id: Annotated[
        int | None,
        typer.Option("--pad-token-id", metavar="ID", min=0, help="CRATE-BERT; published: 1."),
    ] = None,
    norm_pix_loss: Annotated[
        bool | None,
        typer.Option("--norm-pix-loss", help="CRATE-MAE that learned normalised patches."),
    ] = None,
    decoder_heads: Annotated[
        int | None,
        typer.Option("--decoder-heads", min=1, help="Of CRATE-MAE's decoder; else as --heads."),
    ] = None,
    apply_head: Annotated[
        bool,
        typer.Option("--apply-head", help="Demo checkpoint: use `head`, which the authors do not."),
    ] = False,
) -> None:
    """Convert a checkpoint of the authors' code.

    Every weight is used or listed as dropped. Wrong input writes nothing.
    """
    from whitebox_transformers.convert import convert as write_folder

    typer.echo(
        str(
            write_folder(
                file,
                out,
                heads=heads,
                image_size=image_size,
                step_size=step_size,
                threshold=threshold,
                pool=pool,
                patch_size=patch_size,
                apply_head=apply_head,
                embedding_norm_eps=embedding_norm_eps,
                pad_token_id=pad_token_id,
                norm_pix_loss=norm_pix_loss,
                decoder_heads=decoder_heads,
            )
        )
    )
