"""Train a shipped model further on corrected images.

python tools/learn.py results --out models/alumina
"""

from tio2.learn import main

if __name__ == "__main__":
    main()
