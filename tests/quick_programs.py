"""Makes runs in tests quick: configs are written down unformatted, and collecting garbage skips what is imported.

Formatting a config takes half a second, six times in a training of two steps; a data set collects garbage when it is
built. Programs that are started anew (`processes.start`) format their configs.
"""

import gc

from yapf.yapflib import yapf_api

yapf_api.FormatCode = lambda text, **_: (text, True)
gc.freeze()
