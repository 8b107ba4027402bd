//! One table from Kafka's codes to what the caller does next.

use factum_core::{Error, ErrorKind, TopicPartition, log::TxnError};
use rdkafka::error::RDKafkaErrorCode as Code;

/// The kinds of the codes, but for those that are [`TRANSIENT`].
#[rustfmt::skip]
const KINDS: &[(Code, ErrorKind)] = &[
    // Another member or producer took over.
    (Code::IllegalGeneration, ErrorKind::Fenced),
    (Code::UnknownMemberId, ErrorKind::Fenced),
    (Code::FencedInstanceId, ErrorKind::Fenced),
    (Code::FencedMemberEpoch, ErrorKind::Fenced),
    (Code::StaleMemberEpoch, ErrorKind::Fenced),
    (Code::UnreleasedInstanceId, ErrorKind::Fenced),
    (Code::Fenced, ErrorKind::Fenced),
    (Code::ProducerFenced, ErrorKind::Fenced),
    (Code::InvalidProducerEpoch, ErrorKind::Fenced),
    (Code::TransactionCoordinatorFenced, ErrorKind::Fenced),
    (Code::InvalidProducerIdMapping, ErrorKind::Fenced),
    (Code::UnknownProducerId, ErrorKind::Fenced),
    (Code::AssignmentLost, ErrorKind::Fenced),
    (Code::Fatal, ErrorKind::Fenced),
    // What the call was based on has changed.
    (Code::NonEmptyGroup, ErrorKind::Conflict),
    (Code::GroupSubscribedToTopic, ErrorKind::Conflict),
    (Code::TopicAlreadyExists, ErrorKind::Conflict),
    // The bytes or the place cannot be read, now or later.
    (Code::OffsetOutOfRange, ErrorKind::Data),
    (Code::AutoOffsetReset, ErrorKind::Data),
    (Code::NoOffset, ErrorKind::Data),
    (Code::LogTruncation, ErrorKind::Data),
    (Code::InvalidMessage, ErrorKind::Data),
    (Code::BadMessage, ErrorKind::Data),
    (Code::BadCompression, ErrorKind::Data),
    // The call, the configuration or the rights are wrong.
    (Code::Authentication, ErrorKind::Invalid),
    (Code::SaslAuthenticationFailed, ErrorKind::Invalid),
    (Code::UnsupportedSASLMechanism, ErrorKind::Invalid),
    (Code::TopicAuthorizationFailed, ErrorKind::Invalid),
    (Code::GroupAuthorizationFailed, ErrorKind::Invalid),
    (Code::ClusterAuthorizationFailed, ErrorKind::Invalid),
    (Code::TransactionalIdAuthorizationFailed, ErrorKind::Invalid),
    (Code::UnknownTopic, ErrorKind::Invalid),
    (Code::UnknownPartition, ErrorKind::Invalid),
    (Code::UnknownTopicOrPartition, ErrorKind::Invalid),
    (Code::InvalidTopic, ErrorKind::Invalid),
    (Code::InvalidArgument, ErrorKind::Invalid),
    (Code::InvalidRecord, ErrorKind::Invalid),
    (Code::MessageSizeTooLarge, ErrorKind::Invalid),
    (Code::InvalidMessageSize, ErrorKind::Invalid),
    (Code::MessageBatchTooLarge, ErrorKind::Invalid),
    (Code::OffsetMetadataTooLarge, ErrorKind::Invalid),
    (Code::InvalidConfig, ErrorKind::Invalid),
    (Code::InvalidPartitions, ErrorKind::Invalid),
    (Code::InvalidReplicationFactor, ErrorKind::Invalid),
    (Code::InvalidReplicaAssignment, ErrorKind::Invalid),
    (Code::InvalidRequest, ErrorKind::Invalid),
    (Code::InvalidGroupId, ErrorKind::Invalid),
    (Code::InvalidSessionTimeout, ErrorKind::Invalid),
    (Code::InvalidTransactionTimeout, ErrorKind::Invalid),
    (Code::InvalidTimestamp, ErrorKind::Invalid),
    (Code::InconsistentGroupProtocol, ErrorKind::Invalid),
    (Code::PolicyViolation, ErrorKind::Invalid),
    (Code::TopicDeletionDisabled, ErrorKind::Invalid),
    (Code::UnsupportedVersion, ErrorKind::Invalid),
    (Code::UnsupportedFeature, ErrorKind::Invalid),
    (Code::UnsupportedAssignor, ErrorKind::Invalid),
    (Code::SecurityDisabled, ErrorKind::Invalid),
    (Code::State, ErrorKind::Invalid),
    (Code::InvalidTransactionalState, ErrorKind::Invalid),
    // Nothing that this crate asks for; who sees them has a client or a broker that is set up wrongly.
    (Code::ExistingSubscription, ErrorKind::Invalid),
    (Code::Conflict, ErrorKind::Invalid),
    (Code::UnknownProtocol, ErrorKind::Invalid),
    (Code::NotImplemented, ErrorKind::Invalid),
    (Code::KeySerialization, ErrorKind::Invalid),
    (Code::ValueSerialization, ErrorKind::Invalid),
    (Code::KeyDeserialization, ErrorKind::Invalid),
    (Code::ValueDeserialization, ErrorKind::Invalid),
    (Code::ReadOnly, ErrorKind::Invalid),
    (Code::InvalidType, ErrorKind::Invalid),
    (Code::NotConfigured, ErrorKind::Invalid),
    (Code::InvalidRequiredAcks, ErrorKind::Invalid),
    (Code::InvalidCommitOffsetSize, ErrorKind::Invalid),
    (Code::IllegalSASLState, ErrorKind::Invalid),
    (Code::UnsupportedForMessageFormat, ErrorKind::Invalid),
    (Code::DelegationTokenAuthDisabled, ErrorKind::Invalid),
    (Code::DelegationTokenNotFound, ErrorKind::Invalid),
    (Code::DelegationTokenOwnerMismatch, ErrorKind::Invalid),
    (Code::DelegationTokenRequestNotAllowed, ErrorKind::Invalid),
    (Code::DelegationTokenAuthorizationFailed, ErrorKind::Invalid),
    (Code::DelegationTokenExpired, ErrorKind::Invalid),
    (Code::InvalidPrincipalType, ErrorKind::Invalid),
    (Code::ListenerNotFound, ErrorKind::Invalid),
    (Code::UnsupportedCompressionType, ErrorKind::Invalid),
    (Code::UnacceptableCredential, ErrorKind::Invalid),
    (Code::InvalidUpdateVersion, ErrorKind::Invalid),
    (Code::FeatureUpdateFailed, ErrorKind::Invalid),
    (Code::PrincipalDeserializationFailure, ErrorKind::Invalid),
    (Code::DuplicateResource, ErrorKind::Invalid),
    (Code::InconsistentVoterSet, ErrorKind::Invalid),
    (Code::TelemetryTooLarge, ErrorKind::Invalid),
    (Code::UnknownSubscriptionId, ErrorKind::Invalid),
];

