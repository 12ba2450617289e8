"""Min: the smallest of two or more inputs, element by element, broadcast."""

from __future__ import annotations

import numpy as np

from refcompress.ops.maximum import extreme

OP = extreme("Min", np.minimum, np.less)
