"""Every exception and warning that neurodecode raises on purpose.

Three families, so that callers can catch by what went wrong: the values are wrong
(``ValueError``), a file is wrong (``OSError``), a package is missing (``ImportError``).
Messages name what came, what was expected and what to do.
"""

from __future__ import annotations


class NeurodecodeError(Exception):
    """Base of all errors raised on purpose by neurodecode."""


class NeurodecodeWarning(UserWarning):
    """A result can be computed, but the reader should know something about it."""


class AlignmentError(NeurodecodeError, ValueError):
    """Two arrays do not describe the same samples, units, space or model."""


class LeakageError(NeurodecodeError, ValueError):
    """The same stimulus, run or subject stands on both sides of a split."""


class DegenerateDataError(NeurodecodeError, ValueError):
    """The values cannot be used: not finite, empty, constant, or too few."""


class TimingError(NeurodecodeError, ValueError):
    """Times disagree: repetition time, number of volumes, onsets or delays."""


class TokenAlignmentError(NeurodecodeError, ValueError):
    """Words and tokens cannot be brought together."""


class LayerNotFoundError(NeurodecodeError, ValueError):
    """A layer of that name does not exist in the model, or is never called."""


class CapacityError(NeurodecodeError, ValueError):
    """The job needs more memory than it was allowed to use."""


class IntegrityError(NeurodecodeError, OSError):
    """A file is not what was written: checksum, size or a missing part."""


class UnsafeFileError(NeurodecodeError, OSError):
    """A file could run code when it is read (pickle, .pt, object arrays)."""


class ResumeError(NeurodecodeError, OSError):
    """A half-finished result belongs to another job and cannot be continued."""


class ClusterError(NeurodecodeError, OSError):
    """The cluster that a job runs on has no workers, lost its scheduler, or is not what it has to be."""


class MissingExtraError(NeurodecodeError, ImportError):
    """An optional package is needed for this and is not installed."""


class DownloadError(NeurodecodeError, OSError):
    """A file could not be fetched: no network, no space, no consent, or a server that does not answer."""
