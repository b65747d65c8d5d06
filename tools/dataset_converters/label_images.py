"""Convert label images (one value a particle, 0 background; 8, 16 or 32 bits) to the project's annotations.

python tools/dataset_converters/label_images.py --help
"""

from semsize.programs.convert import label_images as main

if __name__ == "__main__":
    main()
