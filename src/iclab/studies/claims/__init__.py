"""The claims of the paper, each checked by computation.

* A **claim** is one assertion of *Trained Transformers Learn Linear Models In-Context*. Its **words** (number, text,
  how it is checked, what its numbers are) are written by hand in the YAML file of its section, and stay true whatever
  the numbers are. They announce every comparison and number with a **criterion**: the thresholds, fixed beforehand, and
  how it is obtained.
* A **check** is the function with the claim's name. It names what it needs of a random problem, drawn from the claim's
  own seeded stream (a **bench**), and yields these comparisons and numbers, under their names.
* **Evidence** is what a criterion makes of comparisons. Verdicts follow from it and are never written down: *holds*,
  *holds only if …* (refuted as stated, confirmed under the condition), *does not hold*, *undecided*.
* The **table** has one row per claim, with the verdict on record beside the one computed.

One YAML file per section of the paper, one module per part. Expectations over prompts are exact cubature through the
real forward pass where the dimension allows it, and Monte Carlo with a significance level shared by the whole table
elsewhere. Numbers of the arXiv version are given where they differ; it counts items and formulas by section.
"""

from iclab.studies.claims.printing import as_json, as_text
from iclab.studies.claims.table import CLAIMS, SIGNIFICANCE, check_claims, critical_z

__all__ = ["CLAIMS", "SIGNIFICANCE", "as_json", "as_text", "check_claims", "critical_z"]
