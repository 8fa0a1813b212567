"""The catalogue of rules: an explicit tuple, one line a rule."""

from kvmlint.rule import RuleClass
from kvmlint_rules.ignored_return import IgnoredReturn
from kvmlint_rules.missing_rollback import MissingRollback
from kvmlint_rules.partial_batch import PartialBatch
from kvmlint_rules.premature_teardown import PrematureTeardown

RULES: tuple[RuleClass, ...] = (
    IgnoredReturn,
    MissingRollback,
    PartialBatch,
    PrematureTeardown,
)