/// The codes that are [`ErrorKind::Unavailable`]: brokers that are away, moving, or too slow; a client
/// that is busy or ends. A code that this program does not know yet is taken for one of them.
#[rustfmt::skip]
const TRANSIENT: &[Code] = &[
    Code::BrokerDestroy, Code::Fail, Code::BrokerTransportFailure, Code::CriticalSystemResource, Code::Resolve,
    Code::MessageTimedOut, Code::PartitionEOF, Code::FileSystem, Code::AllBrokersDown, Code::OperationTimedOut,
    Code::QueueFull, Code::ISRInsufficient, Code::NodeUpdate, Code::SSL, Code::WaitingForCoordinator,
    Code::UnknownGroup, Code::InProgress, Code::PreviousInProgress, Code::AssignPartitions, Code::RevokePartitions,
    Code::Outdated, Code::TimedOutQueue, Code::WaitCache, Code::Interrupted, Code::Partial, Code::NoEnt,
    Code::Underflow, Code::Retry, Code::PurgeQueue, Code::PurgeInflight, Code::Inconsistent, Code::GaplessGuarantee,
    Code::PollExceeded, Code::UnknownBroker, Code::Application, Code::Noop, Code::InvalidDifferentRecord,
    Code::DestroyBroker, Code::Unknown, Code::LeaderNotAvailable, Code::NotLeaderForPartition, Code::RequestTimedOut,
    Code::BrokerNotAvailable, Code::ReplicaNotAvailable, Code::StaleControllerEpoch, Code::NetworkException,
    Code::CoordinatorLoadInProgress, Code::CoordinatorNotAvailable, Code::NotCoordinator, Code::NotEnoughReplicas,
    Code::NotEnoughReplicasAfterAppend, Code::RebalanceInProgress, Code::NotController,
    Code::OutOfOrderSequenceNumber, Code::DuplicateSequenceNumber, Code::ConcurrentTransactions,
    Code::OperationNotAttempted, Code::KafkaStorageError, Code::LogDirNotFound, Code::ReassignmentInProgress,
    Code::GroupIdNotFound, Code::FetchSessionIdNotFound, Code::InvalidFetchSessionEpoch, Code::FencedLeaderEpoch,
    Code::UnknownLeaderEpoch, Code::StaleBrokerEpoch, Code::OffsetNotAvailable, Code::MemberIdRequired,
    Code::PreferredLeaderNotAvailable, Code::GroupMaxSizeReached, Code::EligibleLeadersNotAvailable,
    Code::ElectionNotNeeded, Code::NoReassignmentInProgress, Code::UnstableOffsetCommit,
    Code::ThrottlingQuotaExceeded, Code::ResourceNotFound, Code::UnknownTopicId, Code::RebootstrapRequired,
];

