import numpy as np

from semsize.exchange import bam_tio2
from semsize.exchange.bam_archive import SPLITS


def test_split_is_that_of_the_project():
    assert {split: len(names) for split, names in SPLITS.items()} == {"train": 22, "val": 6}
    assert len({*SPLITS["train"], *SPLITS["val"]}) == 28


def test_majority_colour_and_none_where_there_is_none():
    labels = np.repeat(np.arange(5)[:, None], 6, axis=1)  # rows: background, particles 1 to 4
    colours = np.zeros((5, 6, 3), np.uint8)  # B, G, R
    colours[0, :, 2] = 255  # outside every particle
    colours[1, :4, 1] = colours[1, 4:, 2] = 255  # 4 green, 2 red
    colours[2, :1, 0] = 255  # 1 blue, the rest unmarked
    colours[3] = 255  # white is no class
    assert bam_tio2.majority_colours(labels, colours) == ["green", "blue", None, None]


def test_an_image_without_particles():
    labels = np.zeros((4, 5), np.int32)
    assert bam_tio2.majority_colours(labels, np.zeros((4, 5, 3), np.uint8)) == []
    assert bam_tio2.particle_entries(labels, [], image_id=1, first_id=1, min_area_px=12) == []
