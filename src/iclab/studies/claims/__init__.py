"""The claims of the paper, each checked by computation.

* A **claim** is one assertion of *Trained Transformers Learn Linear Models In-Context*, with its number and its text.
* A **check** draws random problems from the claim's own seeded stream (a **bench**), computes, and returns a
  **finding**: numbers in one sentence, the method, and evidence.
* **Evidence** is a deviation with thresholds fixed beforehand. Verdicts follow from it and are never written down:
  *holds*, *holds only if …* (refuted as stated, confirmed under the condition), *does not hold*, *undecided*.
* The **table** has one row per claim, with the verdict on record beside the one computed.

One file per section of the paper. Expectations over prompts are exact cubature through the real forward pass where
the dimension allows it, and Monte Carlo with a significance level shared by the whole table elsewhere. Numbers of
the arXiv version are given where they differ; it counts items and formulas by section.
"""

from iclab.studies.claims.claim import Claim, Finding, Section
from iclab.studies.claims.evidence import Evidence, Outcome, agreement, inequality, sampling, verdict_of
from iclab.studies.claims.printing import as_json, as_text
from iclab.studies.claims.table import CLAIMS, SECTIONS, SIGNIFICANCE, critical_z, select, verify

__all__ = [
    "CLAIMS",
    "SECTIONS",
    "SIGNIFICANCE",
    "Claim",
    "Evidence",
    "Finding",
    "Outcome",
    "Section",
    "agreement",
    "as_json",
    "as_text",
    "critical_z",
    "inequality",
    "sampling",
    "select",
    "verdict_of",
    "verify",
]
