"""Table E.1-1 of PS3.15, edition 2026c: what the Basic Profile does to each attribute.

By keyword of PS3.6, and by number where the dictionary here is older than the attribute. Curves (50xx) and
overlays (60xx) are not listed: ``judge`` knows them by their group. To check it against another edition, run
through its table: the column *Basic Prof.* is the name of the list here.
"""

from __future__ import annotations

from typing import Final

EDITION: Final = "2026c"

REMOVE: Final = """
    AffectedSOPInstanceUID InstanceCoercionDateTime OverlayDate CurveDate OverlayTime CurveTime
    RetrieveAETitle StationAETitle InstitutionAddress ReferringPhysicianAddress
    ReferringPhysicianTelephoneNumbers ReferringPhysicianIdentificationSequence
    ConsultingPhysicianIdentificationSequence TimezoneOffsetFromUTC NetworkID StudyDescription
    SeriesDescription InstitutionalDepartmentName InstitutionalDepartmentTypeCodeSequence
    PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence PerformingPhysicianName
    PerformingPhysicianIdentificationSequence NameOfPhysiciansReadingStudy
    PhysiciansReadingStudyIdentificationSequence AdmittingDiagnosesDescription
    AdmittingDiagnosesCodeSequence PyramidDescription ReferencedPatientSequence 00081301 00081302 00081303
    00081304 DerivationDescription IdentifyingComments 00100011 00100012 00100013 00100014 00100015
    00100016 IssuerOfPatientID PatientBirthTime 00100041 00100042 00100043 00100044 00100045 00100046
    00100047 PatientInsurancePlanCodeSequence PatientPrimaryLanguageCodeSequence
    PatientPrimaryLanguageModifierCodeSequence OtherPatientIDs OtherPatientNames OtherPatientIDsSequence
    PatientBirthName PatientAge PatientSize PatientWeight PatientAddress InsurancePlanIdentification
    PatientMotherBirthName MilitaryRank BranchOfService MedicalRecordLocator
    ReferencedPatientPhotoSequence MedicalAlerts Allergies CountryOfResidence RegionOfResidence
    PatientTelephoneNumbers PatientTelecomInformation EthnicGroup EthnicGroupCodeSequence 00102162
    Occupation SmokingStatus AdditionalPatientHistory PregnancyStatus LastMenstrualDate
    PatientReligiousPreference ResponsiblePerson ResponsibleOrganization PatientComments
    IssuerOfClinicalTrialProtocolID OtherClinicalTrialProtocolIDsSequence IssuerOfClinicalTrialSiteID
    IssuerOfClinicalTrialSubjectID IssuerOfClinicalTrialSubjectReadingID ClinicalTrialTimePointDescription
    IssuerOfClinicalTrialTimePointID ClinicalTrialSeriesID ClinicalTrialSeriesDescription
    IssuerOfClinicalTrialSeriesID ClinicalTrialProtocolEthicsCommitteeApprovalNumber
    EthicsCommitteeApprovalEffectivenessStartDate EthicsCommitteeApprovalEffectivenessEndDate
    CalibrationTime CalibrationDate MakerNote DeviceSettingDescription CameraOwnerName LensSpecification
    LensMake LensModel LensSerialNumber GPSVersionID GPSLatitudeRef GPSLatitude GPSLongitudeRef
    GPSLongitude GPSAltitudeRef GPSAltitude GPSTimeStamp GPSSatellites GPSStatus GPSMeasureMode GPSDOP
    GPSSpeedRef GPSSpeed GPSTrackRef GPSTrack GPSImgDirectionRef GPSImgDirection GPSMapDatum
    GPSDestLatitudeRef GPSDestLatitude GPSDestLongitudeRef GPSDestLongitude GPSDestBearingRef
    GPSDestBearing GPSDestDistanceRef GPSDestDistance GPSProcessingMethod GPSAreaInformation GPSDateStamp
    GPSDifferential InterventionDrugStopTime InterventionDrugStartTime PlateID GeneratorID CassetteID
    GantryID UniqueDeviceIdentifier UDISequence SecondaryCaptureDeviceID HardcopyCreationDeviceID
    DateOfSecondaryCapture TimeOfSecondaryCapture ContrastBolusStartTime ContrastBolusStopTime
    RadiopharmaceuticalStartTime RadiopharmaceuticalStopTime RadiopharmaceuticalStartDateTime
    RadiopharmaceuticalStopDateTime DateOfLastCalibration TimeOfLastCalibration DateTimeOfLastCalibration
    DateOfManufacture DateOfInstallation AcquisitionComments TransducerIdentificationSequence
    RespiratoryMotionCompensationTechniqueDescription XRayDetectorLabel MultienergyAcquisitionDescription
    DecompositionDescription AcquisitionProtocolDescription RequestedSeriesDescription
    ContributionDateTime ContributionDescription PyramidLabel ModifyingDeviceID ModifiedImageDate
    ModifiedImageTime ModifiedImageDescription ImageComments FrameComments ImagePresentationComments
    StudyIDIssuer StudyVerifiedDate StudyVerifiedTime StudyReadDate StudyReadTime ScheduledStudyStartDate
    ScheduledStudyStartTime ScheduledStudyStopDate ScheduledStudyStopTime ScheduledStudyLocation
    ScheduledStudyLocationAETitle ReasonForStudy RequestingPhysician RequestingService StudyArrivalDate
    StudyArrivalTime StudyCompletionDate StudyCompletionTime ReasonForVisit ReasonForVisitCodeSequence
    RequestedContrastAgent StudyComments ReferencedPatientAliasSequence AdmissionID IssuerOfAdmissionID
    IssuerOfAdmissionIDSequence ScheduledAdmissionDate ScheduledAdmissionTime ScheduledDischargeDate
    ScheduledDischargeTime ScheduledPatientInstitutionResidence AdmittingDate AdmittingTime DischargeDate
    DischargeTime DischargeDiagnosisDescription SpecialNeeds ServiceEpisodeID IssuerOfServiceEpisodeID
    ServiceEpisodeDescription IssuerOfServiceEpisodeIDSequence CurrentPatientLocation
    PatientInstitutionResidence PatientState VisitComments MultiplexGroupLabel ChannelLabel
    ChannelDerivationDescription WaveformFilterDescription FilterLookupTableDescription
    ScheduledStationAETitle ScheduledProcedureStepStartDate ScheduledProcedureStepStartTime
    ScheduledProcedureStepEndDate ScheduledProcedureStepEndTime ScheduledPerformingPhysicianName
    ScheduledProcedureStepDescription ScheduledProcedureStepID
    ScheduledPerformingPhysicianIdentificationSequence ScheduledStationName ScheduledProcedureStepLocation
    PreMedication PerformedStationAETitle PerformedStationName PerformedLocation
    PerformedProcedureStepStartDate PerformedProcedureStepStartTime PerformedProcedureStepEndDate
    PerformedProcedureStepEndTime PerformedProcedureStepID PerformedProcedureStepDescription
    RequestAttributesSequence CommentsOnThePerformedProcedureStep CommentsOnRadiationDose
    SpecimenAccessionNumber ContainerDescription AcquisitionContextDescription SpecimenShortDescription
    SpecimenDetailedDescription SlideIdentifier RequestedProcedureID ReasonForTheRequestedProcedure
    PatientTransportArrangements RequestedProcedureLocation ReasonForRequestedProcedureCodeSequence
    NamesOfIntendedRecipientsOfResults IntendedRecipientsOfResultsIdentificationSequence PersonAddress
    PersonTelephoneNumbers PersonTelecomInformation RequestedProcedureComments
    ReasonForTheImagingServiceRequest IssueDateOfImagingServiceRequest IssueTimeOfImagingServiceRequest
    OrderEnteredBy OrderEntererLocation OrderCallbackPhoneNumber OrderCallbackTelecomInformation
    ImagingServiceRequestComments ConfidentialityConstraintOnPatientDataDescription
    ScheduledProcedureStepStartDateTime ScheduledProcedureStepExpirationDateTime
    ScheduledProcedureStepModificationDateTime ExpectedCompletionDateTime ScheduledStationNameCodeSequence
    ScheduledStationGeographicLocationCodeSequence PerformedStationNameCodeSequence
    PerformedStationGeographicLocationCodeSequence ScheduledHumanPerformersSequence
    ActualHumanPerformersSequence HumanPerformerOrganization HumanPerformerName
    PerformedProcedureStepStartDateTime PerformedProcedureStepEndDateTime
    ProcedureStepCancellationDateTime FindingsGroupRecordingDateTrial FindingsGroupRecordingTimeTrial
    ObservationStartDateTime 0040A034 0040A035 AuthorObserverSequence ParticipantSequence
    CustodialOrganizationSequence DateOfDocumentOrVerbalTransactionTrial
    TimeOfDocumentCreationOrVerbalTransactionTrial ObservationDateTrial ObservationTimeTrial
    CurrentObserverTrial VerbalSourceTrial AddressTrial TelephoneNumberTrial
    VerbalSourceIdentifierCodeSequenceTrial 0040B034 0040B036 0040B03B 0040B03F TemplateVersion
    TemplateLocalVersion HL7DocumentEffectiveTime 0040E012 ApprovalStatusDateTime
    ProductExpirationDateTime SubstanceAdministrationDateTime AssertionExpirationDateTime
    ContainerComponentID DeviceDescription LongDeviceDescription AnnotationGroupDescription
    PresentationCreationDate PresentationCreationTime ContentCreatorIdentificationCodeSequence ReceivingAE
    RequestingAE IconImageSequence TopicTitle TopicSubject TopicAuthor TopicKeywords
    SOPAuthorizationDateTime CertifiedTimestamp ReferencedDigitalSignatureSequence
    ReferencedSOPInstanceMACSequence MAC ModifiedAttributesSequence
    NonconformingModifiedAttributesSequence NonconformingDataElementValue OriginalAttributesSequence
    InstanceOriginStatus TextString CreationDate CreationTime Originator PositionAcquisitionTemplateName
    PositionAcquisitionTemplateDescription StructureSetName StructureSetDescription ROIDescription
    ROIDateTime ROIObservationDateTime ROIGenerationDescription ROICreatorSequence ROIInterpreterSequence
    ROIObservationLabel ROIObservationDescription RTPlanName RTPlanDescription TreatmentSites
    PrescriptionDescription DoseReferenceDescription FractionGroupDescription BeamDescription
    BolusDescription FixationDeviceDescription ShieldingDeviceDescription SetupTechniqueDescription
    SourceManufacturer CompensatorDescription EquipmentFrameOfReferenceDescription
    PatientTreatmentPreparationProcedureParameterDescription PatientTreatmentPreparationMethodDescription
    PatientSetupPhotoDescription DisplacementReferenceLabel ReasonForOmissionDescription EntityName
    EntityDescription PriorTreatmentDoseDescription IntendedFractionStartTime Arbitrary TextComments
    ResultsID ResultsIDIssuer InterpretationRecordedDate InterpretationRecordedTime InterpretationRecorder
    InterpretationTranscriptionDate InterpretationTranscriptionTime InterpretationTranscriber
    InterpretationText InterpretationAuthor InterpretationApproverSequence InterpretationApprovalDate
    InterpretationApprovalTime PhysicianApprovingInterpretation InterpretationDiagnosisDescription
    ResultsDistributionListSequence DistributionName DistributionAddress InterpretationID
    InterpretationIDIssuer Impressions ResultsComments DigitalSignaturesSequence DataSetTrailingPadding
"""
"""X."""

