"""The attributes that a query can return, by DICOM keyword: those of ``dataset.tags``. PS3.6."""

from __future__ import annotations

ALWAYS_SHOWN = frozenset({"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"})
"""Without them an answer names nothing. They tell nothing of a person by themselves."""

ATTRIBUTES = ALWAYS_SHOWN | frozenset(
    """
    PatientName PatientID IssuerOfPatientID PatientBirthDate PatientBirthTime PatientSex OtherPatientIDs
    StudyDate StudyTime AccessionNumber StudyID StudyDescription ReferringPhysicianName
    NameOfPhysiciansReadingStudy PatientAge PatientSize PatientWeight
    Modality SeriesNumber SeriesDescription SeriesDate SeriesTime BodyPartExamined ProtocolName Laterality
    StationName Manufacturer InstitutionName PerformedProcedureStepStartDate
    PerformedProcedureStepStartTime OperatorsName PerformingPhysicianName
    SOPClassUID InstanceNumber ImageType Rows Columns BitsAllocated NumberOfFrames ContentDate ContentTime
    AcquisitionDate AcquisitionTime AcquisitionNumber AvailableTransferSyntaxUID
    NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances
    ModalitiesInStudy SOPClassesInStudy NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances
    NumberOfSeriesRelatedInstances
    """.split()  # noqa: SIM905 - sixty quoted words would hide the list
)

IDENTIFYING = frozenset(
    """
    PatientName PatientID IssuerOfPatientID PatientBirthDate PatientBirthTime PatientSex OtherPatientIDs
    StudyDate StudyTime AccessionNumber StudyID StudyDescription ReferringPhysicianName
    NameOfPhysiciansReadingStudy PatientAge PatientSize PatientWeight
    SeriesDescription SeriesDate SeriesTime ProtocolName StationName InstitutionName
    PerformedProcedureStepStartDate PerformedProcedureStepStartTime OperatorsName PerformingPhysicianName
    ContentDate ContentTime AcquisitionDate AcquisitionTime
    """.split()  # noqa: SIM905 - as above
)
"""Those of them that the Basic Profile of PS3.15 removes, empties or replaces: ``dataset.deidentify`` too."""

UNIDENTIFYING = ATTRIBUTES - ALWAYS_SHOWN - IDENTIFYING
"""What queries tell of an object without identity, beside the UIDs."""
