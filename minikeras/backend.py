"""The spellings of `keras.backend` that courses still use; the settings themselves live in `config`."""

from .common.names import clear_session, refuse_other_names
from .config import backend, epsilon, floatx, image_data_format, set_epsilon, set_floatx, set_image_data_format

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "image_data_format",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
]

refuse_other_names(__name__, __all__)
