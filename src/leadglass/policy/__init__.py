"""The policy: a file that a privacy officer can read, and the one function that answers from it.

``decide`` and ``admit`` are in ``leadglass.policy.decide``, for the gate alone.
"""

from leadglass.policy.check import Checked, PolicyInvalid, check_policy, load_policy
from leadglass.policy.engine import Admission
from leadglass.policy.explain import explain
from leadglass.policy.identify import identify
from leadglass.policy.identity import Identity
from leadglass.policy.model import (
    Device,
    Direction,
    Expectation,
    Flow,
    Grant,
    Inventory,
    PolicyTest,
    Zone,
)
from leadglass.policy.policy import Policy
from leadglass.policy.question import Question, QuestionInvalid, parse_question
from leadglass.policy.template import TemplateZone, render_policy
from leadglass.policy.tests import FailedTest, newly_failed

__all__ = [
    "Admission",
    "Checked",
    "Device",
    "Direction",
    "Expectation",
    "FailedTest",
    "Flow",
    "Grant",
    "Identity",
    "Inventory",
    "Policy",
    "PolicyInvalid",
    "PolicyTest",
    "Question",
    "QuestionInvalid",
    "TemplateZone",
    "Zone",
    "check_policy",
    "explain",
    "identify",
    "load_policy",
    "newly_failed",
    "parse_question",
    "render_policy",
]
