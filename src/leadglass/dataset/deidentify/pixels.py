"""Which objects cannot be made safe by their attributes: names may stand in the pixels, or be all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from leadglass.model.names import Uid
from leadglass.model.storage_classes import BY_KEYWORD

_PLAIN: Final = """
    ComputedRadiographyImageStorage DigitalXRayImageStorageForPresentation
    DigitalXRayImageStorageForProcessing DigitalMammographyXRayImageStorageForPresentation
    DigitalMammographyXRayImageStorageForProcessing DigitalIntraOralXRayImageStorageForPresentation
    DigitalIntraOralXRayImageStorageForProcessing CTImageStorage EnhancedCTImageStorage
    LegacyConvertedEnhancedCTImageStorage CTImageStorageForProcessing EnhancedCTImageStorageForProcessing
    LegacyConvertedEnhancedCTImageStorageForProcessing MRImageStorage EnhancedMRImageStorage
    EnhancedMRColorImageStorage LegacyConvertedEnhancedMRImageStorage XRayAngiographicImageStorage
    EnhancedXAImageStorage XRayRadiofluoroscopicImageStorage EnhancedXRFImageStorage
    XRay3DAngiographicImageStorage XRay3DCraniofacialImageStorage BreastTomosynthesisImageStorage
    BreastProjectionXRayImageStorageForPresentation BreastProjectionXRayImageStorageForProcessing
    NuclearMedicineImageStorage PositronEmissionTomographyImageStorage
    LegacyConvertedEnhancedPETImageStorage EnhancedPETImageStorage RTImageStorage EnhancedRTImageStorage
    EnhancedContinuousRTImageStorage
"""
"""Images of devices that write into attributes what they know of the patient."""

_OFTEN_WITH_TEXT: Final = """
    SecondaryCaptureImageStorage MultiframeSingleBitSecondaryCaptureImageStorage
    MultiframeGrayscaleByteSecondaryCaptureImageStorage MultiframeGrayscaleWordSecondaryCaptureImageStorage
    MultiframeTrueColorSecondaryCaptureImageStorage UltrasoundImageStorage
    UltrasoundMultiframeImageStorage EnhancedUSVolumeStorage PhotoacousticImageStorage
    VLEndoscopicImageStorage VideoEndoscopicImageStorage VLMicroscopicImageStorage
    VideoMicroscopicImageStorage VLSlideCoordinatesMicroscopicImageStorage VLPhotographicImageStorage
    VideoPhotographicImageStorage OphthalmicPhotography8BitImageStorage
    OphthalmicPhotography16BitImageStorage OphthalmicTomographyImageStorage
    VLWholeSlideMicroscopyImageStorage DermoscopicPhotographyImageStorage
    IntravascularOpticalCoherenceTomographyImageStorageForPresentation
    IntravascularOpticalCoherenceTomographyImageStorageForProcessing
"""
"""Images that often bear text or a label: only where the object says that it does not."""

_MODALITIES_WITH_TEXT: Final = frozenset({"DOC", "ES", "GM", "HC", "IVUS", "OP", "OT", "SM", "US", "XC"})
_KINDS_WITH_TEXT: Final = ("SCREEN", "LABEL", "OVERVIEW")
_CONVERTED_CLEAN: Final = frozenset({"", "DI", "SYN"})  # Conversion Type, PS3.3 §C.8.6.1


@dataclass(frozen=True, slots=True)
class Appearance:
    """What an object says of its pixels; a word that is missing is empty."""

    sop_class: Uid
    modality: str
    image_type: str
    conversion_type: str
    burned_in: str


def why_not(appearance: Appearance) -> str:
    """Why an object cannot be released without identity; empty where it can."""
    if appearance.burned_in not in {"", "NO"}:
        return "text is burned into the pixels (0028,0301)"
    if appearance.sop_class not in _PLAIN_CLASSES | _TEXT_CLASSES:
        return f"objects of class {appearance.sop_class} are no images that can be de-identified"
    if appearance.burned_in == "NO" or not _may_bear_text(appearance):
        return ""
    return "its kind often has text in the pixels, and it does not say that it has none (0028,0301)"


def _may_bear_text(appearance: Appearance) -> bool:
    return (
        appearance.sop_class in _TEXT_CLASSES
        or appearance.modality in _MODALITIES_WITH_TEXT
        or appearance.conversion_type not in _CONVERTED_CLEAN
        or any(kind in appearance.image_type for kind in _KINDS_WITH_TEXT)
    )


_PLAIN_CLASSES: Final = frozenset(BY_KEYWORD[word] for word in _PLAIN.split())
_TEXT_CLASSES: Final = frozenset(BY_KEYWORD[word] for word in _OFTEN_WITH_TEXT.split())