/// The codes by which a group refuses a generation (KIP-447, KIP-848).
const STALE: &[Code] = &[
    Code::IllegalGeneration,
    Code::UnknownMemberId,
    Code::RebalanceInProgress,
    Code::FencedInstanceId,
    Code::FencedMemberEpoch,
    Code::StaleMemberEpoch,
];

/// The codes after which a producer is of no use, also where librdkafka does
/// not mark them as fatal.
const BROKEN: &[Code] =
    &[Code::Fenced, Code::Fatal, Code::ProducerFenced, Code::InvalidProducerEpoch, Code::TransactionCoordinatorFenced];

/// What a caller does after a code.
pub(crate) fn kind(code: Code) -> ErrorKind {
    if TRANSIENT.contains(&code) {
        return ErrorKind::Unavailable;
    }
    KINDS.iter().find(|(row, _)| *row == code).map_or(ErrorKind::Unavailable, |(_, kind)| *kind)
}

/// An error of a call about `what`.
pub(crate) fn error(code: Code, what: impl std::fmt::Display, detail: &str) -> Error {
    let detail = detail.trim().trim_end_matches('.');
    if detail.is_empty() {
        Error::new(kind(code), format!("{what}: {code}"))
    } else {
        Error::new(kind(code), format!("{what}: {detail} ({code:?})"))
    }
}

/// An error at a place in the log.
pub(crate) fn at(code: Code, place: &TopicPartition, offset: i64, detail: &str) -> Error {
    error(code, format_args!("{place}@{offset}"), detail)
}

/// What librdkafka says of a failed step of a transaction.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) text: String,
    pub(crate) fatal: bool,
    pub(crate) retriable: bool,
    pub(crate) requires_abort: bool,
}

