"""The rival that may look at small neighbourhoods: a convolution over the tokens, then one linear map a unit."""

import numpy as np
from torch import nn

from neurodecode.attention import Reader, TokenEncoder
from neurodecode.exceptions import AlignmentError


class Maps(Reader):
    """Convolution of 3 x 3 with stride 3 and one row of zeros around: 31 x 31 tokens become 11 x 11 places."""

    def __init__(self, n_features, channels, rows, cols):
        super().__init__()
        self.size = rows, cols
        self.maps = nn.Conv2d(n_features, channels, 3, stride=3, padding=1)

    @property
    def width(self):
        return self.maps.out_channels * int(np.prod([-(-side // 3) for side in self.size]))

    def forward(self, tokens, *, blocked=None):
        """(b, P, D) -> (b, 1, channels x places)."""
        if blocked is not None:
            tokens = tokens.masked_fill(blocked.transpose(1, 2), 0.0)
        return self.maps(tokens.transpose(1, 2).unflatten(2, self.size)).flatten(1)[:, None]

    def room(self, n_tokens, n_features, *, blocked=False):
        """Numbers that a step keeps of one picture, at most: tokens on a grid and laid out for the product, maps."""
        return 4 * n_tokens * n_features + 3 * self.width


class ConvolutionEncoder(TokenEncoder):
    """Convolution, then linear; ``penalty`` times the sum of the norms (not squared) of all parameters is added."""

    by = None
    within = None

    def __init__(self, channels=256, max_epochs=15, random_state=None, *, penalty=0.02, training=None):
        self.channels = channels
        self.max_epochs = max_epochs
        self.random_state = random_state
        self.penalty = penalty
        self.training = training

    def reader(self, n_areas, tokens, settings):
        rows, cols = (int(side) + 1 for side in tokens.places.max(0))
        row, col = np.divmod(np.arange(rows * cols), cols)
        if not np.array_equal(tokens.places, np.stack([row, col], 1)):
            raise AlignmentError("a convolution needs tokens of a whole grid, row after row")
        maps = Maps(tokens.n_features, self.channels, rows, cols)
        return maps, maps.width

    def extra_loss(self, module):
        return self.penalty * sum(one.norm() for one in module.parameters())
