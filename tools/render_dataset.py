"""Render SEM images of agglomerated particles with exact truth: images, and COCO annotations per split.

python tools/render_dataset.py --num 20 --out data/rendered
"""

from semsize.programs.render import main

if __name__ == "__main__":
    main()
