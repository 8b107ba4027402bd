//! One table from Kafka's codes to what the caller does next.

use factum_core::{Error, ErrorKind, TopicPartition, log::TxnError};
use rdkafka::error::RDKafkaErrorCode as Code;

/// The kinds of the codes that are not [`ErrorKind::Unavailable`], which is
/// the kind of every other: brokers that are away, moving, or too slow.
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

    #[test]
    fn every_row_gives_its_kind_and_stands_once() {
        for (index, (code, expected)) in KINDS.iter().enumerate() {
            assert_eq!(kind(*code), *expected, "{code:?}");
            assert!(KINDS[..index].iter().all(|(other, _)| other != code), "{code:?} stands twice");
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
