"""Pastes agglomerates of tools/build_library.py while training (paper §3.2): half of the images are replaced, agglomerates are added to half.

AGGLOMERATES names their folder in the environment (default: data/agglomerates); {fold} in it is a fold's number.
"""

paste = [
    dict(
        type="PasteOnBackground",
        library="{{$AGGLOMERATES:data/agglomerates}}/library.zip",
        backgrounds="{{$AGGLOMERATES:data/agglomerates}}/backgrounds",
        prob=0.5,
        count_range=(3, 36),
    ),
    dict(
        type="PasteAgglomerates",
        library="{{$AGGLOMERATES:data/agglomerates}}/library.zip",
        prob=0.5,
        count_range=(1, 10),
    ),
]
