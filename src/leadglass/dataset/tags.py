"""The attributes the index keeps, by level. PS3.4 §C.6.1.1, §C.6.2.1 and PS3.6.

Sequences are not indexed, and of free text only descriptions: an index should not know more than
searching needs (no comments, no ethnic group).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from leadglass.model.query import Level, Tag

# Not indexed, but read from or written to identifiers.
SPECIFIC_CHARACTER_SET: Final[Tag] = 0x00080005
QUERY_RETRIEVE_LEVEL: Final[Tag] = 0x00080052
RETRIEVE_AE_TITLE: Final[Tag] = 0x00080054
INSTANCE_AVAILABILITY: Final[Tag] = 0x00080056

# Not indexed, but needed to convert: whether ``US or SS`` is signed.
PIXEL_REPRESENTATION: Final[Tag] = 0x00280103

# Patient
PATIENT_NAME: Final[Tag] = 0x00100010
PATIENT_ID: Final[Tag] = 0x00100020
ISSUER_OF_PATIENT_ID: Final[Tag] = 0x00100021
PATIENT_BIRTH_DATE: Final[Tag] = 0x00100030
PATIENT_BIRTH_TIME: Final[Tag] = 0x00100032
PATIENT_SEX: Final[Tag] = 0x00100040
OTHER_PATIENT_IDS: Final[Tag] = 0x00101000
NUMBER_OF_PATIENT_RELATED_STUDIES: Final[Tag] = 0x00201200
NUMBER_OF_PATIENT_RELATED_SERIES: Final[Tag] = 0x00201202
NUMBER_OF_PATIENT_RELATED_INSTANCES: Final[Tag] = 0x00201204

# Study
STUDY_INSTANCE_UID: Final[Tag] = 0x0020000D
STUDY_DATE: Final[Tag] = 0x00080020
STUDY_TIME: Final[Tag] = 0x00080030
ACCESSION_NUMBER: Final[Tag] = 0x00080050
STUDY_ID: Final[Tag] = 0x00200010
STUDY_DESCRIPTION: Final[Tag] = 0x00081030
REFERRING_PHYSICIAN_NAME: Final[Tag] = 0x00080090
NAME_OF_PHYSICIANS_READING_STUDY: Final[Tag] = 0x00081060
PATIENT_AGE: Final[Tag] = 0x00101010
PATIENT_SIZE: Final[Tag] = 0x00101020
PATIENT_WEIGHT: Final[Tag] = 0x00101030
MODALITIES_IN_STUDY: Final[Tag] = 0x00080061
SOP_CLASSES_IN_STUDY: Final[Tag] = 0x00080062
NUMBER_OF_STUDY_RELATED_SERIES: Final[Tag] = 0x00201206
NUMBER_OF_STUDY_RELATED_INSTANCES: Final[Tag] = 0x00201208

# Series
SERIES_INSTANCE_UID: Final[Tag] = 0x0020000E
MODALITY: Final[Tag] = 0x00080060
SERIES_NUMBER: Final[Tag] = 0x00200011
SERIES_DESCRIPTION: Final[Tag] = 0x0008103E
SERIES_DATE: Final[Tag] = 0x00080021
SERIES_TIME: Final[Tag] = 0x00080031
BODY_PART_EXAMINED: Final[Tag] = 0x00180015
PROTOCOL_NAME: Final[Tag] = 0x00181030
LATERALITY: Final[Tag] = 0x00200060
STATION_NAME: Final[Tag] = 0x00081010
MANUFACTURER: Final[Tag] = 0x00080070
INSTITUTION_NAME: Final[Tag] = 0x00080080
PERFORMED_PROCEDURE_STEP_START_DATE: Final[Tag] = 0x00400244
PERFORMED_PROCEDURE_STEP_START_TIME: Final[Tag] = 0x00400245
OPERATORS_NAME: Final[Tag] = 0x00081070
PERFORMING_PHYSICIAN_NAME: Final[Tag] = 0x00081050
NUMBER_OF_SERIES_RELATED_INSTANCES: Final[Tag] = 0x00201209

# Image
SOP_INSTANCE_UID: Final[Tag] = 0x00080018
SOP_CLASS_UID: Final[Tag] = 0x00080016
INSTANCE_NUMBER: Final[Tag] = 0x00200013
IMAGE_TYPE: Final[Tag] = 0x00080008
ROWS: Final[Tag] = 0x00280010
COLUMNS: Final[Tag] = 0x00280011
BITS_ALLOCATED: Final[Tag] = 0x00280100
NUMBER_OF_FRAMES: Final[Tag] = 0x00280008
CONTENT_DATE: Final[Tag] = 0x00080023
CONTENT_TIME: Final[Tag] = 0x00080033
ACQUISITION_DATE: Final[Tag] = 0x00080022
ACQUISITION_TIME: Final[Tag] = 0x00080032
ACQUISITION_NUMBER: Final[Tag] = 0x00200012
AVAILABLE_TRANSFER_SYNTAX_UID: Final[Tag] = 0x00083002


@dataclass(frozen=True, slots=True)
class IndexTag:
    """One attribute of the index: its DICOM keyword, VR, and the level it belongs to."""

    tag: Tag
    keyword: str
    vr: str
    level: Level


# What an InstanceRecord's attributes may hold.
INDEX_TAGS: Final = (
    IndexTag(PATIENT_NAME, "PatientName", "PN", Level.PATIENT),
    IndexTag(PATIENT_ID, "PatientID", "LO", Level.PATIENT),
    IndexTag(ISSUER_OF_PATIENT_ID, "IssuerOfPatientID", "LO", Level.PATIENT),
    IndexTag(PATIENT_BIRTH_DATE, "PatientBirthDate", "DA", Level.PATIENT),
    IndexTag(PATIENT_BIRTH_TIME, "PatientBirthTime", "TM", Level.PATIENT),
    IndexTag(PATIENT_SEX, "PatientSex", "CS", Level.PATIENT),
    IndexTag(OTHER_PATIENT_IDS, "OtherPatientIDs", "LO", Level.PATIENT),
    IndexTag(STUDY_INSTANCE_UID, "StudyInstanceUID", "UI", Level.STUDY),
    IndexTag(STUDY_DATE, "StudyDate", "DA", Level.STUDY),
    IndexTag(STUDY_TIME, "StudyTime", "TM", Level.STUDY),
    IndexTag(ACCESSION_NUMBER, "AccessionNumber", "SH", Level.STUDY),
    IndexTag(STUDY_ID, "StudyID", "SH", Level.STUDY),
    IndexTag(STUDY_DESCRIPTION, "StudyDescription", "LO", Level.STUDY),
    IndexTag(REFERRING_PHYSICIAN_NAME, "ReferringPhysicianName", "PN", Level.STUDY),
    IndexTag(NAME_OF_PHYSICIANS_READING_STUDY, "NameOfPhysiciansReadingStudy", "PN", Level.STUDY),
    IndexTag(PATIENT_AGE, "PatientAge", "AS", Level.STUDY),
    IndexTag(PATIENT_SIZE, "PatientSize", "DS", Level.STUDY),
    IndexTag(PATIENT_WEIGHT, "PatientWeight", "DS", Level.STUDY),
    IndexTag(SERIES_INSTANCE_UID, "SeriesInstanceUID", "UI", Level.SERIES),
    IndexTag(MODALITY, "Modality", "CS", Level.SERIES),
    IndexTag(SERIES_NUMBER, "SeriesNumber", "IS", Level.SERIES),
    IndexTag(SERIES_DESCRIPTION, "SeriesDescription", "LO", Level.SERIES),
    IndexTag(SERIES_DATE, "SeriesDate", "DA", Level.SERIES),
    IndexTag(SERIES_TIME, "SeriesTime", "TM", Level.SERIES),
    IndexTag(BODY_PART_EXAMINED, "BodyPartExamined", "CS", Level.SERIES),
    IndexTag(PROTOCOL_NAME, "ProtocolName", "LO", Level.SERIES),
    IndexTag(LATERALITY, "Laterality", "CS", Level.SERIES),
    IndexTag(STATION_NAME, "StationName", "SH", Level.SERIES),
    IndexTag(MANUFACTURER, "Manufacturer", "LO", Level.SERIES),
    IndexTag(INSTITUTION_NAME, "InstitutionName", "LO", Level.SERIES),
    IndexTag(PERFORMED_PROCEDURE_STEP_START_DATE, "PerformedProcedureStepStartDate", "DA", Level.SERIES),
    IndexTag(PERFORMED_PROCEDURE_STEP_START_TIME, "PerformedProcedureStepStartTime", "TM", Level.SERIES),
    IndexTag(OPERATORS_NAME, "OperatorsName", "PN", Level.SERIES),
    IndexTag(PERFORMING_PHYSICIAN_NAME, "PerformingPhysicianName", "PN", Level.SERIES),
    IndexTag(SOP_INSTANCE_UID, "SOPInstanceUID", "UI", Level.IMAGE),
    IndexTag(SOP_CLASS_UID, "SOPClassUID", "UI", Level.IMAGE),
    IndexTag(INSTANCE_NUMBER, "InstanceNumber", "IS", Level.IMAGE),
    IndexTag(IMAGE_TYPE, "ImageType", "CS", Level.IMAGE),
    IndexTag(ROWS, "Rows", "US", Level.IMAGE),
    IndexTag(COLUMNS, "Columns", "US", Level.IMAGE),
    IndexTag(BITS_ALLOCATED, "BitsAllocated", "US", Level.IMAGE),
    IndexTag(NUMBER_OF_FRAMES, "NumberOfFrames", "IS", Level.IMAGE),
    IndexTag(CONTENT_DATE, "ContentDate", "DA", Level.IMAGE),
    IndexTag(CONTENT_TIME, "ContentTime", "TM", Level.IMAGE),
    IndexTag(ACQUISITION_DATE, "AcquisitionDate", "DA", Level.IMAGE),
    IndexTag(ACQUISITION_TIME, "AcquisitionTime", "TM", Level.IMAGE),
    IndexTag(ACQUISITION_NUMBER, "AcquisitionNumber", "IS", Level.IMAGE),
    IndexTag(AVAILABLE_TRANSFER_SYNTAX_UID, "AvailableTransferSyntaxUID", "UI", Level.IMAGE),
)

# What the index works out itself, from what lies below. PS3.4 §C.3.4 "additional attributes".
COMPUTED_TAGS: Final = (
    IndexTag(NUMBER_OF_PATIENT_RELATED_STUDIES, "NumberOfPatientRelatedStudies", "IS", Level.PATIENT),
    IndexTag(NUMBER_OF_PATIENT_RELATED_SERIES, "NumberOfPatientRelatedSeries", "IS", Level.PATIENT),
    IndexTag(NUMBER_OF_PATIENT_RELATED_INSTANCES, "NumberOfPatientRelatedInstances", "IS", Level.PATIENT),
    IndexTag(MODALITIES_IN_STUDY, "ModalitiesInStudy", "CS", Level.STUDY),
    IndexTag(SOP_CLASSES_IN_STUDY, "SOPClassesInStudy", "UI", Level.STUDY),
    IndexTag(NUMBER_OF_STUDY_RELATED_SERIES, "NumberOfStudyRelatedSeries", "IS", Level.STUDY),
    IndexTag(NUMBER_OF_STUDY_RELATED_INSTANCES, "NumberOfStudyRelatedInstances", "IS", Level.STUDY),
    IndexTag(NUMBER_OF_SERIES_RELATED_INSTANCES, "NumberOfSeriesRelatedInstances", "IS", Level.SERIES),
)

BY_TAG: Final = MappingProxyType({entry.tag: entry for entry in INDEX_TAGS + COMPUTED_TAGS})

# The unique key of each level. PS3.4 §C.6.1.1: Patient ID, then the three instance UIDs.
UNIQUE_KEYS: Final = MappingProxyType(
    {
        Level.PATIENT: PATIENT_ID,
        Level.STUDY: STUDY_INSTANCE_UID,
        Level.SERIES: SERIES_INSTANCE_UID,
        Level.IMAGE: SOP_INSTANCE_UID,
    }
)