EMPTY: Final = """
    StudyDate StudyTime AccessionNumber ReferringPhysicianName ConsultingPhysicianName PatientName
    PatientBirthDate PatientSex ClinicalTrialProtocolName ClinicalTrialSiteID ClinicalTrialSiteName
    ClinicalTrialTimePointID ClinicalTrialCoordinatingCenterName CalibrationDateTime StudyID
    IssuerOfTheContainerIdentifierSequence IssuerOfTheSpecimenIdentifierSequence
    SpecimenPreparationSequence PlacerOrderNumberImagingServiceRequest
    FillerOrderNumberImagingServiceRequest ParticipationDateTime
    VerifyingObserverIdentificationCodeSequence SourceOfPreviousValues StructureSetDate StructureSetTime
    ROIName ROIInterpreter RTAccessoryHolderSlotID RTAccessoryDeviceSlotID
    RadiationGenerationModeDescription ReviewDate ReviewTime ConceptualVolumeCombinationDescription
    ConceptualVolumeDescription DeviceAlternateIdentifier ManufacturerDeviceIdentifier
    RTPhysicianIntentNarrative ReasonForSuperseding TreatmentTechniqueNotes PrescriptionNotes
    FractionationNotes PrescriptionNotesSequence
"""
"""Z."""

REPLACE: Final = """
    ContextGroupVersion ContextGroupLocalVersion ClinicalTrialSponsorName ClinicalTrialProtocolID
    ClinicalTrialSubjectID ClinicalTrialSubjectReadingID ClinicalTrialProtocolEthicsCommitteeName
    AcquisitionFieldOfViewLabel FrameAcquisitionDateTime FrameReferenceDateTime XRaySourceID
    SourceStartDateTime SourceEndDateTime XRayDetectorID FunctionalSyncPulse DecayCorrectionDateTime
    ExclusionStartDateTime FlowIdentifierSequence FlowIdentifier SourceIdentifier FrameOriginTimestamp
    ImpedanceMeasurementDateTime ContainerIdentifier SpecimenIdentifier PersonIdentificationCodeSequence
    VerifyingOrganization VerificationDateTime VerifyingObserverSequence VerifyingObserverName DateTime
    Date Time PersonName ReferencedDateTime ContentSequence EncapsulatedDocument AssertionDateTime
    EffectiveDateTime InformationIssueDateTime AnnotationGroupUID AnnotationGroupLabel
    GraphicAnnotationSequence UnformattedTextValue HangingProtocolCreationDateTime SelectorAEValue
    SelectorASValue SelectorDAValue SelectorDTValue SelectorOBValue SelectorLOValue SelectorLTValue
    SelectorPNValue SelectorTMValue SelectorSHValue SelectorUNValue SelectorSTValue SelectorUTValue
    SelectorURValue DigitalSignatureDateTime CertificateOfSigner AttributeModificationDateTime
    ModifyingSystem ReasonForTheAttributeModification DestinationAE StructureSetLabel
    TreatmentControlPointDate TreatmentControlPointTime SafePositionExitDate SafePositionExitTime
    SafePositionReturnDate SafePositionReturnTime RTPlanLabel SourceStrengthReferenceDate
    SourceStrengthReferenceTime TreatmentPositionGroupLabel RadiationDoseIdentificationLabel
    RadiationDoseInVivoMeasurementLabel RTToleranceSetLabel RadiationGenerationModeLabel
    TreatmentToleranceViolationDescription TreatmentToleranceViolationDateTime
    RecordedRTControlPointDateTime InterlockDateTime InterlockDescription OverrideDateTime
    InterlockOriginDescription BeamHoldTransitionDateTime DeviceLabel UserContentLabel
    UserContentLongLabel EntityLabel EntityLongLabel RTPrescriptionLabel
"""
"""D."""