/// The class of a failed step of a transaction.
pub(crate) fn transaction(failure: &Failure, what: &str) -> TxnError {
    let error = error(failure.code, what, &failure.text);
    if failure.fatal || BROKEN.contains(&failure.code) {
        TxnError::Fatal(error)
    } else if STALE.contains(&failure.code) {
        TxnError::StaleMember(error)
    } else if failure.requires_abort {
        TxnError::Abort(error)
    } else if failure.retriable {
        TxnError::Retry(error)
    } else {
        // Neither to be repeated nor to be aborted: a client in a state that it does not expect.
        TxnError::Fatal(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::ErrorClass;

    #[test]
    fn every_row_gives_its_kind_and_stands_once() {
        for (index, (code, expected)) in KINDS.iter().enumerate() {
            assert_eq!(kind(*code), *expected, "{code:?}");
            assert!(KINDS[..index].iter().all(|(other, _)| other != code), "{code:?} stands twice");
        }
    }

    #[test]
    fn every_code_that_librdkafka_knows_is_classified_on_purpose() {
        let no_errors = [Code::Begin, Code::End, Code::NoError];
        let known = crate::sys::known_codes();
        assert!(known.len() > 150, "{} codes", known.len());
        for code in known.into_iter().filter(|code| !no_errors.contains(code)) {
            let rows = KINDS.iter().filter(|(row, _)| *row == code).count();
            let transient = TRANSIENT.iter().filter(|row| **row == code).count();
            assert_eq!(rows + transient, 1, "{code:?} has {rows} rows and is {transient} times transient");
        }
        for code in TRANSIENT {
            assert_eq!(kind(*code).class(), ErrorClass::Transient, "{code:?}");
        }
    }

    #[test]
    fn a_code_tells_what_to_do_next() {
        for (code, expected) in [
            (Code::BrokerTransportFailure, ErrorKind::Unavailable),
            (Code::AllBrokersDown, ErrorKind::Unavailable),
            (Code::OperationTimedOut, ErrorKind::Unavailable),
            (Code::RequestTimedOut, ErrorKind::Unavailable),
            (Code::NotLeaderForPartition, ErrorKind::Unavailable),
            (Code::NotEnoughReplicas, ErrorKind::Unavailable),
            (Code::CoordinatorNotAvailable, ErrorKind::Unavailable),
            (Code::RebalanceInProgress, ErrorKind::Unavailable),
            (Code::UnstableOffsetCommit, ErrorKind::Unavailable),
            (Code::IllegalGeneration, ErrorKind::Fenced),
            (Code::ProducerFenced, ErrorKind::Fenced),
            (Code::OffsetOutOfRange, ErrorKind::Data),
            (Code::AutoOffsetReset, ErrorKind::Data),
            (Code::Authentication, ErrorKind::Invalid),
            (Code::TopicAuthorizationFailed, ErrorKind::Invalid),
            (Code::MessageSizeTooLarge, ErrorKind::Invalid),
            (Code::UnknownTopicOrPartition, ErrorKind::Invalid),
            (Code::NonEmptyGroup, ErrorKind::Conflict),
        ] {
            assert_eq!(kind(code), expected, "{code:?}");
        }
    }

    #[test]
    fn a_failed_step_tells_how_to_go_on() {
        const FATAL: u8 = 1;
        const RETRIABLE: u8 = 2;
        const ABORT: u8 = 4;
        for (code, flags, expected) in [
            (Code::ProducerFenced, FATAL, "fatal"),
            (Code::Fenced, 0, "fatal"),
            (Code::FencedInstanceId, ABORT, "stale"),
            (Code::IllegalGeneration, ABORT, "stale"),
            (Code::UnknownMemberId, ABORT, "stale"),
            (Code::RebalanceInProgress, ABORT, "stale"),
            (Code::StaleMemberEpoch, ABORT, "stale"),
            (Code::IllegalGeneration, FATAL, "fatal"),
            (Code::MessageTimedOut, ABORT, "abort"),
            (Code::InvalidTransactionalState, ABORT, "abort"),
            (Code::OperationTimedOut, RETRIABLE, "retry"),
            (Code::CoordinatorNotAvailable, RETRIABLE, "retry"),
            (Code::OperationTimedOut, RETRIABLE | ABORT, "abort"),
            (Code::State, 0, "fatal"),
        ] {
            let failure = Failure {
                code,
                text: String::new(),
                fatal: flags & FATAL != 0,
                retriable: flags & RETRIABLE != 0,
                requires_abort: flags & ABORT != 0,
            };
            let class = match transaction(&failure, "step") {
                TxnError::Retry(_) => "retry",
                TxnError::Abort(_) => "abort",
                TxnError::StaleMember(_) => "stale",
                TxnError::Fatal(_) => "fatal",
            };
            assert_eq!(class, expected, "{code:?} {flags}");
        }
    }
}
