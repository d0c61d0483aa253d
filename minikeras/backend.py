"""The spellings of `keras.backend` that courses still use; the settings themselves live in `config`."""

from .common.names import clear_session
from .config import epsilon, floatx, image_data_format, set_epsilon, set_floatx, set_image_data_format

__all__ = [
    "clear_session",
    "epsilon",
    "floatx",
    "image_data_format",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
]
