"""Every error that slidelab raises on purpose.

::

    SlidelabError
    |-- SlideNotFoundError        (FileNotFoundError)  no such file or folder
    |-- UnreadableSlideError      (OSError)            the file is damaged or no image at all
    |-- UnsupportedSlideError     (ValueError)         a sound file of a kind that slidelab cannot use
    |-- ResolutionError           (ValueError)         um per pixel is missing, implausible or contradictory
    |-- RegionError               (ValueError)         a rectangle or size that makes no sense
    |-- NoTissueError             (ValueError)         nothing on the slide can be assessed
    |-- SettingsError             (ValueError)         an option or settings file is wrong
    |-- InvalidTableError         (ValueError)         a cell table or input list breaks its schema
    |-- RunFolderError            (OSError)            the output folder cannot take this run
    |-- ModelNotFoundError        (LookupError)        no such model here, or it cannot be fetched now
    |-- ModelRefusedError         (PermissionError)    the licence policy or safety forbids these weights
    |-- DamagedWeightsError       (ValueError)         the weights are not what their card says
    |-- DeviceFullError           (MemoryError)        a block is larger than the memory of the device
    `-- MissingDependencyError    (ImportError)        an optional package is not installed

Each is also the builtin that a stranger would catch. ``str(error)`` says what is wrong and with which
value; ``error.advice`` says what to do next. Both are one line.
"""

from __future__ import annotations

__all__ = [
    "DamagedWeightsError",
    "DeviceFullError",
    "InvalidTableError",
    "MissingDependencyError",
    "ModelNotFoundError",
    "ModelRefusedError",
    "NoTissueError",
    "RegionError",
    "ResolutionError",
    "RunFolderError",
    "SettingsError",
    "SlideNotFoundError",
    "SlidelabError",
    "UnreadableSlideError",
    "UnsupportedSlideError",
]


class SlidelabError(Exception):
    """Base of all errors that slidelab raises on purpose.

    Parameters
    ----------
    what : str
        One line: what is wrong, with the offending value.
    advice : str
        One line: what the user can do about it.
    """

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice

    def __str__(self) -> str:
        """Return the one line of what is wrong."""
        return self.what

    def __reduce__(self) -> tuple[type[SlidelabError], tuple[str, str], dict[str, object]]:
        """Pickle with the advice and notes, so that errors cross process borders whole."""
        return (type(self), (self.what, self.advice), self.__dict__)


class SlideNotFoundError(SlidelabError, FileNotFoundError):
    """No such file or folder."""


class UnreadableSlideError(SlidelabError, OSError):
    """The file is damaged, truncated or not an image."""


class UnsupportedSlideError(SlidelabError, ValueError):
    """A sound file, but of a kind that slidelab cannot use (fluorescence, 16 bit, ...)."""


class ResolutionError(SlidelabError, ValueError):
    """The resolution (um per pixel) is missing, implausible, anisotropic or contradictory."""


class RegionError(SlidelabError, ValueError):
    """A rectangle, size or coordinate that makes no sense."""


class NoTissueError(SlidelabError, ValueError):
    """Nothing on the slide can be assessed."""


class SettingsError(SlidelabError, ValueError):
    """An option or a settings file is wrong."""


class InvalidTableError(SlidelabError, ValueError):
    """A cell table or an input list breaks its schema."""


class RunFolderError(SlidelabError, OSError):
    """The output folder cannot take this run."""


class ModelNotFoundError(SlidelabError, LookupError):
    """No model of that name is here, or it cannot be fetched now."""


class ModelRefusedError(SlidelabError, PermissionError):
    """The licence policy, or the rule that weights must not be able to run code, forbids the model."""


class DamagedWeightsError(SlidelabError, ValueError):
    """The weights are no safetensors file, are cut short, or differ from what their card says."""


class DeviceFullError(SlidelabError, MemoryError):
    """A block is larger than the memory of the device."""


class MissingDependencyError(SlidelabError, ImportError):
    """An optional package is not installed."""
