"""Text-tower surgery: a recipe made to start from the image side of one model and the text tower of another.

That is what AltCLIP is: the image tower of a CLIP, a multilingual text encoder with a fresh read-out, and stage 1, in
which it learns the text features of the CLIP's own text tower.
"""

from __future__ import annotations

from typing import Any

from altclip.errors import UsageError


def swap_towers(recipe: dict[str, Any], image: str | None, text: str | None) -> dict[str, Any]:
    """The recipe's table with its first distill stage starting from these two models; sizes are then theirs.

    The teacher is the first model, the tokenizer that of the second. Stages of the same preset follow the new sizes.
    Raises UsageError where one of the two is missing, or the recipe distills nothing.
    """
    if not image or not text:
        given, missing = ("--init-image", "--init-text") if image else ("--init-text", "--init-image")
        raise UsageError(f"{given} needs {missing} beside it: the one gives the image side, the other the text tower")
    stages = recipe.get("stages")
    found = [s for s in stages.values() if isinstance(s, dict)] if isinstance(stages, dict) else []
    first = next((stage for stage in found if stage.get("kind") == "distill"), None)
    if first is None:
        raise UsageError(
            f"recipe {recipe.get('name')} has no stage of kind distill, in which a text tower learns: take `distill`"
        )
    preset = first.get("model")
    for stage in found:
        if stage is first or (
            stage.get("model") == preset and isinstance(stage.get("start"), dict) and "all" in stage["start"]
        ):
            for key in ("model", "vision", "text", "projection_dim"):
                stage.pop(key, None)
    first.update(start={"image": image, "text": text}, teacher=image)
    return {**recipe, "tokenizer": {"path": text}}
