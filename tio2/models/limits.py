"""A limit on the number of boxes that an image reaches is said: particles beyond it are lost."""

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log


def warn_if_reached(count: int, limit: int, setting: str, image_meta: Mapping[str, Any]) -> None:
    """Log a warning that names the image if as many boxes are left as the limit allows.

    Args:
        count: Boxes left.
        limit: Most boxes that are kept; below 1 there is none.
        setting: The limit's name in the config.
        image_meta: `img_path` or `img_id` of the image.
    """
    if 0 < limit <= count:
        image = image_meta.get("img_path") or f"image {image_meta.get('img_id', 'without a name')}"
        message = f"{image}: {count} boxes, the limit model.test_cfg.{setting}; others may be lost, raise it"
        print_log(message, logger="current", level=logging.WARNING)
