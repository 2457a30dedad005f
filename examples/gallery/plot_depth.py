"""
What depth buys
===============

Layers of linear attention on isotropic inputs, d → ∞, two examples per dimension. Untied layers follow the
Christoffel function, tied ones do worse.
"""

import matplotlib.pyplot as plt

from iclab.theory import depth_asymptotics

depths = range(1, 11)
limits = [depth_asymptotics(alpha=2, depth=depth) for depth in depths]
plt.semilogy(depths, [limit.untied for limit in limits], "o-", label="a rate for each layer")
plt.semilogy(depths, [limit.tied for limit in limits], "s-", label="one rate for all (looped)")
plt.xlabel("layers")
plt.ylabel("error")
plt.legend()
plt.show()
