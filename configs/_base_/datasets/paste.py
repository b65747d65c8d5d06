"""Agglomerates of tools/build_library.py pasted while training (paper §3.2): half of the images are made anew, to half are added some."""

paste = [
    dict(
        type="PasteOnBackground",
        library="data/agglomerates/library.zip",
        backgrounds="data/agglomerates/backgrounds",
        prob=0.5,
        count_range=(3, 36),
    ),
    dict(type="PasteAgglomerates", library="data/agglomerates/library.zip", prob=0.5, count_range=(1, 10)),
]