UID: Final = """
    RequestedSOPInstanceUID MediaStorageSOPInstanceUID ReferencedSOPInstanceUIDInFile InstanceCreatorUID
    AcquisitionUID SOPInstanceUID PyramidUID FailedSOPInstanceUIDList ReferencedSOPInstanceUID
    TransactionUID IrradiationEventUID DeviceUID ManufacturerDeviceClassUID TargetUID StudyInstanceUID
    SeriesInstanceUID FrameOfReferenceUID SynchronizationFrameOfReferenceUID ConcatenationUID
    DimensionOrganizationUID PaletteColorLookupTableUID LargePaletteColorLookupTableUID MultiplexGroupUID
    SpecimenUID ReferencedGeneralPurposeScheduledProcedureStepTransactionUID UID ObservationUID
    ReferencedObservationUIDTrial ObservationSubjectUIDTrial TemplateExtensionOrganizationUID
    TemplateExtensionCreatorUID TrackingUID SourceFrameOfReferenceUID FiducialUID
    PresentationDisplayCollectionUID PresentationSequenceCollectionUID StorageMediaFileSetUID
    DigitalSignatureUID ReferencedFrameOfReferenceUID RelatedFrameOfReferenceUID DoseReferenceUID
    TableTopPositionAlignmentUID ReferencedDoseReferenceUID TreatmentPositionGroupUID PatientSetupUID
    TreatmentSessionUID ReferencedTreatmentPositionGroupUID ConceptualVolumeUID
    ReferencedConceptualVolumeUID ConstituentConceptualVolumeUID SourceConceptualVolumeUID
    ReferencedFiducialsUID RTTreatmentPhaseUID DosimetricObjectiveUID ReferencedDosimetricObjectiveUID
"""
"""U."""

