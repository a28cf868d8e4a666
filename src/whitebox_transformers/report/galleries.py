"""The examples that belong to a run: images or texts, named by a person or its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import AutoImageProcessor

from whitebox_transformers.data.protocol import Splits
from whitebox_transformers.data.text import TokenizerConfig, load_tokenizer
from whitebox_transformers.errors import UserError
from whitebox_transformers.report.examples import examples_from_files, examples_from_validation
from whitebox_transformers.report.gallery import Gallery
from whitebox_transformers.report.image_results import ImageGallery
from whitebox_transformers.report.masked_results import MaskedImageGallery
from whitebox_transformers.report.text_examples import Asked, TextReader
from whitebox_transformers.report.text_results import TextGallery
from whitebox_transformers.tasks import task_of
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.tasks.text import TextRecipe
from whitebox_transformers.training.run_folder import RunFolder

# By task; others on images classify them.
GALLERIES: dict[str, type[ImageGallery]] = {"masked-autoencoding": MaskedImageGallery}
# By task; of others on text the class is asked for.
ASKED: dict[str, Asked] = {"causal-lm": "next", "masked-lm": "hidden"}


def gallery_of(
    folder: RunFolder,
    recipe: Recipe,
    images: Sequence[str | Path] | None,
    texts: Sequence[str] | None,
    count: int,
) -> tuple[Gallery, Splits]:
    """The examples of a report, and the run's data.

    Args:
        folder: The run.
        recipe: Its recipe.
        images: Files to show, of a run on images.
        texts: Texts to show, of a run on text.
        count: How many samples of the validation set to show where nothing is named.

    Raises:
        UserError: What is named cannot be used, or does not belong to such a run; or data not
            found.
    """
    if isinstance(recipe, TextRecipe):
        if images:
            raise UserError(f"{recipe.name} is a run on text and shows no images; give texts")
        return _of_text(folder, recipe, texts, count)
    if texts:
        raise UserError(f"{recipe.name} is a run on images and shows no texts; give image files")
    return _of_images(folder, recipe, images, count)


def _of_images(
    folder: RunFolder, recipe: Recipe, files: Sequence[str | Path] | None, count: int
) -> tuple[Gallery, Splits]:
    processor = AutoImageProcessor.from_pretrained(folder.path)
    examples, left_out = examples_from_files(files, processor) if files else ([], [])
    data = task_of(recipe).data_of_run(recipe, folder.path)
    examples = examples or examples_from_validation(data, count, recipe.seed)
    gallery = GALLERIES.get(recipe.task, ImageGallery)
    return gallery(examples, processor, left_out), data


def _of_text(
    folder: RunFolder, recipe: TextRecipe, texts: Sequence[str] | None, count: int
) -> tuple[Gallery, Splits]:
    task = task_of(recipe)
    stored = TokenizerConfig(kind="pretrained", path=str(folder.path))
    tokenizer = load_tokenizer(stored, str(folder.path))
    asked = ASKED.get(recipe.task, "class")
    reader = TextReader(tokenizer, asked, task.room(recipe), recipe.seed)
    examples = reader.of_texts(texts) if texts else []
    data = task.data_of_run(recipe, folder.path)
    examples = examples or reader.of_split(data.validation, count)
    return TextGallery(examples, tokenizer, asked), data
