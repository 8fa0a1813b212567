"""The catalogue of rules: an explicit tuple, one line a rule."""

from kvmlint.rule import RuleClass
from kvmlint_rules.ignored_return import IgnoredReturn
from kvmlint_rules.infallible_hypercall import InfallibleHypercall
from kvmlint_rules.lock_held_on_failure import LockHeldOnFailure
from kvmlint_rules.missing_rollback import MissingRollback
from kvmlint_rules.narrowed_return import NarrowedReturn
from kvmlint_rules.partial_batch import PartialBatch
from kvmlint_rules.premature_teardown import PrematureTeardown
from kvmlint_rules.release_after_failed_reclaim import ReleaseAfterFailedReclaim
from kvmlint_rules.swallowed_failure import SwallowedFailure
from kvmlint_rules.unchecked_return import UncheckedReturn
from kvmlint_rules.unset_status import UnsetStatus
from kvmlint_rules.update_after_failure import UpdateAfterFailure
from kvmlint_rules.wrong_failure_test import WrongFailureTest

RULES: tuple[RuleClass, ...] = (
    IgnoredReturn,
    InfallibleHypercall,
    LockHeldOnFailure,
    MissingRollback,
    NarrowedReturn,
    PartialBatch,
    PrematureTeardown,
    ReleaseAfterFailedReclaim,
    SwallowedFailure,
    UncheckedReturn,
    UnsetStatus,
    UpdateAfterFailure,
    WrongFailureTest,
)