EMPTY_OR_REPLACE: Final = """
    ContentDate ContentTime PatientID ContrastBolusAgent InstructionPerformedDateTime ContentCreatorName
"""
"""Z/D."""

REMOVE_OR_EMPTY: Final = """
    AcquisitionDate AcquisitionTime ReferencedStudySequence PatientSexNeutered
    RequestedProcedureDescription AcquisitionContextSequence LabelText BarcodeValue SourceSerialNumber
    TreatmentMachineName ReviewerName
"""
"""X/Z."""

REMOVE_OR_REPLACE: Final = """
    InstanceCreationDate SeriesDate SeriesTime OperatorIdentificationSequence ProtocolName
    AcquisitionDeviceProcessingDescription DetectorID DateOfLastDetectorCalibration
    TimeOfLastDetectorCalibration StartAcquisitionDateTime EndAcquisitionDateTime ObservationDateTime
    WaveformAnnotationSequence FirstTreatmentDate MostRecentTreatmentDate TreatmentDate TreatmentTime
    RTPlanDate RTPlanTime IntendedPhaseStartDate IntendedPhaseEndDate RTTreatmentApproachLabel
    TreatmentSite
"""
"""X/D."""

REMOVE_EMPTY_OR_REPLACE: Final = """
    InstanceCreationTime AcquisitionDateTime InstitutionName InstitutionCodeSequence StationName
    OperatorsName ReferencedPerformedProcedureStepSequence DeviceSerialNumber
"""
"""X/Z/D."""

REMOVE_EMPTY_OR_UIDS: Final = """
    ReferencedImageSequence SourceImageSequence
"""
"""X/Z/U*."""
