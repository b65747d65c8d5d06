"""Speed up runs in tests: configs are written unformatted, and garbage collection skips imported objects.

Formatting a config takes half a second, six times in a training of two steps; a data set collects garbage when it is
built. Programs in new processes (`processes.start`) format their configs.
"""

import gc

from yapf.yapflib import yapf_api

yapf_api.FormatCode = lambda text, **_: (text, True)
gc.freeze()
