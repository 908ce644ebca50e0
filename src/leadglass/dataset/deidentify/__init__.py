"""A data set without identity: PS3.15 Annex E, Basic Profile with the Retain UIDs Option (§E.3.9).

``profile`` is the standard's table, ``judge`` what is done to one attribute, ``pixels`` which objects cannot
be made safe by their attributes, ``clean`` the header and ``release`` the whole data set, as a stream.
"""

from leadglass.dataset.deidentify.pseudonyms import Pseudonyms
from leadglass.dataset.deidentify.release import deidentify

__all__ = ["Pseudonyms", "deidentify"]
