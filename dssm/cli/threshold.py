# SPDX-License-Identifier: Apache-2.0
"""`dssm threshold`."""

from __future__ import annotations

from pathlib import Path

import click

from dssm import files
from dssm.cli import options
from dssm.files import CARD, FACTS


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@options.false_reject
@options.pixel_false_reject
@click.option("--image", type=float, metavar="VALUE", help="The threshold of image scores, by hand.")
@click.option("--pixel", type=float, metavar="VALUE", help="The threshold of maps, by hand.")
@click.option("--good", metavar="IMAGES", help="More good images, which training has not seen, to choose on.")
@click.option("--device", help="cpu or cuda, for --good.  [default: cuda if there is one]")
def threshold(
    run: Path,
    false_reject: float | None,
    pixel_false_reject: float | None,
    image: float | None,
    pixel: float | None,
    good: str | None,
    device: str | None,
) -> None:
    """Show or change the thresholds of the model in RUN; nothing is trained again.

    Prints both thresholds, the share of good images that each was asked to reject at most, the share to be expected,
    and a 95 % interval of the true share, which narrows with the number of good images. They are those held out from
    training, or those of --good (a file, a folder or a quoted pattern), which then take their place.

    \b
      dssm threshold runs/parts                          what is known of them
      dssm threshold runs/parts --false-reject 0.5%      at most 0.5 % of good images
      dssm threshold runs/parts --image 12.5 --pixel 8   by hand
      dssm threshold runs/parts --good parts/more        the same rates, chosen on more images
    """
    from dssm import bundle
    from dssm.card import measured_in, model_card, rates_table
    from dssm.detector import Detector

    detector = Detector.load(run, device=device)
    changed = any(change is not None for change in (false_reject, pixel_false_reject, image, pixel, good))
    if changed:
        detector.choose_thresholds(
            false_reject=false_reject,
            pixel_false_reject=pixel_false_reject,
            image=image,
            pixel=pixel,
            good=good,
            progress=True,
        )
        bundle.update(run, detector.decisions())
        card = run / CARD
        measured = measured_in(card.read_text(encoding="utf-8")) if card.exists() else None
        files.write_text(card, model_card(files.read_json(run / FACTS), measured))
    click.echo(rates_table(detector.false_rejects()))
    if changed:
        click.echo("written; models that were exported before keep their thresholds: export them again")
